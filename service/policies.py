"""Whether monitors are as the installation's policy wants them: named checks, each a pure function of what is known of a monitor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol, TypeAlias

from service import monitors
from service.datasets import DataSets
from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import POLICY, Policy, Step
from service.records.policies import Checked, Compliance, Finding
from service.reference import References
from service.report.kept import Kept
from service.settings import CHECKS, CheckName, MonitorSettings, PolicySettings, Settings, TeamSettings

_DAY = 86_400.0
_VERSIONS = 50
"""Earlier versions that are kept whole."""
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a monitor."""

    settings: MonitorSettings
    team: TeamSettings | None = None
    reference: Mapping[str, Any] | None = None
    """Manifest of the one in force."""
    golden: Mapping[str, Any] | None = None
    """Manifest of the newest golden set."""
    reported: float | None = None
    """When the newest report was made."""
    labelled: float | None = None
    """When the newest label came that came late."""


_Wanted: TypeAlias = float | tuple[str, ...]
"""What a check is set to."""

_Told: TypeAlias = tuple[bool, str, str]
"""(whether it is met, what there is, what to do)."""


def assess(policy: PolicySettings, facts: Facts, *, now: float) -> tuple[Checked, ...]:
    """Every check that the policy asks for, in the order of its settings."""
    required = {name: getattr(policy.require, name) for name in CHECKS}
    return tuple(_checked(policy, name, wanted, facts, now) for name, wanted in required.items() if wanted)


def _checked(policy: PolicySettings, name: CheckName, wanted: _Wanted, facts: Facts, now: float) -> Checked:
    met, found, remedy = _LOOKS[name](facts, wanted, now)
    told = _wanted(name, wanted)
    if met:
        return Checked(name, Finding.MET, found, told, "")
    why = _exempt(policy, facts.settings.name, name, datetime.fromtimestamp(now, UTC).date())
    return Checked(name, Finding.UNMET, found, told, remedy) if why is None else Checked(name, Finding.EXEMPT, found, told, why)


def _exempt(policy: PolicySettings, monitor: str, check: CheckName, today: date) -> str | None:
    found = (each for each in policy.exempt if (each.monitor, each.check) == (monitor, check))
    return next((each.why for each in found if each.until is None or today <= each.until), None)


def _wanted(name: CheckName, wanted: _Wanted) -> str:
    if isinstance(wanted, tuple):
        return ", ".join(wanted)
    if name.endswith("_rows"):
        return f"at least {wanted:,} rows"
    if name == "retention_days":
        return f"at most {wanted:g} days"
    return f"at most {wanted:g} days old" if name.endswith("_days") else "yes"


def _team(facts: Facts, _wanted: float, _now: float) -> _Told:
    team = facts.settings.team
    return team is not None, team or "no team", "name the monitor's `team`"


def _notify(facts: Facts, _wanted: float, _now: float) -> _Told:
    routes = facts.team.routes if facts.team else ()
    told = sorted({*facts.settings.notify, *(name for route in routes if "alarms" in (route.news or ("alarms",)) for name in route.to)})
    return bool(told), ", ".join(told) or "nobody", "name destinations in the monitor's `notify`, or in a route of its team"


def _active(facts: Facts, _wanted: float, _now: float) -> _Told:
    mode = facts.settings.detection.mode
    return mode == "active", mode, "set `detection.mode: active`"


def _segments(facts: Facts, _wanted: float, _now: float) -> _Told:
    tags = facts.settings.segments.tags
    return bool(tags), ", ".join(tags) or "none", "name tags in `segments.tags`"


def _annotation(facts: Facts, _wanted: float, _now: float) -> _Told:
    settings = facts.settings.annotation
    missing = [name for name in ("destination", "price") if getattr(settings, name) is None]
    return not missing, settings.destination or "nowhere", f"set {' and '.join(f'`annotation.{name}`' for name in missing)}"


def _refresh(facts: Facts, _wanted: float, _now: float) -> _Told:
    to = facts.settings.refresh.destinations
    return bool(to), ", ".join(to) or "nowhere", "set `refresh.destination`"


def _reference_rows(facts: Facts, wanted: float, _now: float) -> _Told:
    return _rows(facts.reference, wanted, f"`driftgate reference build --monitor {facts.settings.name} --input FILE` with more rows")


def _golden_rows(facts: Facts, wanted: float, _now: float) -> _Told:
    return _rows(facts.golden, wanted, f"`driftgate dataset add --monitor {facts.settings.name} --role golden --input FILE`")


def _rows(manifest: Mapping[str, Any] | None, wanted: float, remedy: str) -> _Told:
    rows = int(manifest["rows"]) if manifest else 0
    return rows >= wanted, f"{rows:,} rows" if manifest else "none", remedy


def _reference_days(facts: Facts, wanted: float, now: float) -> _Told:
    made = _moment(facts.reference["created"]) if facts.reference else None
    return _age(made, wanted, now, f"`driftgate reference build --monitor {facts.settings.name} --from-stream`, then accept it")


