"""The configuration: one YAML file, environment overrides, validated as a whole.

`DRIFTGATE__SERVER__PORT=9000` overrides `server.port`; lists (monitors, destinations) come from the file.
Relative paths are taken from the folder of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.errors import ConfigurationError

Name = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Lower-case letters, digits and hyphens; at most 63.")
]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")]


class Section(BaseModel):
    """A part of the configuration: unknown fields are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    @model_validator(mode="after")
    def _model_unless_vectors(self) -> Self:
        if self.model is None and self.input != "none":
            raise ValueError("model is missing: name an ONNX file, or set `input: none` for samples that bring their embedding")
        if self.input == "none" and self.dimension is None:
            raise ValueError("dimension is missing: `input: none` takes vectors of one declared dimension")
        return self

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


class AnnotationSettings(Section):
    """What may be sent to annotators, and where."""

    budget: int = Field(100, ge=1, le=10_000, description="Candidates per batch.")
    price: float | None = Field(None, ge=0, description="Price per label, for the estimate.")
    quota: float = Field(1.0, gt=0, le=1, description="Share of a batch's candidates whose answers close it.")
    destination: Name | None = Field(None, description="A destination's name; without one batches wait as proposed.")
    approval: Literal["automatic", "operator"] = Field("automatic", description="`operator`: a batch waits until a person approves it.")


class RefreshSettings(Section):
    """When a cycle opens by itself and what the new model must prove."""

    automatic: bool = Field(True, description="Open a cycle when an alarm opens on the whole stream and none is running.")
    after_samples: int = Field(
        500,
        ge=0,
        description="Samples that a stream takes after an alarm before candidates are selected: a young drift shows little of itself.",
    )
    challenge_share: float = Field(
        0.2,
        ge=0.05,
        le=0.5,
        description="Share of a batch drawn at random from the drifted traffic, to verify the new model with; never trained on.",
    )
    destination: Name | None = Field(None, description="Where the refresh request goes.")
    max_negative_flips: float = Field(
        0.01, gt=0, lt=0.5, description="Largest share of golden samples that the old model gets right and the new one wrong (upper bound)."
    )
    confidence: float = Field(0.9, gt=0.5, lt=1, description="Of the bound on negative flips.")


class PoolSettings(Section):
    """The recent samples kept for exemplars, candidates and the next reference."""

    rows: int = Field(8_000, ge=500, le=200_000, description="Samples kept per monitor.")
    keep_payloads: bool = Field(True, description="Without payloads there is no text in exemplars, candidates and batches.")


class MonitorSettings(Section):
    """One watched model input stream."""

    name: Name
    embedder: EmbedderSettings
    importance: float = Field(1.0, gt=0, le=1000, description="The monitor's weight in the budget, beyond its traffic.")
    classes: tuple[str, ...] = Field((), description="Names of the model's classes, in the order of its logits.")
    segments: SegmentSettings = SegmentSettings()
    detection: DetectionSettings = DetectionSettings()
    kserve: KserveSettings | None = Field(None, description="Routing of KServe inference-logger events; without it none are taken.")
    annotation: AnnotationSettings = AnnotationSettings()
    refresh: RefreshSettings = RefreshSettings()
    pool: PoolSettings = PoolSettings()
    notify: tuple[Name, ...] = Field((), description="Destinations that hear of alarms.")


class WebhookDestination(Section):
    """Signed Standard Webhooks over HTTP."""

    type: Literal["webhook"]
    name: Name
    url: str = Field(pattern=r"^https?://", description="Where deliveries are posted.")
    secret_file: Path | None = Field(None, description="File with the secret, `whsec_…`.")
    secret_env: str | None = Field(None, description="Environment variable with the secret.")
    timeout: float = Field(20.0, gt=0, le=60, description="Seconds that a delivery may take.")
    allow_private: bool = Field(False, description="Allow addresses inside the network (loopback, private ranges).")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("give either secret_file or secret_env: every webhook is signed")
        return self


def read_secret(destination: WebhookDestination) -> str:
    """The destination's secret, from its file or environment variable."""
    if destination.secret_env is not None:
        value = os.environ.get(destination.secret_env, "")
        origin = f"environment variable {destination.secret_env}"
    else:
        path = destination.secret_file or Path()
        origin = f"file {path}"
        value = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not value.strip():
        raise ConfigurationError(f"destination {destination.name}: no secret in {origin}; it holds `whsec_` and 24 to 64 bytes in base64")
    return value.strip()


class FolderDestination(Section):
    """JSONL files in a folder."""

    type: Literal["folder"]
    name: Name
    path: Path = Field(description="Made where it is missing.")


Destination = Annotated[WebhookDestination | FolderDestination, Field(discriminator="type")]


class ServerSettings(Section):
    """HTTP."""

    host: str = Field("127.0.0.1", description="Address to listen on; one that others can reach requires a token.")
    port: int = Field(8080, ge=0, le=65535, description="0: a free one.")
    ingest_token_file: Path | None = Field(
        None, description="File with the token for ingest and queries; required off loopback (or DRIFTGATE__INGEST_TOKEN)."
    )
    max_body_bytes: int = Field(16_000_000, ge=1_000, description="Larger requests are refused.")
    max_items: int = Field(10_000, ge=1, description="Samples in one request.")


