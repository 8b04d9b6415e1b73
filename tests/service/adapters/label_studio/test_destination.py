"""What is no Label Studio, or one of another kind, is an error that says so; nothing is sent to it twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from service.adapters.label_studio import Client, LabelStudio
from service.errors import DeliveryError
from service.records import AnnotationBatch, BatchState, OutboxItem

PAYLOAD = {
    "batch": "b1", "monitor": "chat", "priority": 0, "scheme": {"number": 1, "guideline": "", "classes": [{"name": "refund"}]},
    "candidates": [{"driftgate_id": "m-1", "text": "hello"}],
}  # fmt: skip


@pytest.fixture
def studio(httpserver: HTTPServer) -> Iterator[LabelStudio]:
    studio = LabelStudio("studio", Client(httpserver.url_for("/"), lambda: "legacy"))
    yield studio
    studio.close()


def item(kind: str = "annotation.batch", **changes: Any) -> OutboxItem:
    return OutboxItem("o1", kind, "studio", {**PAYLOAD, **changes}, 0.0)


@pytest.mark.parametrize("answer", [{}, [], {"results": None}, {"results": [3]}, {"results": [{}], "next": None}, "text", None])
def test_answers_of_another_shape(studio: LabelStudio, httpserver: HTTPServer, answer: Any) -> None:
    httpserver.expect_request("/api/projects/").respond_with_json(answer)
    with pytest.raises(DeliveryError) as refused:
        studio.deliver(item(), now=0.0)
    assert not refused.value.retryable


def test_asking_for_answers_of_another_shape(studio: LabelStudio, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/projects/").respond_with_json([])
    with pytest.raises(DeliveryError, match="not as expected"):
        studio.answers([AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, (), 0.0)], now=0.0)


def test_an_import_that_is_still_under_way_is_not_done(studio: LabelStudio, httpserver: HTTPServer) -> None:
    """As other editions answer it: the tasks come later."""
    project = {"id": 7, "title": "chat", "description": "[driftgate:chat scheme 1]", "model_version": "", "label_config": CONFIG}
    httpserver.expect_request("/api/projects/", method="GET").respond_with_json({"results": [project], "next": None})
    httpserver.expect_request("/api/projects/7/").respond_with_json(project)
    httpserver.expect_request("/api/projects/7/summary/").respond_with_json({})
    httpserver.expect_request("/api/tasks/").respond_with_json({"tasks": [], "total": 0})
    httpserver.expect_request("/api/projects/7/import", method="POST").respond_with_json({"import": 3})
    with pytest.raises(DeliveryError, match="1 of 1 tasks are not there yet") as refused:
        studio.deliver(item(), now=0.0)
    assert refused.value.retryable


CONFIG = '<View><Text name="sample" value="$text"/><Choices name="label" toName="sample"><Choice value="refund"/></Choices></View>'


def test_what_it_does_not_take(studio: LabelStudio) -> None:
    with pytest.raises(DeliveryError, match=r"not refresh\.requested; name another destination"):
        studio.deliver(item("refresh.requested"), now=0.0)


def test_a_monitor_without_classes(studio: LabelStudio) -> None:
    with pytest.raises(DeliveryError, match="no classes that Label Studio could offer"):
        studio.deliver(item(scheme=None), now=0.0)