def _report_days(facts: Facts, wanted: float, now: float) -> _Told:
    remedy = f"`driftgate report --monitor {facts.settings.name}`, or `report.every_hours` for one now and then"
    return _age(facts.reported, wanted, now, remedy)


def _label_days(facts: Facts, wanted: float, now: float) -> _Told:
    return _age(facts.labelled, wanted, now, f"send labels to `POST /v1/monitors/{facts.settings.name}/labels`")


def _age(since: float | None, wanted: float, now: float, remedy: str) -> _Told:
    if since is None:
        return False, "none", remedy
    days = max(0.0, now - since) / _DAY
    return days <= wanted, f"{days:.1f} days old", remedy


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _redaction(facts: Facts, wanted: tuple[str, ...], _now: float) -> _Told:
    privacy = facts.settings.privacy
    missing = [kind for kind in wanted if kind not in privacy.redact]
    found = "no payload is kept" if privacy.payloads == "none" else ", ".join(privacy.redact) or "nothing"
    return privacy.payloads == "none" or not missing, found, f"add {', '.join(missing)} to `privacy.redact`"


def _retention(facts: Facts, wanted: float, _now: float) -> _Told:
    days = facts.settings.privacy.retention_days
    found = "no limit" if days is None else f"{days:g} days"
    return days is not None and days <= wanted, found, f"set `privacy.retention_days` to {wanted:g} or less"


_LOOKS: Mapping[CheckName, Callable[[Facts, Any, float], _Told]] = {
    "team": _team,
    "notify": _notify,
    "active": _active,
    "segments": _segments,
    "annotation": _annotation,
    "refresh": _refresh,
    "reference_rows": _reference_rows,
    "reference_days": _reference_days,
    "golden_rows": _golden_rows,
    "report_days": _report_days,
    "label_days": _label_days,
    "redaction": _redaction,
    "retention_days": _retention,
}


class Monitors(monitors.Monitors, Protocol):
    """What is asked of the installation."""

    @property
    def settings(self) -> Settings: ...

    @property
    def names(self) -> Sequence[str]:
        """The declared monitors."""


class Policies:
    """The policy in force, and how each monitor stands beside it."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, reports: Kept, monitors: Monitors) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._reports = reports
        self._monitors = monitors

    def publish(self, *, now: float) -> Policy:
        """Writes down what the configuration asks for; a version more where it asks for something else than before."""
        document = self._monitors.settings.policy.model_dump(mode="json")
        for _ in range(_ATTEMPTS):
            standing = self.stored()
            if standing is not None and standing.settings == document:
                return standing
            try:
                changed = _next(standing, document, now)
                self._store.save(changed)
            except ConflictError:
                continue
            return changed
        raise ConflictError("the policy is being changed by others without end; try again")

    def stored(self) -> Policy | None:
        """As it was written down last."""
        try:
            return self._store.get(Policy, POLICY)
        except NotFoundError:
            return None

    def compliance(self, monitors: Iterable[str], *, now: float) -> Sequence[Compliance]:
        """Of these monitors, in their order."""
        stored = self.stored()
        return [self._of(monitor, stored.version if stored else 0, now) for monitor in monitors]

    def _of(self, monitor: str, version: int, now: float) -> Compliance:
        settings, policy = self._monitors.effective(monitor), self._monitors.settings.policy
        return Compliance(monitor, settings.team, version, assess(policy, self._facts(settings, policy), now=now))

    def _facts(self, settings: MonitorSettings, policy: PolicySettings) -> Facts:
        """Reads what the policy asks about, and nothing else."""
        monitor, asks = settings.name, policy.require
        line = self._reports.line(monitor) if asks.report_days else None
        return Facts(
            settings,
            self._monitors.settings.team_of(settings),
            self._in_force(monitor) if asks.reference_rows or asks.reference_days else None,
            self._golden(monitor) if asks.golden_rows else None,
            line.made if line else None,
            self._labelled(monitor) if asks.label_days else None,
        )

    def _in_force(self, monitor: str) -> Mapping[str, Any] | None:
        return next((manifest for manifest in self._references.versions(monitor) if manifest["active"]), None)

    def _golden(self, monitor: str) -> Mapping[str, Any] | None:
        return next(reversed(self._data_sets.versions(monitor, "golden")), None)

    def _labelled(self, monitor: str) -> float | None:
        return next((judgement.told for judgement in self._store.judgements(monitor, limit=1)), None)


def _next(standing: Policy | None, document: Mapping[str, Any], now: float) -> Policy:
    """The version after, with what the one before said."""
    before = standing or Policy(document, now)
    step = Step("in force", "changed" if standing else "declared", now)
    earlier = (*before.before, before.settings)[-_VERSIONS:] if standing else ()
    return replace(before, settings=document, before=earlier, history=(*before.history, step)[-_VERSIONS:], version=before.version + 1)
