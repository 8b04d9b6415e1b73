"""Whatever is sent to the API, by its own OpenAPI document and against it: it answers as the document says, and nothing breaks it."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from service.api.openapi import TAGS
from service.records import AnnotationBatch, RefreshCycle
from tests.fuzz.conftest import TOKEN
from tests.service.api.conftest import Site

LONG = os.environ.get("FUZZ") == "long"
EXAMPLES = 60 if LONG else 4
"""Of each operation."""
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)


@pytest.fixture(scope="session")
def described(filled: Site) -> Any:
    generation = GenerationConfig(database="none", exclude_header_characters="\r\n\0")
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    return schemathesis.openapi.from_asgi("/openapi.json", here(filled.client.app), config=config)


def here(app: Any) -> Any:
    """The application under the name of this machine, as an admin asks it: else it answers nobody."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in {b"host", b"authorization"}]
        ours = [(b"host", b"127.0.0.1:8080"), (b"authorization", f"Bearer {TOKEN}".encode())]
        await app({**scope, "headers": [*headers, *ours]}, receive, send)

    return asked


@pytest.mark.parametrize("tag", TAGS)
def test_every_answer_is_as_the_document_says(tag: str, described: Any, filled: Site) -> None:
    for operation in described.include(tag=tag).get_all_operations():
        throw(operation.ok(), filled)


def throw(operation: Any, site: Site) -> None:
    """Cases that fit the document, and cases that do not."""
    valid, invalid = (operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=st.one_of(valid, invalid))
    def call(case: Any) -> None:
        guess(case, site)
        case.validate_response(case.call(), checks=list(CHECKS))

    call()


def guess(case: Any, site: Site) -> None:
    """Half of the time the path names what is there."""
    known = {
        "alarms": [f"a{number}" for number in range(5)],
        "batches": [batch.id for batch in site.store.find(AnnotationBatch)],
        "refresh": [cycle.id for cycle in site.store.find(RefreshCycle)],
        "outbox": ["o0", "o1", "o2"],
    }
    chance = random.Random(repr(case.path_parameters))  # noqa: S311 - the same case takes the same way
    if chance.random() < 0.5:
        return
    for name in case.path_parameters or {}:
        names = ["support", "vectors"] if name == "monitor" else known.get(case.path.split("/")[2], [])
        if names and name in {"monitor", "id"}:
            case.path_parameters[name] = chance.choice(names)
