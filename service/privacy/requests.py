"""What requests with an Idempotency-Key were answered: kept for a day at most, and it may show samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec

from service.errors import ConflictError
from service.pages import paged
from service.ports import Store
from service.privacy.documents import Without
from service.privacy.showing import names_in
from service.records import KeyedAnswer

DAY, HOUR = 86_400.0, 3_600.0

_PAGE = 1_000


def drop_hour(store: Store, hour: str) -> int:
    """All that were asked first within it; returns how many."""
    gone = 0
    while found := store.find(KeyedAnswer, states=[hour], limit=_PAGE):
        gone += store.drop(KeyedAnswer, [each.id for each in found])
    return gone


def expire(store: Store, *, now: float) -> int:
    """Lets go of hours that are over for a day; returns how many answers that were."""
    earliest = (now - DAY) // HOUR
    return sum(drop_hour(store, hour) for _, hour in list(store.tally(KeyedAnswer)) if int(hour) < earliest)


def blank(store: Store, without: Without) -> int:
    """Leaves of answers that show a sample that they were given: who repeats the request is not served twice."""
    gone = 0
    for answer in [each for each in paged(partial(store.find, KeyedAnswer)) if _shows(each.body, without)]:
        try:
            store.save(replace(answer, status=0, headers={}, body="", version=answer.version + 1))
        except ConflictError:  # taken up anew: another answer comes in its place
            continue
        gone += 1
    return gone


def _shows(body: str, without: Without) -> bool:
    if not body:
        return False
    return names_in(without.names, [body.encode()]) or _changes(body, without)


def _changes(body: str, without: Without) -> bool:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return any(text in body for text in without.texts)
    return bool(without(document) != document)
