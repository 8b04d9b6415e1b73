"""What somebody with a role over some monitors gets to see: a service that knows of no others.

Whatever a request names (in its path or its query) is looked up before the route is asked; what lies outside is answered as if there were
no such thing. Lists come from a store and from declarations that hold the caller's monitors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, cast

from fastapi import Request
from starlette.exceptions import HTTPException

from service.access.principals import Principal, Teams
from service.api.claims import Apart, require_own
from service.api.context import Declaring, Service
from service.declarations import Declared
from service.errors import NotFoundError, absent
from service.overview import Glance, Overview
from service.ports import E, Store
from service.records import (
    KINDS,
    Alarm,
    AnnotationBatch,
    DeadLetter,
    Declaration,
    Delivery,
    Entity,
    OutboxItem,
    RefreshCycle,
    Role,
    Silence,
)
from service.settings import MonitorSettings

Find = Callable[[Store, str], str | None]
"""The monitor of a thing by its id; NotFoundError when there is none."""

_LOOK_BACK = 1_000


def _entity(kind: type[Entity]) -> Find:
    return lambda store, name: store.get(kind, name).monitor


def _item(store: Store, id: str) -> str | None:
    """Of the outbox; those that are long gone are nobody's."""
    return next((_monitor_of(item) for item in store.outbox(limit=_LOOK_BACK) if item.id == id), None)


SUBJECTS: Mapping[str, Find] = MappingProxyType(
    {
        "alarms": _entity(Alarm),
        "batches": _entity(AnnotationBatch),
        "refresh": _entity(RefreshCycle),
        "cycles": _entity(RefreshCycle),
        "annotations": _entity(Delivery),
        "outbox": _item,
        "dead-letters": lambda store, name: store.dead_letter(name).rejected.monitor,
        "silences": _entity(Silence),
        "monitors": lambda _, name: name,
        "teams": lambda _, __: None,
    }
)
"""By the collection that stands before an id in a path: how the monitor is found that it belongs to."""


_Sets = tuple[frozenset[str], frozenset[str]]


class Reach:
    """The monitors that somebody sees, and may use for something: remembered for as long as the same ones are declared, as whoever sends
    one sample at a time would have a thousand looked through for each."""

    _MOST = 1_000

    def __init__(self) -> None:
        self._last: tuple[Mapping[str, Declared], Teams, dict[tuple[Any, Role], _Sets]] = ({}, {}, {})

    def of(self, declared: Mapping[str, Declared], principal: Principal, need: Role) -> tuple[Teams, _Sets]:
        """Every monitor's team; and the two."""
        last = self._last
        if last[0] is not declared or len(last[2]) > self._MOST:
            self._last = last = (declared, {name: known.settings.team for name, known in declared.items()}, {})
        _, teams, found = last
        key = principal.grants, need
        if key not in found:
            found[key] = frozenset(principal.among(teams)), frozenset(principal.among(teams, need))
        return teams, found[key]


def narrowed(reach: Reach, service: Service, principal: Principal, need: Role, request: Request) -> Service:
    """The service as the principal may use it for this request; NotFoundError where the request names what lies outside."""
    teams, (seen, usable) = reach.of(service.declaring.declared, principal, need)
    if not principal.over_all(need):
        _require_inside(service, principal, need, request, seen=seen, usable=usable)

    def accept(name: str, document: Mapping[str, Any]) -> MonitorSettings:
        settings = service.accept(name, document)
        if not principal.may(need, name, team=settings.team):
            raise HTTPException(403, f"{principal.name} may declare monitors of its own teams only; say which in `team`")
        before = _left(service, name)
        if before is not None and not principal.may(need, name, team=before.get("team")):
            raise HTTPException(403, f"there was a monitor {name} of others, and what it took is kept; take another name")
        require_own(settings, service.settings(), _apart(service, usable))
        return settings

    def withheld(monitor: str | None) -> bool:
        return not principal.may(Role.OPERATOR, monitor or "", team=teams.get(monitor or ""))

    if principal.over_all(need):
        return replace(service, store=cast("Store", Narrowed(service.store, None, withheld)), whole=service)
    return replace(
        service,
        store=cast("Store", Narrowed(service.store, usable, withheld)),
        declaring=_Declared(service.declaring, usable),
        overview=cast("Overview", _Glanced(service.overview, usable)),
        ingest=service.ingest.only(usable),
        accept=accept,
        whole=service,
    )


def _left(service: Service, name: str) -> Mapping[str, Any] | None:
    """The settings of a monitor that is or was, as they were last."""
    try:
        return service.store.get(Declaration, name).settings
    except NotFoundError:
        return None


def _apart(service: Service, usable: Collection[str]) -> Apart:
    declared = [known.settings for known in service.declaring.declared.values()]
    return Apart([each for each in declared if each.name in usable], [each for each in declared if each.name not in usable])


def _require_inside(
    service: Service, principal: Principal, need: Role, request: Request, *, seen: Collection[str], usable: Collection[str]
) -> None:
    """What the request names is among what the principal may do this to."""
    declared = service.declaring.declared
    for monitor, kind, given in _named(service.store, request):
        if kind == "teams" and principal.may(need, "", team=given):
            continue
        if monitor in usable or (request.method == "PUT" and kind == "monitors" and given not in declared):
            continue
        if monitor in seen:
            raise HTTPException(403, f"{principal.name} lacks the role for this: it asks for `{need}` over monitor {monitor}")
        raise _outside(kind, given, sorted(seen))


