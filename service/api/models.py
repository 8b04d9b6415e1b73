"""New models of refresh cycles: taken in, promoted, declined, deployed, reverted."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from service.api.conditional import tagged, unchanged
from service.api.context import Served
from service.api.schemas import Act, CycleView, Form, Problem, Somebody
from service.errors import InputError, NotFoundError
from service.promotion import Given
from service.records import RefreshCycle

router = APIRouter(tags=["refresh"], responses={404: {"model": Problem}, 409: {"model": Problem}})
_READ = [Depends(unchanged(RefreshCycle))]

PATH = "/v1/refresh/{id}/model"

_PIECE = 1 << 20
_UPLOAD: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "An ONNX file, or a tar of one with its weights and, if they are there, tokenizer.json, classes.txt and run.json.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

ModelVersion = Annotated[str, Query(min_length=1, max_length=200, description="What outputs of the model carry as `model_version`.")]
Classes = Annotated[list[str] | None, Query(description="In the order of the logits; by default as the file says, else those in force.")]
Checksum = Annotated[str | None, Header(pattern=r"^[0-9a-fA-F]{64}$", description="SHA-256 of the body, in hex; checked where given.")]
Actor = Annotated[str, Query(min_length=1, max_length=100, description="Who brings it."), Somebody]


class ModelForm(Form):
    """A model that lies below the installation's directory."""

    path: str = Field(min_length=1, max_length=1_000, description="From there.")
    version: str = Field(min_length=1, max_length=200, description="What outputs of the model carry as `model_version`.")
    classes: tuple[str, ...] = Field((), description="In the order of the logits; by default as the file says, else those in force.")
    run: dict[str, Any] = Field({}, description="How it was made.")
    uri: str = Field("", max_length=2_000, description="Where whoever trained it keeps it.")
    actor: Annotated[str, Somebody] = Field("trainer", min_length=1, max_length=100)


@router.put(PATH, status_code=202, responses={413: {"model": Problem}}, openapi_extra=dict(_UPLOAD), dependencies=_READ)
async def put_model(  # noqa: PLR0913, PLR0917 - what is said of a model that is a body by itself
    id: str,
    request: Request,
    service: Served,
    response: Response,
    version: ModelVersion,
    classes: Classes = None,
    uri: Annotated[str, Query(max_length=2_000, description="Where whoever trained it keeps it.")] = "",
    actor: Actor = "trainer",
    x_checksum_sha256: Checksum = None,
) -> CycleView:
    """Takes a new model in for a cycle, as its body; it is verified by itself from here on. The same model again changes nothing."""
    await run_in_threadpool(service.promotion.expects, id)
    with _received(service.promotion.shelf.incoming) as file:
        found = await _written(request.stream(), file)
        if x_checksum_sha256 is not None and found != x_checksum_sha256.lower():
            raise InputError("checksum", f"the body's SHA-256 is {found}, not {x_checksum_sha256.lower()}; send it again, whole")
        given = Given(Path(file.name), version, tuple(classes or ()), {}, uri)
        cycle = await run_in_threadpool(service.promotion.register, id, given, actor=actor, now=service.clock())
    return CycleView.model_validate(tagged(response, cycle))


@router.get(PATH, response_class=FileResponse)
def get_model(id: str, service: Served) -> FileResponse:
    """What is verified and would be served for a cycle: an ONNX file, or a tar of it with its weights."""
    cycle = service.store.get(RefreshCycle, id)
    model = cycle.served or cycle.model
    if model is None:
        raise NotFoundError(f"refresh cycle {cycle.id} is {cycle.state} and has no model")
    path = service.promotion.shelf.given_out(model)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name, headers={"X-Model-SHA256": model.checksum})


@router.post(PATH, status_code=202, dependencies=_READ)
def register_model(id: str, form: ModelForm, service: Served, response: Response) -> CycleView:
    """Takes a new model in for a cycle that lies on the installation's disk already."""
    given = Given(service.promotion.shelf.below(form.path), form.version, form.classes, form.run, form.uri)
    return CycleView.model_validate(tagged(response, service.promotion.register(id, given, actor=form.actor, now=service.clock())))


@router.post("/v1/refresh/{id}/promote", dependencies=_READ)
def promote_refresh(id: str, act: Act, service: Served, response: Response) -> CycleView:
    """Says that a verified model is to serve; whoever deploys it is told."""
    return CycleView.model_validate(tagged(response, service.promotion.promote(id, actor=act.actor, note=act.note, now=service.clock())))


@router.post("/v1/refresh/{id}/decline", dependencies=_READ)
def decline_refresh(id: str, act: Act, service: Served, response: Response) -> CycleView:
    """Says that a verified model is not to serve."""
    return CycleView.model_validate(tagged(response, service.promotion.decline(id, actor=act.actor, note=act.note, now=service.clock())))


@router.post("/v1/refresh/{id}/deployed", dependencies=_READ)
def deployed_refresh(id: str, act: Act, service: Served, response: Response) -> CycleView:
    """Says that production answers with a promoted model, where records don't carry its version; the reference follows."""
    return CycleView.model_validate(tagged(response, service.promotion.deployed(id, actor=act.actor, note=act.note, now=service.clock())))


@router.post("/v1/refresh/{id}/revert", dependencies=_READ)
def revert_refresh(id: str, act: Act, service: Served, response: Response) -> CycleView:
    """Asks for the model before, and goes back to its reference."""
    return CycleView.model_validate(tagged(response, service.promotion.revert(id, actor=act.actor, note=act.note, now=service.clock())))


@contextmanager
def _received(folder: Path) -> Iterator[IO[bytes]]:
    """A file for what comes, gone when it has been taken in."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="upload-") as file:
        yield file


async def _written(body: AsyncIterator[bytes], file: IO[bytes]) -> str:
    """SHA-256 of what came, written piece by piece outside the thread that answers everybody else."""
    digest, piece = hashlib.sha256(), bytearray()

    def write() -> None:
        digest.update(piece)
        file.write(piece)
        piece.clear()

    async for part in body:
        piece += part
        if len(piece) >= _PIECE:
            await run_in_threadpool(write)
    await run_in_threadpool(write)
    await run_in_threadpool(file.flush)
    return digest.hexdigest()
