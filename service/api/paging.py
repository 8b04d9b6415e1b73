"""Lists page by page, alike everywhere: `?limit=` and `?cursor=` in; `next` and a `Link` header out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Protocol, TypeVar

from fastapi import Depends, Query, Request, Response

from service.errors import InputError, NotFoundError

MOST = 1_000

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many.")]
Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=1_000,
        description="`next` of the page before; the other parameters as they were. Left out: the first page.",
    ),
]

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


class Read(Protocol[Row_co]):
    """A list of the store, newest first."""

    def __call__(self, *, after: str | None, limit: int) -> Sequence[Row_co]: ...


@dataclass(frozen=True, slots=True)
class Found(Generic[Row]):
    """A page."""

    rows: Sequence[Row]
    next: str | None
    """The cursor of the page after it; None at the end."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for."""

    request: Request
    response: Response
    limit: int
    cursor: str | None

    def read(self, read: Read[Row], name: Callable[[Row], str] | None = None) -> Found[Row]:
        """The page of a list of the store, whose rows have ids."""
        try:
            rows = read(after=self.cursor, limit=self.limit + 1)
        except NotFoundError as error:
            raise self._lost() from error
        return self._shown(rows, name or _id)

    def cut(self, rows: Sequence[Row], name: Callable[[Row], str]) -> Found[Row]:
        """The page of a list that is at hand as a whole."""
        names = [name(row) for row in rows]
        if self.cursor is not None and self.cursor not in names:
            raise self._lost()
        first = 0 if self.cursor is None else names.index(self.cursor) + 1
        return self._shown(rows[first : first + self.limit + 1], name)

    def _shown(self, rows: Sequence[Row], name: Callable[[Row], str]) -> Found[Row]:
        if len(rows) <= self.limit:
            return Found(rows, None)
        cursor = name(rows[self.limit - 1])
        self.response.headers["Link"] = (
            f'<{self.request.url.include_query_params(cursor=cursor).replace(scheme="", netloc="")}>; rel="next"'
        )
        return Found(rows[: self.limit], cursor)

    def _lost(self) -> InputError:
        return InputError("cursor", f"cursor: {self.cursor!r:.100} is no longer in the list; begin again without a cursor")


def _id(row: object) -> str:
    return str(getattr(row, "id"))  # noqa: B009 - rows are entities, items and letters, which have nothing else in common


async def _page(request: Request, response: Response, limit: Limit = 100, cursor: Cursor = None) -> Page:
    return Page(request, response, limit, cursor)


Paged = Annotated[Page, Depends(_page)]
