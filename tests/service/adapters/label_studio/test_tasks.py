"""Candidates as tasks."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.label_studio.client import Client
from service.adapters.label_studio.hook import LabelStudioHook, hook_token
from service.adapters.label_studio.tasks import MOST_TASKS, chunks, sortable, tag_of, task_of
from service.errors import InputError

PAYLOAD = {"batch": "b1", "priority": 3, "scheme": {"classes": [{"name": "refund"}]}}
CANDIDATE = {"driftgate_id": "m-1", "text": "hello", "segment": "all", "predicted": "refund", "risk": 0.1, "reason": "new", "priority": 0.5}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


def test_a_candidate_with_its_prediction() -> None:
    task = task_of(PAYLOAD, CANDIDATE)
    assert task["data"] == {
        "text": "hello", "driftgate_id": "m-1", "driftgate_batch": "b1", "driftgate_priority": "03.500000", "segment": "all",
        "reason": "new", "risk": 0.1,
    }  # fmt: skip
    (prediction,) = task["predictions"]
    assert prediction["result"][0]["value"] == {"choices": ["refund"]}


def test_what_is_asked_blind_says_nothing_of_itself() -> None:
    task = task_of(PAYLOAD, {**CANDIDATE, "predicted": None, "risk": None, "reason": None})
    assert task.keys() == {"data"}
    assert not {"reason", "risk"} & task["data"].keys()


@pytest.mark.parametrize(
    ("sample", "shown"),
    [
        ({"link": "https://driftgate/v1/links/x"}, {"image": "https://driftgate/v1/links/x"}),
        ({"image": PNG}, {"image": f"data:image/png;base64,{PNG}"}),
        ({"vector": [1.0, 0.123456]}, {"text": "1 0.1235"}),
        ({"vector": [0.5] * 100}, {"text": " ".join(["0.5"] * 64) + " … 100 numbers in all"}),
        ({"text": "a\0b"}, {"text": "a\N{REPLACEMENT CHARACTER}b"}),
        ({}, {"text": "(empty)"}),
    ],
)
def test_how_samples_are_shown(sample: dict[str, Any], shown: dict[str, str]) -> None:
    candidate = {**CANDIDATE, "text": "", **sample}
    assert shown.items() <= task_of(PAYLOAD, candidate)["data"].items()
    assert tag_of([candidate]) == ("Image" if "image" in shown else "Text")


@given(st.lists(st.floats(0, 99), min_size=2, max_size=2))
def test_priorities_sort_as_text(pair: list[float]) -> None:
    first, second = sorted(pair)
    assert sortable(first) <= sortable(second)


def test_imports_are_bounded() -> None:
    tasks = [{"data": {"text": "x" * size}} for size in (*[10] * 250, 3_000_000, 3_000_000, 9_000_000, 10)]
    found = list(chunks(tasks))
    assert [len(chunk) for chunk in found] == [100, 100, 51, 1, 1, 1]
    assert [task for chunk in found for task in chunk] == tasks
    assert max(len(chunk) for chunk in found) <= MOST_TASKS


@pytest.fixture
def hook() -> LabelStudioHook:
    return LabelStudioHook(Client("http://127.0.0.1:9", lambda: "legacy"), lambda: hook_token("legacy", "studio"))


def test_the_hook_admits_whom_it_gave_the_token(hook: LabelStudioHook) -> None:
    assert hook.admits(f"Bearer {hook_token('legacy', 'studio')}")
    others = [
        "",
        "Bearer",
        "Bearer legacy",
        f"Bearer {hook_token('legacy', 'other')}",
        f"Bearer {hook_token('other', 'studio')}",
        "Bearer ü",
    ]
    assert not any(hook.admits(other) for other in others)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"action": 3}', b"\xff"])
def test_what_is_no_webhook_of_label_studio(hook: LabelStudioHook, body: bytes) -> None:
    with pytest.raises(InputError):
        hook.read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"action": "PROJECT_UPDATED"}',
        b'{"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 3}]}',
        b'{"action": "ANNOTATION_CREATED"}',
        b'{"action": "ANNOTATION_CREATED", "task": 3, "annotation": "x"}',
        b'{"action": "ANNOTATION_CREATED", "task": {"data": {"text": "not ours"}}, "annotation": {"result": []}}',
        b'{"action": "ANNOTATION_CREATED", "task": {"data": {"driftgate_id": 1, "driftgate_batch": 2}}, "annotation": {"result": []}}',
    ],
)
def test_what_tells_of_no_answer(hook: LabelStudioHook, body: bytes) -> None:
    assert hook.read(body) == []
