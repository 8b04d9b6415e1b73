"""Where a cluster of failures may come from: what speaks for each cause, what against it, and what can't be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from detectors.performance import share
from service.alarms import of_drift
from service.episodes import measured
from service.failures.clusters import FailureCluster
from service.failures.facts import NOVEL, Facts, Labelled
from service.records import Alarm, Measured


class Cause(StrEnum):
    """In the order in which they are held likely where several have evidence: what is wrong with the samples themselves comes before
    what is wrong with the model."""

    CORRUPTION = "corruption"
    LABEL = "label error"
    GAP = "coverage gap"
    SHIFT = "shift"
    AMBIGUITY = "ambiguity"


class Speaks(StrEnum):
    FOR = "for"
    AGAINST = "against"
    UNSURE = "unsure"
    CANNOT_SAY = "cannot say"


_SURELY, _FEW_ROWS = 0.2, 5
"""Lower bound of a share from which it speaks for a cause, where most samples do; rows of a class that are hardly any."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about one cause of one cluster."""

    cause: Cause
    speaks: Speaks
    says: str
    share: Measured | None = None
    """Of the distinct samples that it can be told of, with its 95 % interval."""


def evidence(
    cluster: FailureCluster, at: NDArray[np.int64], facts: Facts, labelled: Labelled, alarms: Sequence[Alarm]
) -> tuple[Evidence, ...]:
    """About every cause, in their order. `at`: where the cluster's failures stand in the facts."""
    return (
        _corruption(at, facts),
        _label_error(cluster, at, facts, labelled),
        _gap(cluster, at, facts, labelled),
        _shift(cluster, at, facts, of_drift(alarms)),
        _ambiguity(cluster, at, facts, labelled),
    )


def likely(found: Sequence[Evidence]) -> Evidence | None:
    """The first that anything speaks for."""
    return next((each for each in found if each.speaks is Speaks.FOR), None)


def _corruption(at: NDArray[np.int64], facts: Facts) -> Evidence:
    told = [damage for i in at.tolist() if (damage := facts.damage[i]) is not None]
    if not told:
        why = "no payload is kept, or they are vectors, which are neither written nor exposed"
        return Evidence(Cause.CORRUPTION, Speaks.CANNOT_SAY, f"the quality of the inputs is not known: {why}")
    kinds = Counter(damage for damage in told if damage)
    what = ", ".join(kind for kind, _ in kinds.most_common(2))
    says = (
        f"{kinds.total()} of {len(told)} inputs are damaged: {what}" if kinds else f"all {len(told)} inputs are written or exposed as usual"
    )
    return _counted(Cause.CORRUPTION, kinds.total(), len(told), says)


def _label_error(cluster: FailureCluster, at: NDArray[np.int64], facts: Facts, labelled: Labelled) -> Evidence:
    if cluster.label is None:
        return Evidence(Cause.LABEL, Speaks.CANNOT_SAY, "nobody named the right class")
    known = at[~np.isnan(facts.wrong[at])]
    if not len(known):
        why = f"no labelled row of the {labelled.source} is near enough to ask"
        return Evidence(Cause.LABEL, Speaks.CANNOT_SAY, f"whether the label {cluster.label} is right can't be told: {why}")
    doubted = [facts.instead[i] for i in known.tolist() if facts.wrong[i] >= 0.5]
    instead = Counter(doubted).most_common(1)[0][0] if doubted else ""
    as_answered = ", as the model answered" if instead and instead == cluster.answer else ""
    says = (
        f"{len(doubted)} of {len(known)} look like {instead} to the {labelled.source}{as_answered}, rather than {cluster.label}"
        if doubted
        else f"the {labelled.source} knows no reason to doubt the label {cluster.label}"
    )
    return _counted(Cause.LABEL, len(doubted), len(known), says)


def _gap(cluster: FailureCluster, at: NDArray[np.int64], facts: Facts, labelled: Labelled) -> Evidence:
    if not labelled.trained:
        return Evidence(Cause.GAP, Speaks.CANNOT_SAY, "what the model was trained on is not known: driftgate dataset add --role train")
    known = at[~np.isnan(facts.remote[at])]
    if not len(known):
        return Evidence(Cause.GAP, Speaks.CANNOT_SAY, f"the {labelled.source} has too few rows to tell how far apart they lie")
    far, rows = int((facts.remote[known] > NOVEL).sum()), int(facts.rows_of_class[at].max())
    says = f"{far} of {len(known)} lie farther from the {labelled.source} than 95 % of its own rows"
    found = _counted(Cause.GAP, far, len(known), says)
    if cluster.label is None or rows >= _FEW_ROWS:
        return found
    rare = f"it has {rows or 'no'} row{'' if rows == 1 else 's'} of {cluster.label}"
    return Evidence(Cause.GAP, Speaks.FOR, f"{rare}; {says}", found.share)


def _shift(cluster: FailureCluster, at: NDArray[np.int64], facts: Facts, alarms: Sequence[Alarm]) -> Evidence:
    novel = int(facts.novel[at].sum())
    says = f"{novel} of {len(at)} are farther from the reference than 95 % of its own rows"
    found = _counted(Cause.SHIFT, novel, len(at), says)
    since = [(alarm, sum(each.row.time >= alarm.window_start for each in cluster.failures)) for alarm in alarms]
    during = max(since, key=lambda each: each[1], default=None)
    if during is None or not during[1]:
        return found
    alarm, count = during
    told = f"{says}; {count} came since the window of the open alarm {alarm.id} ({alarm.kind}) began"
    return Evidence(Cause.SHIFT, found.speaks, told, found.share)


def _ambiguity(cluster: FailureCluster, at: NDArray[np.int64], facts: Facts, labelled: Labelled) -> Evidence:
    known = at[~np.isnan(facts.torn[at])]
    if not len(known):
        return Evidence(Cause.AMBIGUITY, Speaks.CANNOT_SAY, f"the {labelled.source} has too few labelled rows to ask")
    torn = int(facts.torn[known].sum())
    between = f"{cluster.label} and {cluster.answer}" if cluster.label and cluster.answer else "several classes"
    return _counted(Cause.AMBIGUITY, torn, len(known), f"the labelled neighbours of {torn} of {len(known)} are divided between {between}")


def _counted(cause: Cause, hits: int, rows: int, says: str) -> Evidence:
    found = measured(share(hits, rows))
    sure = Speaks.FOR if found.estimate >= 0.5 and found.low >= _SURELY else Speaks.UNSURE
    speaks = Speaks.AGAINST if found.high < 0.5 else sure
    return Evidence(cause, speaks, says, found)


def places(clusters: Sequence[FailureCluster]) -> Iterator[tuple[FailureCluster, NDArray[np.int64]]]:
    """Each cluster, and where its failures stand when all are put after each other."""
    start = 0
    for cluster in clusters:
        yield cluster, np.arange(start, start + len(cluster.failures))
        start += len(cluster.failures)


def summary(found: Mapping[str, Sequence[Evidence]]) -> Counter[str]:
    """How many clusters have which likely cause."""
    causes = (likely(each) for each in found.values())
    return Counter("none that can be seen" if each is None else each.cause for each in causes)
