"""How driftgate's dashboards look: one way to draw each kind of figure, so that a colour means the same on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig, VizLegendOptions
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD, WATCH, ACT, QUIET = "green", "yellow", "red", "blue"

Panel: TypeAlias = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""(from which value on, colour); the first has none."""

ZERO_IS_GOOD: Steps = ((None, GOOD), (1, ACT))


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of Prometheus; `legend` names a series by its labels."""

    expr: str
    legend: str = "__auto"


def figure(title: str, query: str, says: str, *, unit: str = "short", steps: Steps = ((None, QUIET),), width: int = 4) -> stat.Panel:
    """One number that holds now."""
    panel = stat.Panel().title(title).description(says).datasource(SOURCE).unit(unit).span(width).height(4)
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"])).thresholds(_thresholds(steps)).no_value("none")
    panel.graph_mode(BigValueGraphMode.NONE)
    return panel.with_target(_target(Query(query), instant=True))


def lines(title: str, queries: Sequence[Query], says: str, *, unit: str = "short", width: int = 12) -> timeseries.Panel:
    """How figures move."""
    panel = timeseries.Panel().title(title).description(says).datasource(SOURCE).unit(unit).span(width).height(8)
    panel.line_width(1).fill_opacity(8).show_points(VisibilityMode.NEVER).axis_soft_min(0).axis_placement(AxisPlacement.AUTO)
    panel.legend(VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True))
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(_target(query).ref_id(letter))
    return panel


def stacked(title: str, queries: Sequence[Query], says: str, *, unit: str = "short", width: int = 12) -> timeseries.Panel:
    """Parts of a whole over time."""
    return lines(title, queries, says, unit=unit, width=width).stacking(StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(40)


def banded(title: str, bounds: tuple[Query, Query, Query], says: str, *, width: int = 12) -> timeseries.Panel:
    """A share inside its interval: (estimate, low, high)."""
    _, low, _ = bounds
    panel = lines(title, bounds, says, unit="percentunit", width=width).fill_opacity(0)
    panel.override_by_query("B", [DynamicConfigValue("custom.lineWidth", 0)])
    edge = [DynamicConfigValue("custom.lineWidth", 0), DynamicConfigValue("custom.fillBelowTo", low.legend)]
    return panel.override_by_query("C", [*edge, DynamicConfigValue("custom.fillOpacity", 20)])


def states(title: str, query: Query, says: str, words: Mapping[int, tuple[str, str]], *, width: int = 24) -> statetimeline.Panel:
    """Which state each thing was in; `words`: value → (word, colour)."""
    panel = statetimeline.Panel().title(title).description(says).datasource(SOURCE).span(width).height(7).show_value(VisibilityMode.NEVER)
    options = {str(value): ValueMappingResult(text=word, color=colour, index=value) for value, (word, colour) in words.items()}
    panel.mappings([ValueMap(options=options)]).merge_values(True)
    panel.thresholds(_thresholds([(None if value == min(words) else value, colour) for value, (_, colour) in sorted(words.items())]))
    return panel.with_target(_target(query))


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table: a query whose value per row is shown under a name."""

    name: str
    expr: str
    unit: str = "short"
    steps: Steps = ()


def rows(title: str, by: str, columns: Sequence[Column], says: str, *, link: str = "", width: int = 24) -> table.Panel:
    """A row for each value of the label `by`, those with most of the first column on top. `link`: where a row leads."""
    panel = table.Panel().title(title).description(says).datasource(SOURCE).span(width).height(10).filterable(True)
    renamed = {f"Value #{letter}": column.name for letter, column in zip("ABCDEFGH", columns, strict=False)}
    for letter, column in zip("ABCDEFGH", columns, strict=False):
        panel.with_target(_target(Query(column.expr), instant=True).format(PromQueryFormat.TABLE).ref_id(letter))
        panel.override_by_name(column.name, _shown(column))
    if link:
        panel.override_by_name(by, [DynamicConfigValue("links", [{"title": "open", "url": link}])])
    order = {by: 0} | {f"Value #{letter}": at + 1 for at, letter in enumerate("ABCDEFGH"[: len(columns)])}
    return panel.transformations(
        [
            DataTransformerConfig(id_val="merge", options={}),
            DataTransformerConfig(
                id_val="organize", options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renamed}
            ),
            DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": columns[0].name, "desc": True}]}),
        ]
    )


def _shown(column: Column) -> list[DynamicConfigValue]:
    shown = [DynamicConfigValue("unit", column.unit)]
    if column.steps:
        thresholds = {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in column.steps]}
        shown += [DynamicConfigValue("thresholds", thresholds), DynamicConfigValue("custom.cellOptions", {"type": "color-text"})]
    return shown


def _target(query: Query, *, instant: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).datasource(SOURCE).ref_id("A")
    return target.instant() if instant else target.range()


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    found = [Threshold(value=value, color=colour) for value, colour in steps]
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


# --- dashboards


def dashboard(uid: str, title: str, says: str) -> build.Dashboard:
    """An empty one, with the choice of a Prometheus and links to its like."""
    made = build.Dashboard(f"driftgate / {title}").uid(f"driftgate-{uid}").description(says).tags(["driftgate"]).readonly()
    made.time("now-24h", "now").refresh("1m").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    others = build.DashboardLink("driftgate").type(DashboardLinkType.DASHBOARDS).tags(["driftgate"]).keep_time(True).include_vars(True)
    made.link(others.as_dropdown(True))
    return made.with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))


def choice(name: str, label: str, query: str, *, several: bool = False) -> build.QueryVariable:
    """A label's value to choose; `several`: any number of them, all to begin with."""
    made = build.QueryVariable(name).label(label).query({"query": query, "refId": name}).datasource(SOURCE)
    made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    return made.multi(True).include_all(True).all_value(".*") if several else made


def marks(name: str, expr: str, colour: str, text: str) -> build.AnnotationQuery:
    """Moments shown on every graph."""
    made = build.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).hide(False)
    return made.expr(expr).step("60s").title_format(name).text_format(text)


def row(title: str) -> build.Row:
    """A heading."""
    return build.Row(title)