def _named(store: Store, request: Request) -> Iterable[tuple[str | None, str, str]]:
    """(monitor, collection, id) of all that the request's path and query name."""
    for before, part in pairwise(request.scope["route"].path.split("/")):
        name = part.strip("{}").partition(":")[0]
        if part.startswith("{") and before in SUBJECTS:
            given = request.path_params[name]
            yield SUBJECTS[before](store, given), before, given
    for monitor in request.query_params.getlist("monitor"):
        yield monitor, "monitors", monitor


def _outside(kind: str, id: str, seen: Sequence[str]) -> NotFoundError:
    """What is said of things that there are none of."""
    if kind == "monitors":
        return NotFoundError(f"no monitor {id!r:.80}; there are: {', '.join(seen) or 'none'}")
    kinds = {"alarms": Alarm, "batches": AnnotationBatch, "refresh": RefreshCycle, "cycles": RefreshCycle, "annotations": Delivery}
    return absent(KINDS[kinds[kind]] if kind in kinds else kind, id)


class Narrowed:
    """A store that shows things of some monitors alone (None: of all), and no undecodable payloads to whoever must not see them; what is
    asked of a monitor by name was looked at before."""

    def __init__(self, store: Store, monitors: Collection[str] | None, withheld: Callable[[str | None], bool]) -> None:
        self._store = store
        self._monitors = monitors
        self._withheld = withheld

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, kind: type[E], id: str) -> E:
        """NotFoundError for what belongs to others."""
        found = self._store.get(kind, id)
        if not self._shows(found.monitor):
            raise absent(KINDS[kind], id)
        return found

    def find(self, kind: type[E], *, monitors: Collection[str] | None = None, **options: Any) -> Sequence[E]:
        """Newest first."""
        asked = self._monitors if monitors is None or self._monitors is None else set(monitors) & set(self._monitors)
        return self._store.find(kind, monitors=monitors if self._monitors is None else asked, **options)

    def tally(self, kind: type[Entity]) -> Mapping[tuple[str, str], int]:
        """Of these monitors."""
        return {key: count for key, count in self._store.tally(kind).items() if self._shows(key[0])}

    def undecided(self) -> Sequence[str]:
        """Those of these monitors."""
        return [monitor for monitor in self._store.undecided() if self._shows(monitor)]

    def outbox(self, *, limit: int = 100, after: str | None = None, **options: Any) -> Sequence[OutboxItem]:
        """Pages of what there is, until enough of it is about these monitors."""
        return _filled(lambda last: self._store.outbox(limit=limit, after=last, **options), self._of_item, after, limit)

    def dead_letters(self, *, monitor: str | None = None, limit: int = 100, after: str | None = None) -> Sequence[DeadLetter]:
        """Likewise; those that no monitor could be told of are for whoever sees all."""
        found = _filled(lambda last: self._store.dead_letters(monitor=monitor, limit=limit, after=last), self._of_letter, after, limit)
        return [self._legible(letter) for letter in found]

    def dead_letter(self, id: str) -> DeadLetter:
        """NotFoundError for what belongs to others."""
        letter = self._store.dead_letter(id)
        if not self._of_letter(letter):
            raise absent("dead letter", id)
        return self._legible(letter)

    def _shows(self, monitor: str | None) -> bool:
        return self._monitors is None or monitor in self._monitors

    def _of_letter(self, letter: DeadLetter) -> bool:
        return self._shows(letter.rejected.monitor)

    def _of_item(self, item: OutboxItem) -> bool:
        return self._shows(_monitor_of(item))

    def _legible(self, letter: DeadLetter) -> DeadLetter:
        """Without what could not be decoded, and so may hold anything: its message may cite it."""
        if not self._withheld(letter.rejected.monitor):
            return letter
        message = f"({len(letter.rejected.message)} characters, for operators: they may cite what was sent)"
        return replace(letter, rejected=replace(letter.rejected, original=b"", message=message), original=None)


_MOST_PAGES = 50


def _filled(page: Callable[[str | None], Sequence[Any]], mine: Callable[[Any], bool], after: str | None, limit: int) -> list[Any]:
    """The first `limit` that are mine, from so many pages at most: whoever has few among many others asks on."""
    kept: list[Any] = []
    for _ in range(_MOST_PAGES):
        found = page(after)
        kept += filter(mine, found)
        if len(kept) >= limit or len(found) < limit:
            break
        after = found[-1].id
    return kept[:limit]


def _monitor_of(item: OutboxItem) -> str | None:
    """The monitor that an item is about, as its payload says it."""
    found = item.payload.get("monitor")
    if isinstance(found, str):
        return found
    inner: Mapping[str, Any] = next((part for part in item.payload.values() if isinstance(part, Mapping) and "monitor" in part), {})
    return inner.get("monitor")


class _Glanced:
    """All monitors at a glance, but for those of others."""

    def __init__(self, overview: Overview, monitors: Collection[str]) -> None:
        self._overview = overview
        self._monitors = monitors

    def glance(self) -> Glance:
        """As it was when it was last looked at."""
        found = self._overview.glance()
        lines = [line for line in found.lines if line.monitor in self._monitors]
        return replace(found, lines=lines, teams=sorted({line.team for line in lines} & set(found.teams)))


class _Declared:
    """Declarations of some monitors."""

    def __init__(self, declaring: Declaring, monitors: Collection[str]) -> None:
        self._declaring = declaring
        self._monitors = monitors

    @property
    def declared(self) -> Mapping[str, Declared]:
        """By name."""
        return {name: known for name, known in self._declaring.declared.items() if name in self._monitors}

    def put(self, settings: MonitorSettings, **options: Any) -> Declared:
        """As the whole does it."""
        return self._declaring.put(settings, **options)

    def withdraw(self, monitor: str, *, version: int, actor: str) -> None:
        """Likewise."""
        self._declaring.withdraw(monitor, version=version, actor=actor)
