"""The metrics of one process, made from the inventory: what parts count and what they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.metrics import inventory as the
from service.metrics.bounded import MAX_VALUES, Bounded
from service.metrics.declared import MONITOR, Declaration, Kind, Role
from service.metrics.reading import Points, Readings

UNKNOWN = "__unknown__"
"""What comes for no monitor that there is."""

_ROUTES = 200


class Meters:
    """Declared metrics, each under bounded labels. What belongs to another role is not shown, and counting it does nothing."""

    def __init__(self, registry: CollectorRegistry, monitors: Iterable[str], role: Role) -> None:
        self.registry = registry
        self.monitors = frozenset(monitors)
        self._joining: frozenset[str] = frozenset()
        self._role = role | Role.LEADER if Role.CONTROLLER in role else role
        self._values: dict[tuple[str, str], Bounded] = {}
        self._counted: dict[str, Counter | Histogram] = {}
        self._readings = Readings(lambda: self.monitors)
        for declaration in the.EVERY.values():
            if declaration.role & self._role and not declaration.read:
                self._declare(declaration, registry)
        registry.register(self._readings)
        self._begin(self.monitors)

    def counts(self, declaration: Declaration) -> Callable[..., None]:
        """Counts a counter up, or observes in a histogram: called with the label values in order, and `by` for another number than 1."""

        def count(*values: str, by: float = 1.0) -> None:
            self.count(declaration, *values, by=by)

        return count

    def count(self, declaration: Declaration, *values: str, by: float = 1.0) -> None:
        """Once, where this process shows the metric."""
        counted = self._counted.get(declaration.name)
        if counted is None:
            return
        child = counted.labels(*self._shown(declaration, values)) if declaration.labels else counted
        if isinstance(child, Counter):
            child.inc(by)
        else:
            child.observe(by)

    def shows(self, declaration: Declaration, figures: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Asks for a gauge at each scrape: its value by label values in order."""
        self.reads(lambda: ((declaration, labels, value) for labels, value in figures().items()), declaration)

    def reads(self, points: Points, *declarations: Declaration) -> None:
        """The same for what tells of several metrics at once."""
        own = tuple(each for each in declarations if each.role & self._role)
        if own:
            self._readings.add(points, own)

    def led_by(self, leads: Callable[[], bool]) -> None:
        """Who tells of the installation: this process while that is true."""
        self._readings.leads = leads

    def watch(self, monitors: Iterable[str], joining: Collection[str] = ()) -> None:
        """These are the monitors from now on, and those that join answers to requests; the series of one that is gone end."""
        declared = frozenset(monitors)
        new, gone, self.monitors = declared - self.monitors, self.monitors - declared, declared
        joins, self._joining = frozenset(joining) - self._joining, frozenset(joining)
        self._begin(new | joins)
        for name in gone:
            for counted in self._counted.values():
                if MONITOR in counted._labelnames:
                    counted.remove_by_labels({MONITOR: name})
            self.forget(name)

    def forget(self, monitor: str) -> None:
        """A monitor is gone."""

    def _declare(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        if declaration.kind is Kind.HISTOGRAM:
            made: Counter | Histogram = Histogram(
                declaration.name, declaration.meaning, declaration.labels, buckets=declaration.buckets, registry=registry
            )
        else:
            made = Counter(declaration.name, declaration.meaning, declaration.labels, registry=registry)
        self._counted[declaration.name] = made
        for label in set(declaration.labels) - {MONITOR}:
            place = [each for each in declaration.labels if each != MONITOR].index(label)
            known = {values[place] for values in declaration.known}
            limit = _ROUTES if label == "route" else len(known) + MAX_VALUES
            self._values[declaration.name, label] = Bounded(limit, known)

    def _begin(self, monitors: Iterable[str]) -> None:
        """What is known to come stands at 0."""
        monitors = frozenset(monitors)
        for name, counted in self._counted.items():
            declaration = the.EVERY[name]
            of = monitors & self._joining if declaration is the.UNANSWERED else monitors
            if declaration.labels:
                for values in declaration.first(of):
                    counted.labels(*values)

    def _shown(self, declaration: Declaration, values: Sequence[str]) -> list[str]:
        """The label values as they are shown."""
        return [self._label(declaration, label, value) for label, value in zip(declaration.labels, values, strict=True)]

    def _label(self, declaration: Declaration, label: str, value: str) -> str:
        if label == MONITOR:
            return value if value in self.monitors else UNKNOWN
        shown = self._values[declaration.name, label].label(value)
        if shown != value:
            self.count(the.OVERFLOW, label)
        return shown