class BudgetSettings(Section):
    """How many false alarms are acceptable over all monitors and segments together, at the traffic there is."""

    alarms: float = Field(1.0, gt=0, le=10_000, description="False alarms in `days` when nothing has changed.")
    days: float = Field(30.0, gt=0, le=3_650, description="Days that `alarms` counts for.")
    error_over_patience: float = Field(0.1, gt=0, le=1, description="Share of false ones in `driftgate fleet`, per `days` watched.")

    @property
    def per_second(self) -> float:
        """False alarms a second."""
        return self.alarms / (self.days * 86_400.0)


class LogSettings(Section):
    """The embedded log behind HTTP ingest."""

    backlog_bytes: int = Field(1_000_000_000, ge=100_000, description="Undecided bytes at which ingest answers 429.")
    retention_bytes: int = Field(200_000_000, ge=0, description="Decided bytes that are kept.")


class PaneLogSettings(Section):
    """The decided panes of each monitor, kept so that `driftgate backtest` can try another configuration on them."""

    retention_bytes: int = Field(500_000_000, ge=0, description="Bytes kept per monitor; a pane of any of its streams takes about 3 kB.")
    retention_days: float = Field(90.0, gt=0, le=3_650, description="Days of log time kept.")


class Settings(BaseSettings):
    """Everything that one configuration file says."""

    model_config = SettingsConfigDict(env_prefix="DRIFTGATE__", env_nested_delimiter="__", extra="forbid", frozen=True)
    overridable: ClassVar[bool] = True

    directory: Path = Field(Path("driftgate-data"), description="Where state, references and data sets live.")
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    pane_log: PaneLogSettings = PaneLogSettings()
    budget: BudgetSettings = BudgetSettings()
    ingest_token: SecretStr | None = Field(None, exclude=True, description="Set by DRIFTGATE__INGEST_TOKEN only.")
    webhook_secret: SecretStr | None = Field(None, exclude=True, description="Of `POST /v1/annotations`; DRIFTGATE__WEBHOOK_SECRET only.")
    destinations: tuple[Destination, ...] = ()
    monitors: tuple[MonitorSettings, ...] = Field((), max_length=1000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes it by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not read, as nothing else beside the file and the environment
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not read either
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings) if cls.overridable else (init_settings,)

    @model_validator(mode="after")
    def _names(self) -> Self:
        _unique("monitors", [m.name for m in self.monitors])
        _unique("destinations", [d.name for d in self.destinations])
        known = {d.name for d in self.destinations}
        for monitor in self.monitors:
            for name in (*monitor.notify, monitor.annotation.destination, monitor.refresh.destination):
                if name is not None and name not in known:
                    raise ValueError(
                        f"monitor {monitor.name}: destination {name!r} is not declared; known: {', '.join(sorted(known)) or 'none'}"
                    )
        return self

    def monitor(self, name: str) -> MonitorSettings:
        """The monitor of that name; ConfigurationError lists those there are."""
        for monitor in self.monitors:
            if monitor.name == name:
                return monitor
        known = ", ".join(m.name for m in self.monitors) or "none"
        raise ConfigurationError(f"no monitor {name!r} in the configuration; declared: {known}")


class _Given(Settings):
    """What the document says, whatever the environment."""

    overridable = False


M = TypeVar("M", bound=BaseModel)


def _unique(field: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{field}: declared twice: {', '.join(twice)}")


def load(path: Path) -> Settings:
    """Reads and validates the file; every error names field, value and remedy, all of them at once."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}. `driftgate init` writes a commented configuration.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a mapping at the top, found {type(document).__name__}")
    return parse(document, base=path.resolve().parent, origin=str(path))


def parse(document: Mapping[str, Any], *, base: Path, origin: str = "configuration", environment: bool = True) -> Settings:
    """Validates a document; relative paths are taken from `base`. `environment`: whether DRIFTGATE__… variables override it."""
    try:
        settings = (Settings if environment else _Given)(**document)
    except ValidationError as error:
        raise ConfigurationError(f"{origin}:\n" + "\n".join(_explain(dict(e)) for e in error.errors())) from error
    return _absolute(settings, base)


def _explain(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "(whole file)"
    value = error.get("input")
    shown = "" if isinstance(value, Mapping) or error["type"] == "missing" else f" (found {value!r:.80})"
    return f"  {where}: {error['msg']}{shown}"


def _absolute(section: M, base: Path) -> M:
    """A copy in which every relative path stands below `base`."""

    def mend(value: Any) -> Any:
        if isinstance(value, Path):
            return base / value.expanduser()
        if isinstance(value, BaseModel):
            return _absolute(value, base)
        if isinstance(value, tuple):
            return tuple(mend(v) for v in value)
        return value

    return section.model_copy(update={name: mend(getattr(section, name)) for name in type(section).model_fields})


TOKEN = re.compile(r"^[\x21-\x7e]{16,512}$")
"""What an ingest token may look like: printable, at least 16 characters."""
