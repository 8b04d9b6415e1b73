"""What a switch promises, on which rows, and until when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from service.alarms import of_drift
from service.artefacts import checksum, replace_text
from service.datasets import DataSets
from service.errors import ArtefactError
from service.ports import Store
from service.records import Alarm, AlarmState
from service.switching.graph import CERTIFICATE

FORMAT = 1
_ALARMS = 1_000

ENDS = (
    "a rebase, or another model in force",
    "other rows in golden's calibrate part",
    "traffic that has changed: an open alarm of drift or of changed answers",
    "the date on which it expires",
)
"""When it stops being valid, in words."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The rows of golden's *calibrate* part: `rows` of them counted, one for each group of near-duplicates, at their `use`-th look."""

    version: int
    checksum: str
    """Of the whole part."""
    rows: int
    use: int
    fresh: bool
    """Only those of its rows were taken that no calibration before had met."""


@dataclass(frozen=True, slots=True)
class Flips:
    """A class of the old model among the rows: how many, and how many of them flipped."""

    rows: int
    flips: int


@dataclass(frozen=True, slots=True)
class Expected:
    """On labelled rows of the drifted traffic: what the new model gains in accuracy alone, and what the switch keeps of it."""

    rows: int
    ungated: float
    gain: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """With probability 1 - `delta_in_force` at most a share `alpha` of traffic like golden is answered right by the old model and wrong by
    the switch. `expires` and `created` are ISO dates; models are named by their file and blake2b checksum."""

    monitor: str
    created: str
    expires: str
    alpha: float
    delta: float
    """As it was asked for, over all uses of the rows."""
    delta_in_force: float
    """What this calibration may err."""
    delta_spent: float
    """Summed over all looks at these rows; those that were drawn fresh begin anew, whatever the rest of their part has spent."""
    threshold: float
    flips: int
    flips_allowed: int
    bound: float
    golden: Calibrated
    fresh_rows: int
    """That many rows which no calibration has met would restore what the first use of these allowed."""
    reference_version: int | None
    in_force: str
    """Fingerprint of the embedder in force."""
    alarms: tuple[str, ...] = ()
    """Those of drift that were open then: what drifted is not promised anything about."""
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    """The new model's, in the order of the switch's logits; the first of them need not be the old one's."""
    old_classes: int = 0
    changed: int | None = None
    """Rows that are answered otherwise than by the old model; with `flips_by_class`, only where these were asked for."""
    flips_by_class: Mapping[str, Flips] = field(default_factory=dict)
    """No calibration takes rows again of which this was told."""
    uncovered: tuple[str, ...] = ()
    """Classes of the old model that the rows do not contain: of these nothing is known."""
    shared_embedder: bool = False
    expected: Expected | None = None
    ends: tuple[str, ...] = ENDS
    format: int = FORMAT
    artefact: str = field(default="", kw_only=True)
    """Checksum of the ONNX file; not known to the file itself."""

    def document(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that the promise stands on."""

    name: str
    holds: bool
    says: str


@dataclass(frozen=True, slots=True)
class InForce:
    """What a monitor goes by now, and today's date (ISO); `model` is its file, None without one."""

    monitor: str
    reference_version: int | None
    fingerprint: str
    model: Path | None
    date: str


def beside(artefact: Path) -> Path:
    """Where the certificate of a file stands."""
    return artefact.with_name(f"{artefact.name}.certificate.json")


def write(certificate: Certificate, artefact: Path) -> None:
    """Beside the file, whole or not at all."""
    text = json.dumps(certificate.document(), indent=2, ensure_ascii=False, allow_nan=False)
    replace_text(beside(artefact), text + "\n")


def read(artefact: Path) -> Certificate:
    """From the file beside it, else from the model's own metadata."""
    path = beside(artefact)
    try:
        text = path.read_bytes() if path.is_file() else _metadata(artefact)
        document = msgspec.json.decode(text)
        if document.get("format") != FORMAT:
            raise ArtefactError(f"{path}: a certificate of format {document.get('format')}; this driftgate reads {FORMAT}")
        return msgspec.convert(document, Certificate, strict=False)
    except (msgspec.MsgspecError, OSError, AttributeError) as error:
        raise ArtefactError(f"{path}: not a certificate that can be read: {error}; build the switch anew") from error


def _metadata(artefact: Path) -> str:
    found = metadata(artefact)
    if CERTIFICATE not in found:
        raise ArtefactError(f"{artefact}: no switch: it carries no certificate, and {beside(artefact).name} is not there")
    return found[CERTIFICATE]


def metadata(artefact: Path) -> Mapping[str, str]:
    """What an ONNX file says of itself, read without the package that writes them."""
    import onnxruntime as ort  # noqa: PLC0415 - 60 MB that only a process which embeds should load
    from onnxruntime.capi import onnxruntime_pybind11_state as errors  # noqa: PLC0415 - as above

    unloadable = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NoSuchFile, errors.NoModel)
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, once
    try:
        found = ort.InferenceSession(str(artefact), options, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    except unloadable as error:
        raise ArtefactError(f"{artefact}: no ONNX model: {error}") from error
    return {str(name): str(value) for name, value in found.items()}


def conditions(certificate: Certificate, artefact: Path, now: InForce, store: Store, data_sets: DataSets) -> Iterator[Condition]:
    """Everything that the promise stands on, and whether it still does. A switch that came into force itself is no rebase of another."""
    yield _condition("monitor", certificate.monitor, now.monitor, "the switch is of {then}, this is {now}")
    yield _file(certificate, artefact)
    if now.model and certificate.artefact and checksum(now.model) == certificate.artefact:
        yield Condition("model", True, "the switch itself is in force")
    else:
        changed = "reference version {then} was in force, now {now}: a rebase"
        yield _condition("reference", certificate.reference_version, now.reference_version, changed)
        yield _condition("model", certificate.in_force, now.fingerprint, "another model is in force ({then}, now {now})")
    changed = "golden's calibrate part has other rows"
    yield _condition("golden", certificate.golden.checksum, _calibrate_part(data_sets, now.monitor), changed)
    found = store.find(Alarm, monitor=now.monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=_ALARMS)
    alarms = of_drift(found)
    since = [alarm for alarm in alarms if alarm.id not in certificate.alarms]
    yield _traffic(since, len(alarms) - len(since))
    late = now.date > certificate.expires
    yield Condition("date", not late, f"expired on {certificate.expires}" if late else f"until {certificate.expires}")


def _file(certificate: Certificate, artefact: Path) -> Condition:
    if not certificate.artefact:
        return Condition(
            "file", False, f"{beside(artefact).name} is not beside it, so nobody knows whether this is the file that was certified"
        )
    return _condition("file", certificate.artefact, checksum(artefact), "the file is not the one that was certified")


def _condition(name: str, then: object, now: object, otherwise: str) -> Condition:
    return Condition(name, then == now, "as certified" if then == now else otherwise.format(then=then, now=now))


def _calibrate_part(data_sets: DataSets, monitor: str) -> str:
    if not data_sets.versions(monitor, "golden"):
        return ""
    return data_sets.load(monitor, "golden").part("calibrate").checksum


def _traffic(alarms: list[Alarm], before: int) -> Condition:
    if not alarms:
        still = f"; {before} that were open then still are: of what drifted nothing is promised" if before else ""
        return Condition("traffic", True, f"no alarm has opened since{still}")
    listed = ", ".join(alarm.id for alarm in alarms[:3])
    return Condition("traffic", False, f"alarms opened since ({listed}): traffic is no longer what golden was drawn from")
