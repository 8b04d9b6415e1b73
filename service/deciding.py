"""Decides every monitor's log in turn: many in one loop, and one that fails rests without holding up the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from service.controller import Controller
from service.declarations import Declared
from service.errors import ConflictError
from service.leading import Leading
from service.patience import Patience
from service.ports import Store

_PAUSE = 0.5
_LOOK, _PATIENCE = 0.05, 20.0


class _Resting(Patience):
    """Of a monitor that could not be decided."""

    until = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A controller, and what it was made of."""

    declared: Declared
    controller: Controller


class Deciding:
    """The controllers of whoever leads, each made when its monitor first has something to decide.

    One that leads no more forgets them: what another has decided since is in the store.
    """

    def __init__(
        self,
        store: Store,
        leading: Leading,
        make: Callable[[str], Controller | None],
        *,
        beat: Callable[[], None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lost`: called when it leads no more, so that its last figures are not taken for those of today."""
        self._store = store
        self._leading = leading
        self._make = make
        self._beat = beat
        self._lost = lost
        self._clock = clock
        self._declared: Mapping[str, Declared] = {}
        self._controllers: dict[str, Running] = {}
        self._seen: dict[str, Declared] = {}
        """As each was declared at its last turn."""
        self._resting: dict[str, _Resting] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """Monitors that can't be decided now, and why."""
        return {name: resting.reason for name, resting in self._resting.copy().items()}

    def declare(self, declared: Mapping[str, Declared]) -> None:
        """What is declared now, from another thread; taken up at the next turn of each."""
        self._declared = declared

    def step(self, *, now: float) -> int:
        """A turn for every monitor that has something to decide; returns how many entries were decided."""
        if self._leading.fence() is None:
            self.forget()
            return 0
        declared, undecided = self._declared, frozenset(self._store.undecided())
        for gone in [name for name in self._controllers if name not in declared]:
            self._let_go(gone, now)
        due = [name for name, known in declared.items() if name in undecided or self._seen.get(name) != known]
        return sum(self._turn(name, declared[name], now, waiting=name in undecided) for name in due)

    def checkpoint(self, *, now: float) -> None:
        """Stores every controller's state, so that a restart replays nothing."""
        for running in self._controllers.values():
            if self._leading.fence() is not None:
                running.controller.checkpoint(now=now)

    def forget(self) -> None:
        """Whoever leads next goes on from the store."""
        if self._seen:
            self._lost()
        self._controllers.clear()
        self._seen.clear()
        self._resting.clear()

    def _turn(self, name: str, declared: Declared, now: float, *, waiting: bool) -> int:
        if self._leading.fence() is None:
            return 0
        self._beat()
        resting, running = self._resting.get(name) or _Resting(shortest=_PAUSE), self._controllers.get(name)
        if self._clock() >= resting.until:
            decided = resting.attempt(partial(self._decide, name, declared, now, waiting=waiting), monitor=name)
        elif running is not None and running.declared != declared:  # what is new can't be taken up: what there was goes on
            return running.controller.step(now=now)
        else:
            return 0
        resting.until = self._clock() + resting.seconds
        if resting.seconds:
            self._resting[name] = resting
        else:
            self._resting.pop(name, None)
        return decided

    def _decide(self, name: str, declared: Declared, now: float, *, waiting: bool) -> int:
        controller = self._controller(name, declared, now, waiting=waiting)
        self._seen[name] = declared
        return controller.step(now=now) if controller is not None else 0

    def _controller(self, name: str, declared: Declared, now: float, *, waiting: bool) -> Controller | None:
        """The one that decides by what is declared; None where there is no reference, or nothing to decide yet."""
        running = self._controllers.get(name)
        if running is not None and running.declared == declared:
            return running.controller
        if running is None and not waiting and self._is_shown(name, declared):
            return None
        if running is not None:  # the new one goes on from the store
            running.controller.checkpoint(now=now)
        controller = self._make(name)
        if controller is None:
            self._controllers.pop(name, None)
        else:
            self._controllers[name] = Running(declared, controller)
        return controller

    def _is_shown(self, name: str, declared: Declared) -> bool:
        """Whether the reference in force has decided before: then its controller can wait until something comes."""
        return declared.reference is None or self._store.status(name).get("reference_version") == declared.reference

    def _let_go(self, name: str, now: float) -> None:
        running = self._controllers.pop(name)
        self._seen.pop(name, None)
        self._resting.pop(name, None)
        running.controller.checkpoint(now=now)


def await_decision(store: Store, monitor: str, sequence: int, *, seconds: float = _PATIENCE) -> None:
    """Returns once the controller that leads has decided a monitor's log up to an entry."""
    end = time.monotonic() + seconds
    while store.decided(monitor)[0] < sequence:
        if time.monotonic() > end:
            raise ConflictError(f"monitor {monitor}: recorded, but not decided within {seconds:g} s; a controller will get on with it")
        time.sleep(_LOOK)


def decide_here(store: Store, leading: Leading, make: Callable[[], Controller | None], monitor: str, sequence: int, *, now: float) -> None:
    """The same for a command, which decides by itself where nobody leads."""
    end = time.monotonic() + _PATIENCE
    try:
        while store.decided(monitor)[0] < sequence and time.monotonic() < end:
            leading.step()
            controller = make() if leading.fence() is not None else None
            if controller is None:
                time.sleep(_LOOK)
            else:
                _decide_all(controller, now)
    finally:
        leading.release()
    await_decision(store, monitor, sequence, seconds=0.0)


def _decide_all(controller: Controller, now: float) -> None:
    while controller.step(now=now):
        pass
