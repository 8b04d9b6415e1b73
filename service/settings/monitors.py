"""The settings of one monitor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from service.settings.annotation import AnnotationSettings
from service.settings.json_path import JsonPath
from service.settings.privacy import PrivacySettings
from service.settings.refresh import RefreshSettings
from service.settings.section import Name, Section, Tag, Topic
from service.settings.selection import SelectionSettings, with_challenge_apart
from service.settings.truth import TruthSettings

_SHAPING: dict[str, Any] = {
    "embedder": True,
    "classes": True,
    "kserve": True,
    "topic": {"name", "format", "fields", "tags"},
    "segments": {"tags", "max_values"},
    "detection": {"pane_samples", "pane_seconds"},
    "privacy": {"redact", "patterns", "fields", "key_file"},
}
_LEARNING = frozenset({"order", "seed", "accept_supported"})
"""Of detection: what references are made with."""

_KEEPING = frozenset({"keep_answers", "keep_labels", "new_classes"})
"""Of truth: what is taken and kept, which nothing is decided by."""

_ANSWERS = frozenset({"unusable", "none of these"})
"""What annotators may answer beside the classes, and `new: NAME`."""

_CLOCKS_APART = 300.0
"""Seconds."""


class EmbedderSettings(Section):
    """An ONNX model and how to feed it."""

    model: Path | None = Field(
        None, description="ONNX file, needed unless `input` is `none`. `driftgate model build minilm` writes a real sentence embedder."
    )
    input: Literal["text", "image", "tensor", "none"] = Field(
        "text", description="What the model takes; `none`: samples bring their embedding as `vector` and the model file is not read."
    )
    tokenizer: Path | None = Field(None, description="`tokenizer.json`, for text; next to the model by default.")
    special_tokens: bool = Field(True, description="Whether the tokenizer adds its special tokens ([CLS], [SEP]).")
    max_tokens: int = Field(256, ge=8, le=8192, description="Longer texts are truncated to it.")
    pooling: Literal["none", "mean", "cls"] = Field("none", description="For models whose `embedding` output has one vector per token.")
    normalize: bool | None = Field(None, description="L2-normalise the embedding; done by default, but not to vectors that samples bring.")
    embedding_output: str = Field("embedding", description="Name of the output that holds the embedding.")
    logits_output: str | None = Field("logits", description="Name of the output that holds class logits; ignored where the model has none.")
    image_size: tuple[int, int] | None = Field(
        None, description="(height, width) that images are resized to; the model's own fixed size by default."
    )
    image_channels: Literal[1, 3] = Field(3, description="1: images are turned to grey, 3: to RGB.")
    image_mean: tuple[float, ...] = Field((), description="Per channel, on the 0-1 scale; empty: the model takes raw values.")
    image_std: tuple[float, ...] = Field((), description="Per channel, on the 0-1 scale; goes with `image_mean`.")
    threads: int | None = Field(None, ge=1, description="Intra-op threads; the cgroup's CPU share by default.")
    max_text_bytes: int = Field(1_000_000, ge=1, description="Longer texts are dead-lettered.")
    max_image_pixels: int = Field(50_000_000, ge=1, description="Larger images are dead-lettered before they are decoded.")
    dimension: int | None = Field(None, ge=1, le=8192, description="For `input: none`: the dimension of the vectors.")
    _rules: str = PrivateAttr("")

    @model_validator(mode="after")
    def _model_unless_vectors(self) -> Self:
        if self.model is None and self.input != "none":
            raise ValueError("model is missing: name an ONNX file, or set `input: none` for samples that bring their embedding")
        if self.input == "none" and self.dimension is None:
            raise ValueError("dimension is missing: `input: none` takes vectors of one declared dimension")
        return self

    @property
    def rules(self) -> str:
        """Of the monitor's `privacy`, under which texts come to it: they belong to what it is fed."""
        return self._rules

    def under(self, rules: str) -> EmbedderSettings:
        """The same settings for texts that come under these rules."""
        if rules == self._rules:
            return self
        copy = self.model_copy()
        copy._rules = rules
        return copy

    def with_model(self, model: Path) -> EmbedderSettings:
        """The same settings for another model file, with its own tokenizer where one lies beside it."""
        own = model.with_name("tokenizer.json")
        configured = self.tokenizer or (self.model.with_name("tokenizer.json") if self.model else None)
        return self.model_copy(update={"model": model, "tokenizer": own if own.is_file() else configured})


