"""Answers of the model beside the truth, wherever both are known: labels that came back, and labelled sets that it answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.alarms import REBASE
from service.datasets import DataSet, Role
from service.records import Judgement
from service.report.material import Material
from service.report.parts import Missing

PRODUCTION = "production"
SETS: tuple[Role, ...] = ("golden", "challenge", "train")
"""That may carry answers; what says most of production first."""

_NOVEL = "novel"
"""What lies near no reference cluster, as alarms name it."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """n of them: production's, oldest first, or a set's."""

    role: Role | None
    """Of the set; None for production."""
    ids: Sequence[str]
    truth: NDArray[np.str_]
    answer: NDArray[np.str_]
    confidence: NDArray[np.float64]
    """NaN where the model gave none."""
    segments: Sequence[Mapping[str, str]]
    delay: NDArray[np.float64]
    """(n,) seconds from the sample to its truth; (0,) for a set."""
    cluster: NDArray[np.int64]
    """(n,) reference clusters as judgements tell them; (0,) for a set."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.truth == self.answer)

    @property
    def name(self) -> str:
        """Where they come from."""
        return self.role or PRODUCTION

    def newest(self, count: int) -> Answers:
        """The last of them."""
        if len(self) <= count:
            return self
        columns = {name: getattr(self, name)[-count:] for name in self.__slots__ if name != "role"}
        return replace(self, **columns)

    def columns(self) -> dict[str, NDArray[np.str_]]:
        """(n,) values of each tag, '' where a row has none."""
        tags = sorted({tag for segments in self.segments for tag in segments})
        return {tag: np.array([segments.get(tag, "") for segments in self.segments], np.str_) for tag in tags}


def returned(material: Material) -> Answers | Missing:
    """Of production, as far as truth has come back since the reference in force."""
    asks = f"send it: POST /v1/monitors/{material.monitor}/labels, or driftgate truth add --monitor {material.monitor} --input FILE"
    version = None if material.reference is None else material.reference.version
    found = [each for each in _in_force(material, version) if each.predicted]
    if found:
        return _judged(found)
    if material.judgements:
        return Missing("performance in production", f"no truth has come back for an answer given since reference version {version}", asks)
    return Missing("performance in production", "no truth has come back for what the model answered", asks)


def _in_force(material: Material, version: int | None) -> Sequence[Judgement]:
    """Those of answers under this reference; where a label has brought the answer, nobody knows under which: those told since it came."""
    if version is None or all(each.reference_version == version for each in material.judgements):
        return material.judgements
    came = [each.time for each in material.store.events(material.monitor) if each.kind == REBASE and each.body["version"] == version]
    since = max(came, default=0.0)
    return [
        each for each in material.judgements if each.reference_version == version or (not each.reference_version and each.told >= since)
    ]


def of_set(material: Material, role: Role) -> Answers | Missing:
    """Of a labelled set that the model answered when it was added."""
    found = material.data_set(role)
    if isinstance(found, Missing):
        return found
    rows = [at for at, row in enumerate(found.rows) if found.predicted[at] and row.sample.label is not None]
    if rows:
        return _answered(role, found, rows)
    what, remedy = f"answers to the {role} set", f"driftgate dataset add --monitor {material.monitor} --role {role} --input FILE"
    why = "it was added without the model's answers"
    return Missing(what, why, f"add it again with `output` in its rows, or with an embedder that gives logits: {remedy}")


def places(material: Material, answers: Answers) -> NDArray[np.str_]:
    """(n,) a name for where each row lies, '' where that is not known: its reference cluster, or the region of the training set."""
    if answers.role is None:
        names = (*material.reference.cluster_names, _NOVEL) if material.reference is not None else ()
        return np.array([names[at] if 0 <= at < len(names) else "" for at in answers.cluster.tolist()], np.str_)
    found = material.data_set(answers.role)
    if isinstance(found, Missing) or material.regions is None:
        return np.full(len(answers), "", np.str_)
    position = {row.sample.id: at for at, row in enumerate(found.rows)}
    regions = material.region_of(found.embeddings[[position[key] for key in answers.ids]])
    return np.array([f"region {region}" for region in regions.tolist()], np.str_)


def texts(material: Material, answers: Answers) -> Mapping[str, str]:
    """Id → text, of the rows whose payload is a text that is still kept."""
    if answers.role is None:
        return {row.id: row.payload for row in material.production if isinstance(row.payload, str)}
    found = material.data_set(answers.role)
    rows = () if isinstance(found, Missing) else found.samples
    return {sample.id: sample.payload for sample in rows if isinstance(sample.payload, str)}


def _judged(found: Sequence[Judgement]) -> Answers:
    return Answers(
        None,
        [each.sample for each in found],
        np.array([each.truth for each in found], np.str_),
        np.array([each.predicted for each in found], np.str_),
        np.array([each.confidence for each in found], np.float64),
        [each.segments for each in found],
        np.array([each.told - each.time for each in found], np.float64),
        np.array([each.cluster for each in found], np.int64),
    )


def _answered(role: Role, found: DataSet, rows: Sequence[int]) -> Answers:
    samples = [found.rows[at].sample for at in rows]
    return Answers(
        role,
        [sample.id for sample in samples],
        np.array([sample.label or "" for sample in samples], np.str_),
        np.array([found.predicted[at] for at in rows], np.str_),
        found.confidence[rows].astype(np.float64),
        [sample.segments for sample in samples],
        np.zeros(0),
        np.zeros(0, np.int64),
    )
