"""A monitor's report put together: the same sections for every monitor, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from types import MappingProxyType
from typing import TypeAlias

import structlog

from service.errors import ArtefactError, DriftgateError, InputError
from service.report.annotation_errors import annotation_errors
from service.report.coverage import coverage
from service.report.data_quality import data_quality
from service.report.drift import drift
from service.report.failures import failures
from service.report.freshness import freshness
from service.report.leakage import leakage
from service.report.material import Material
from service.report.parts import Missing, Report, Section, Standing
from service.report.performance import performance

log = structlog.get_logger()

Look: TypeAlias = Callable[[Material], Section]
"""Looks into one blind spot."""

SECTIONS: Mapping[str, tuple[str, Look]] = MappingProxyType(
    {
        "drift": ("Drift", drift),
        "coverage": ("Coverage", coverage),
        "freshness": ("Freshness of the test set", freshness),
        "annotation_errors": ("Annotation errors", annotation_errors),
        "data_quality": ("Data quality", data_quality),
        "leakage": ("Leakage", leakage),
        "performance": ("Performance", performance),
        "failures": ("Failures", failures),
    }
)
"""By name, in the order of a report: title, and who looks."""


def make(material: Material, names: Collection[str] = (), *, told: Callable[[float], None] = lambda _: None) -> Report:
    """All sections, or those named; `told` hears which share of them is done. One that fails says so and keeps no other from being
    made; only what will mend by itself, such as a store that can't be reached, ends it all."""
    require(names)
    chosen = {name: look for name, look in SECTIONS.items() if not names or name in names}
    sections = []
    for name, (title, look) in chosen.items():
        material.progress(title.lower(), 0.0)
        sections.append(_looked(name, title, look, material))
        told(len(sections) / len(chosen))
    return _report(material, tuple(sections))


def _report(material: Material, sections: tuple[Section, ...]) -> Report:
    """A reference that can't be read is what the sections say of it."""
    try:
        version, made_from = None if material.reference is None else material.reference.version, material.made_from()
    except ArtefactError:
        version, made_from = None, {}
    return Report(material.monitor, material.now, version, sections, made_from)


def require(names: Collection[str]) -> None:
    """InputError names those there are."""
    unknown = sorted(set(names) - set(SECTIONS))
    if unknown:
        raise InputError("section", f"no section {', '.join(map(repr, unknown))}; there are: {', '.join(SECTIONS)}")


def _looked(name: str, title: str, look: Look, material: Material) -> Section:
    try:
        return look(material)
    except CancelledError:
        raise
    except DriftgateError as error:
        if error.retryable:
            raise
        return _untold(name, title, str(error), "mend what it names, then make the report again")
    except Exception as error:
        log.exception("section failed", monitor=material.monitor, section=name)
        return _untold(name, title, f"an error that nobody foresaw ({type(error).__name__})", "report it with what the log says")


def _untold(name: str, title: str, why: str, remedy: str) -> Section:
    return Section(name, title, Standing.UNKNOWN, f"Could not be told: {why}", missing=(Missing(title.lower(), why, remedy),))