class SegmentSettings(Section):
    """Which sample tags make segments."""

    tags: tuple[Tag, ...] = Field((), max_length=8, description="Tags of the samples' `segments` that get streams of their own; at most 8.")
    max_values: int = Field(
        50, ge=1, le=500, description="Values per tag, in order of first appearance in the reference; the rest is `__other__`."
    )
    importance: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(
        {}, max_length=4000, description="Weight beyond its traffic in the budget, by segment: `locale=de: 3`; 1 for the others."
    )

    @model_validator(mode="after")
    def _importance_of_segments(self) -> Self:
        for segment in self.importance:
            if segment.partition("=")[0] not in self.tags or segment.endswith("="):
                raise ValueError(f"importance: {segment!r:.80} is no segment; write `tag=value` with one of `tags`")
        return self


class DetectionSettings(Section):
    """How often a false alarm is acceptable, and what counts as drift."""

    mode: Literal["active", "shadow"] = Field(
        "active", description="`shadow`: decides and records, but notifies nobody, opens no refresh cycle and takes nothing of the budget."
    )
    run_length: float | None = Field(
        None,
        ge=500,
        le=1e10,
        description="Samples until a false alarm, over all streams; unset: 20,000, and the share of `budget` in time.",
    )
    advisory: Literal["silent", "whole", "notify"] = Field(
        "whole",
        description="Which streams notify though their reference can't support their share of the budget: none, the undivided one, or all.",
    )
    tolerance: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Drift declared harmless, as an equivalent share of new content; unset: the least that can be resolved, 0.02 or more.",
    )
    critical: float = Field(0.25, gt=0, le=1, description="Effect from which an alarm is critical.")
    pane_samples: int = Field(32, ge=8, le=4096, description="Samples that fill a pane.")
    pane_seconds: float = Field(60.0, gt=0, description="Log time after which an unfilled pane closes.")
    blind_share: float = Field(
        0.2,
        ge=0.01,
        le=1,
        description="Share of the input that a window may have lost; beyond it no drift is told, but that the monitor is blind.",
    )
    silence_seconds: float | None = Field(
        None,
        ge=1,
        description="Seconds without a sample that are told as no traffic; unset: 30 times the mean gap, a minute or more, and longer "
        "where pauses are usual.",
    )
    order: Literal["iid", "time"] = Field(
        "iid",
        description="`time`: neighbouring samples depend on each other (sessions, bursts), so its own timeline's blocks calibrate.",
    )
    accept_supported: bool = Field(
        False, description="Accept a reference too small for `run_length` and use the run length that it supports."
    )
    seed: int = Field(20_261, ge=0, description="Of the random features and the calibration: the same reference gives the same thresholds.")

    @property
    def first_run_length(self) -> float:
        """What the monitor starts with, before its traffic is known."""
        return 20_000.0 if self.run_length is None else self.run_length


class KserveSettings(Section):
    """Which logged inferences belong to the monitor, and what its bodies hold. Empty match fields match everything."""

    namespace: str | None = Field(None, description="`ce-namespace` to match.")
    service: str | None = Field(None, description="`ce-inferenceservicename` to match.")
    endpoint: str | None = Field(None, description="`ce-endpoint` to match: `default` or `canary`.")
    source: str | None = Field(None, description="`ce-source` to match.")
    input: str | None = Field(None, description="V2: the name of the input tensor that holds the payload; the first by default.")
    responses: Literal["required", "optional", "none"] = Field(
        "optional", description="Whether every request should be answered; `none`: requests count on arrival."
    )
    response_timeout: float = Field(
        60.0, gt=0, description="Seconds of log time after which an unanswered request becomes a sample without output."
    )
    classes_output: str | None = Field(
        None, description="V2: the output tensor with logits or probabilities; the first floating-point one by default."
    )


class PoolSettings(Section):
    """The recent samples kept for exemplars, candidates and the next reference."""

    rows: int = Field(8_000, ge=500, le=200_000, description="Samples kept per monitor.")
    keep_payloads: bool = Field(True, description="Without payloads there is no text in exemplars, candidates and batches.")
    reserve_rows: int = Field(
        4_000,
        ge=0,
        le=100_000,
        description="Samples kept longer than the recent ones for candidates: uniform, new, of each segment, failed; 0: none.",
    )
    half_life_days: float = Field(
        14.0, ge=0.01, le=3_650, description="Days after which a sample's chance to be still among those has halved."
    )


