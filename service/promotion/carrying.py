"""What the controller does with a cycle's model, step by step, each saved before the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from service.errors import ConflictError, DriftgateError, InputError
from service.patience import Patience
from service.promotion import steps
from service.promotion.ground import Ground
from service.promotion.judging import Judging
from service.promotion.rebasing import Rebasing
from service.promotion.serving import Serving
from service.promotion.steps import Reason
from service.promotion.watching import answers, shortfall
from service.records import Artefact, CycleState, RefreshCycle, Step
from service.reference import Progress

_CYCLES = 10_000
_LOOK_SECONDS, _WATCH_SECONDS, _RETRY_SECONDS = 5.0, 300.0, 60.0
"""Between two looks at a cycle that waits, at late labels, and after a step that failed."""

_DEAR = 50
"""Or so many times as long as a look took: it reads all recent samples."""

_UNDER_WAY = (CycleState.VERIFYING, CycleState.VERIFIED, CycleState.DEPLOYING)
_TAKEN_BACK = (CycleState.REVERTED, CycleState.CANCELLED)

log = structlog.get_logger()


class Carrying:
    """Everything is idempotent: a step that was taken already is found in the store and not taken again."""

    def __init__(
        self, ground: Ground, serving: Serving, judging: Judging, rebasing: Rebasing, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._ground = ground
        self._serving = serving
        self._judging = judging
        self._rebasing = rebasing
        self._store = ground.store
        self._again: dict[str, float] = {}
        """When a cycle that waits, or can't go on, is looked at again."""
        self._watched = float("-inf")

    def step(self, *, now: float, progress: Progress = lambda *_: None) -> int:
        """Takes the next step of every cycle that has one to take; returns how many moved."""
        found = self._store.find(RefreshCycle, states=_UNDER_WAY, limit=_CYCLES)
        moved = sum(self._attempted(cycle, now, progress) for cycle in found if self._again.get(cycle.id, now) <= now)
        return moved + self._watch(now)

    def go_on(self, cycle_id: str, *, now: float, progress: Progress = lambda *_: None) -> RefreshCycle:
        """Takes one cycle's steps until it waits for a person, for rows or for production."""
        while True:
            before = self._store.get(RefreshCycle, cycle_id)
            try:
                if self._next(before, now, progress) is None:
                    return before
            except ConflictError:
                if self._store.get(RefreshCycle, cycle_id).version == before.version:
                    raise  # else a running server took the step meanwhile

    def _attempted(self, cycle: RefreshCycle, now: float, progress: Progress) -> int:
        """Nor does one whose step fails with what nobody foresaw, which the log tells."""
        patience = Patience(shortest=_RETRY_SECONDS, longest=_RETRY_SECONDS)
        moved = patience.attempt(lambda: int(self._carry_on(cycle, now, progress)), monitor=cycle.monitor, cycle=cycle.id)
        if patience.seconds:
            self._again[cycle.id] = now + patience.seconds
        return moved

    def _carry_on(self, cycle: RefreshCycle, now: float, progress: Progress) -> bool:
        """A cycle that can't go on does not hold up the others, and is left alone for a while."""
        began = self._clock()
        try:
            after = self._next(cycle, now, progress)
        except DriftgateError as error:
            told_as = log.info if isinstance(error, ConflictError) else log.warning  # of a conflict: somebody else took a step
            told_as("refresh can't go on", monitor=cycle.monitor, cycle=cycle.id, reason=str(error))
            self._again[cycle.id] = now + _RETRY_SECONDS
            return False
        if after is None:
            self._again[cycle.id] = now + max(_LOOK_SECONDS, _DEAR * (self._clock() - began))
            return False
        self._again.pop(cycle.id, None)
        log.info("refresh went on", monitor=cycle.monitor, cycle=cycle.id, state=after.state.value)
        return True

    def _next(self, cycle: RefreshCycle, now: float, progress: Progress) -> RefreshCycle | None:
        """The cycle after its next step; None while there is none to take."""
        match cycle.state:
            case CycleState.VERIFYING:
                return self._verify(cycle, now, progress)
            case CycleState.VERIFIED:
                automatic = self._ground.settings(cycle).promotion == "automatic" and not (cycle.verification or {}).get("full_replacement")
                return self._ground.announce(cycle, Reason.AUTOMATIC, actor="driftgate", now=now) if automatic else None
            case CycleState.DEPLOYING:
                return self._follow(cycle, now, progress)
            case _:
                return None

    # --- verifying ------------------------------------------------------------------------------------------------------

    def _verify(self, cycle: RefreshCycle, now: float, progress: Progress) -> RefreshCycle | None:
        if cycle.model is None:
            return None
        if cycle.served is None:
            return self._choose(cycle, cycle.model, now, progress)
        if (cycle.verification or {}).get("basis") == self._judging.basis(cycle):
            return None  # judged already, and nothing has come since
        try:
            found = self._judging.judge(cycle, cycle.served, now=now, progress=progress)
        except InputError as error:
            return self._concluded(steps.refused(cycle, str(error), now=now), now)
        return self._concluded(steps.judged(cycle, found, now=now), now)

    def _choose(self, cycle: RefreshCycle, model: Artefact, now: float, progress: Progress) -> RefreshCycle:
        """What would be served; or the cycle waits for another model, as this one can't be used."""
        progress("trying the new model", 0.0)
        try:
            model = self._serving.named(cycle, model)
        except InputError as error:
            return self._concluded(steps.refused(cycle, str(error), now=now), now)
        served = self._serving.choose(cycle, model, now=now, progress=progress)
        if isinstance(served, str):
            found = {"verdict": "reject", "passed": False, "reasons": [served]}
            return self._concluded(steps.judged(cycle, found, now=now), now)
        chosen = steps.chosen(cycle, model, served.artefact, served.says, now=now)
        self._store.save(chosen)
        return chosen

    def _concluded(self, cycle: RefreshCycle, now: float) -> RefreshCycle:
        """A verdict, and what tells of it."""
        self._store.save(cycle, outbox=self._ground.told(cycle, steps.VERIFIED, steps.verdict_content(cycle), now=now, of=[cycle.version]))
        return cycle

    # --- deploying ------------------------------------------------------------------------------------------------------

    def _follow(self, cycle: RefreshCycle, now: float, progress: Progress) -> RefreshCycle | None:
        """The reference follows once production answers with the model."""
        served = cycle.served
        if served is None:
            return None
        if steps.is_deployed(cycle):
            return self._rebase(cycle, served, now, progress)
        if self._ground.settings(cycle).rebase == "at_once":
            return self._ground.deploy(cycle, Step(CycleState.DEPLOYING, Reason.AT_ONCE, now))
        if answers(self._store, cycle, served):
            return self._ground.deploy(cycle, Step(CycleState.DEPLOYING, Reason.SEEN, now, note=f"version {served.version}"))
        return None

    def _rebase(self, cycle: RefreshCycle, served: Artefact, now: float, progress: Progress) -> RefreshCycle:
        outcome = self._rebasing.of_cycle(cycle, served, now=now, progress=progress)
        rebased = steps.rebased(cycle, outcome, now=now)
        try:
            self._store.save(rebased)
        except ConflictError:
            if self._store.get(RefreshCycle, cycle.id).state in _TAKEN_BACK:
                self._ground.go_back(cycle)  # somebody asked for the model before while the reference was built
            raise
        log.info("promoted", monitor=cycle.monitor, cycle=cycle.id, reference=outcome["reference_version"])
        return rebased

    # --- afterwards -----------------------------------------------------------------------------------------------------

    def _watch(self, now: float) -> int:
        """Holds late labels against what was promised of the models in force."""
        if now < self._watched + _WATCH_SECONDS:
            return 0
        self._watched = now
        found = self._store.find(RefreshCycle, states=[CycleState.PROMOTED, *_TAKEN_BACK], limit=_CYCLES)
        return sum(self._looked_after(cycle, now) for cycle in found)

    def _looked_after(self, cycle: RefreshCycle, now: float) -> bool:
        """One that can't be, as its monitor is gone, does not hold up the others."""
        try:
            if not self._ground.serves(cycle):
                return False
            if cycle.state in _TAKEN_BACK:
                return self._let_go(cycle)
            return not steps.has_fallen_short(cycle) and self._short(cycle, now)
        except DriftgateError as error:
            log.info("promoted model not looked after", monitor=cycle.monitor, cycle=cycle.id, reason=str(error))
            return False

    def _let_go(self, cycle: RefreshCycle) -> bool:
        """Goes back where a rebase was cut short after its reference came into force, while somebody asked for the model before. Where
        it had ended, a person chose the reference since."""
        if steps.has_rebased(cycle):
            return False
        self._ground.go_back(cycle)
        return True

    def _short(self, cycle: RefreshCycle, now: float) -> bool:
        short = shortfall(self._store, cycle)
        if not short:
            return False
        note = f"{short}; `driftgate refresh revert {cycle.id}` asks for the model before"
        after = steps.fell_short(cycle, note, now=now)
        content = {"model": steps.cited(cycle.model), "served": steps.cited(cycle.served), "reasons": [note]}
        self._store.save(after, outbox=self._ground.told(after, steps.SHORTFALL, content, now=now))
        log.warning("late labels fall short", monitor=cycle.monitor, cycle=cycle.id, reason=short)
        return True
