"""Label schemes: by which words annotators answer, version by version."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import Field, StringConstraints

from service.annotation.scheme import Draft, written
from service.annotation.schemes import version, versions
from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import Form, PageView, Problem, Somebody, Time, View
from service.errors import InputError
from service.records import LabelScheme, SchemeClass

router = APIRouter(tags=["annotation"], responses={404: {"model": Problem}})

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Text = Annotated[str, StringConstraints(max_length=20_000)]
_REFUSED: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (400, 409)}

IfMatch = Annotated[str | None, Header(description="The version that was read, as `ETag` gave it.")]


class ClassForm(Form):
    """A class that may be answered."""

    name: _Name = Field(description="What the model calls it.")
    aliases: Annotated[tuple[_Name, ...], Field(max_length=50)] = Field((), description="Words that annotators use for it.")
    guideline: _Text = Field("", description="How to tell it from the others.")


class SchemeForm(Form):
    """A whole scheme: it becomes the next version."""

    classes: Annotated[tuple[ClassForm, ...], Field(min_length=1, max_length=2_000)]
    guideline: _Text = Field("", description="For the whole task.")
    renamed: dict[_Name, _Name] = Field({}, max_length=2_000, description="Former name to name, of classes called otherwise from now on.")
    actor: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Somebody]
    note: Annotated[str, StringConstraints(max_length=2_000)] = ""


class ClassView(View):
    """A class that may be answered."""

    name: str
    aliases: tuple[str, ...]
    guideline: str


class SchemeView(View):
    """One version of a monitor's label scheme; it never changes."""

    monitor: str
    number: int
    classes: tuple[ClassView, ...]
    guideline: str
    renamed: tuple[tuple[str, str], ...] = Field(description="(former name, name): labels of earlier versions keep their meaning.")
    created: Time
    actor: str = Field(description="Empty where it followed from the monitor's classes.")
    note: str


class SchemesView(PageView):
    """Newest first."""

    versions: tuple[SchemeView, ...]


def _read(if_match: IfMatch = None) -> int | None:
    if if_match is None:
        return None
    tag = if_match.strip().removeprefix("W/").strip('"')
    if not tag.isdecimal():
        raise InputError("version", f"If-Match: {if_match!r:.40} is no version; send the ETag of GET /v1/monitors/{{monitor}}/scheme")
    return int(tag)


@router.get("/v1/monitors/{monitor}/scheme")
def get_scheme(
    monitor: str,
    service: Served,
    response: Response,
    number: Annotated[int | None, Query(ge=1, description="A version; the one in force by default.")] = None,
) -> SchemeView:
    """The scheme that annotators answer by; before anybody wrote one it follows from the monitor's classes."""
    name = service.known(monitor)
    found = service.actions.scheme(name, now=service.clock()) if number is None else version(service.store, name, number)
    return _view(found, response)


@router.get("/v1/monitors/{monitor}/scheme/versions")
def list_schemes(monitor: str, service: Served, page: Paged) -> SchemesView:
    """The versions that are kept, newest first."""
    kept = sorted(versions(service.store, service.known(monitor)), key=lambda scheme: -scheme.number)
    found = page.cut(kept, lambda scheme: str(scheme.number))
    return SchemesView.model_validate({"versions": found.rows, "next": found.next}, from_attributes=True)


@router.put("/v1/monitors/{monitor}/scheme", responses=_REFUSED)
def put_scheme(
    monitor: str, form: SchemeForm, service: Served, response: Response, read: Annotated[int | None, Depends(_read)]
) -> SchemeView:
    """Writes the next version; the same content makes none. 409 where another version is in force than `If-Match` names."""
    classes = tuple(SchemeClass(each.name, each.aliases, each.guideline) for each in form.classes)
    draft = Draft(classes, form.guideline, form.renamed, form.note)
    name, now = service.known(monitor), service.clock()

    def change(before: LabelScheme) -> LabelScheme:
        return written(before, name, draft, actor=form.actor, now=now)

    return _view(service.actions.edit_scheme(name, change, after=read, now=now), response)


def _view(scheme: LabelScheme, response: Response) -> SchemeView:
    response.headers["ETag"] = f'"{scheme.number}"'
    return SchemeView.model_validate(scheme)