class TopicSettings(Section):
    """The Kafka topic that brings the monitor's samples."""

    name: Topic = Field(description="The topic; several monitors may read the same one.")
    format: Literal["auto", "json", "cloudevents"] = Field(
        "auto", description="`auto`: CloudEvents where a record's headers say so, else JSON; the others dead-letter what is not theirs."
    )
    fields: dict[Literal["id", "time", "text", "image", "vector", "segments", "output", "label"], str] = Field(
        {},
        description="Where a field of the sample stands in a JSON record, as a JSONPath: `text: $.message.body`; else under its name.",
    )
    tags: dict[Tag, str] = Field({}, max_length=16, description="Where a tag's value stands, as a JSONPath: `locale: $.user.locale`.")
    start: Literal["earliest", "latest"] | datetime = Field(
        "earliest",
        description="Where a partition is read from that was never read before; a time: from the first record at or after it. Of several "
        "monitors' starts the earliest counts; where the topic is read already, a new monitor begins with the next record. `latest` passes "
        "over what the topic held when it was first looked at: partitions added later are read from their beginning.",
    )

    def begins_after(self, now: float) -> bool:
        """Whether `start` lies in the future, by more than clocks are apart."""
        if not isinstance(self.start, datetime):
            return False
        return (self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)).timestamp() > now + _CLOCKS_APART

    @field_validator("fields", "tags")
    @classmethod
    def _paths(cls, given: dict[str, str]) -> dict[str, str]:
        for name, path in given.items():
            try:
                JsonPath.parse(path)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return given


class MonitorSettings(Section):
    """One watched model input stream."""

    name: Name
    team: Name | None = Field(None, description="Its owner: one of `teams`.")
    embedder: EmbedderSettings
    importance: float = Field(1.0, gt=0, le=1000, description="The monitor's weight in the budget, beyond its traffic.")
    classes: tuple[str, ...] = Field((), description="Names of the model's classes, in the order of its logits.")
    segments: SegmentSettings = SegmentSettings()
    detection: DetectionSettings = DetectionSettings()
    kserve: KserveSettings | None = Field(None, description="Routing of KServe inference-logger events; without it none are taken.")
    topic: TopicSettings | None = Field(None, description="Kafka topic that brings samples, besides HTTP.")
    annotation: AnnotationSettings = AnnotationSettings()
    selection: SelectionSettings = SelectionSettings()
    refresh: RefreshSettings = RefreshSettings()
    pool: PoolSettings = PoolSettings()
    truth: TruthSettings = TruthSettings()
    privacy: PrivacySettings = PrivacySettings()
    notify: tuple[Name, ...] = Field((), description="Destinations that hear of alarms.")

    @model_validator(mode="before")
    @classmethod
    def _challenge_apart(cls, document: Any) -> Any:
        return with_challenge_apart(document)

    @model_validator(mode="after")
    def _fed_under_rules(self) -> Self:
        object.__setattr__(self, "embedder", self.embedder.under(self.privacy.rules))  # of a model that is still being made
        return self

    @model_validator(mode="after")
    def _classes_are_no_other_answers(self) -> Self:
        for name in self.labels:
            if " ".join(name.split()).casefold() in _ANSWERS or name.casefold().lstrip().startswith("new:"):
                raise ValueError(f"classes: {name!r:.80} is an answer of its own for annotators; call the class otherwise")
        return self

    @model_validator(mode="after")
    def _price_for_limits(self) -> Self:
        limits = [name for name in ("cycle_cost", "period_cost") if getattr(self.selection, name) is not None]
        if limits and not self.annotation.price:
            raise ValueError(f"selection.{limits[0]}: a limit in money needs `annotation.price`, the price per label, above 0")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Every class that a label may name; () where none are declared: then any."""
        return (*self.classes, *self.truth.new_classes) if self.classes else ()

    @property
    def kept(self) -> dict[str, Any]:
        """As it is kept in the store, as JSON: without what is as by default, so that the driftgate before this one, which refuses what it
        does not know, reads it too where nothing new is used."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def shaping(self) -> Mapping[str, Any]:
        """What makes panes what they are, as JSON: a change takes effect at an offset of each partition."""
        return self.model_dump(mode="json", include=_SHAPING)

    @property
    def deciding(self) -> Mapping[str, Any]:
        """What decisions follow from besides the log, as JSON: a change takes effect at a sequence number of it."""
        return {
            "importance": self.importance,
            "segment_importance": dict(self.segments.importance),
            "detection": self.detection.model_dump(mode="json", exclude=set(_LEARNING)),
            "responses": self.kserve.responses if self.kserve else None,
            "truth": self.truth.model_dump(mode="json", exclude=set(_KEEPING)),
        }

    def deciding_as(self, document: Mapping[str, Any]) -> Self:
        """These settings with what decides from a document that `deciding` gave, perhaps that of another version of driftgate."""
        known = {name: value for name, value in document["detection"].items() if name in DetectionSettings.model_fields}
        truth = {name: value for name, value in document.get("truth", {}).items() if name in TruthSettings.model_fields}
        responses = document["responses"]
        changes = {
            "importance": document["importance"],
            "segments": self.segments.model_copy(update={"importance": dict(document["segment_importance"])}),
            "detection": DetectionSettings.model_validate({**self.detection.model_dump(), **known}),
            "truth": TruthSettings.model_validate({**self.truth.model_dump(), **truth}),
            "kserve": self.kserve and self.kserve.model_copy(update={"responses": responses or self.kserve.responses}),
        }
        return self.model_copy(update=changes)
