"""The JSON that goes in and out over HTTP. Times are RFC 3339 in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from service.records import BatchState, CycleState, Purpose, Trigger, Verdict

LATEST = datetime.max.replace(tzinfo=UTC)


def _moment(value: object) -> object:
    """Records keep seconds since the epoch; those beyond the year 9999 show as its end."""
    if not isinstance(value, int | float):
        return value
    return datetime.fromtimestamp(min(max(value, 0.0), LATEST.timestamp() - 1), UTC)


Time = Annotated[datetime, BeforeValidator(_moment)]


def _moment_or_never(value: object) -> object:
    return _moment(value) if value else None


TimeOrNever = Annotated[datetime | None, BeforeValidator(_moment_or_never)]


class View(BaseModel):
    """Goes out: filled from a record's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Form(BaseModel):
    """Comes in: fields of other names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MissingView(View):
    """What could not be said, why, and what would change that."""

    what: str
    why: str
    remedy: str


class Complaint(View):
    """What is wrong with one part of a request."""

    where: str = Field(examples=["query.limit"])
    message: str = Field(examples=["Input should be less than or equal to 1000"])


class Problem(View):
    """Why a request failed (RFC 9457): `error` is for programs, `message` for people; `title`, `status` and `detail` say the same."""

    type: str = Field(description="`urn:driftgate:problem:` and `error`.", examples=["urn:driftgate:problem:not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(examples=["no monitor 'suport'; there are: support"])
    error: str = Field(examples=["not_found"])
    message: str = Field(examples=["no monitor 'suport'; there are: support"])
    errors: tuple[Complaint, ...] = Field((), description="What is wrong with a request that can't be read, part by part.")


class PageView(View):
    """One page of a list."""

    next: str | None = Field(description="`cursor` of the page after this one; null on the last.", examples=[None])


# --- in


class AnswerView(View):
    """What became of one item."""

    index: int
    id: str | None = Field(description="The sender's id; null where it gave none.")
    status: Literal["accepted", "rejected"]
    reason: str | None = Field(None, examples=["not_finite"])
    message: str | None = None


class Receipt(View):
    """What became of a request's items; accepted ones are durable."""

    results: tuple[AnswerView, ...]
    accepted: int
    rejected: int


def _somebody(actor: str) -> str:
    if actor.strip().casefold() == "driftgate":
        raise ValueError("this names the program, which acts by itself; say who does it")
    return actor


Somebody = AfterValidator(_somebody)
"""Nobody acts in the program's name."""


class Act(Form):
    """Who does it, and why."""

    actor: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Somebody] = Field(
        examples=["ana@example.com"]
    )
    note: Annotated[str, StringConstraints(max_length=2_000)] = ""


class VerdictAct(Act):
    """What an alarm turned out to be."""

    verdict: Verdict = Field(
        description="`true` keeps the episode open, `false` closes it, `seasonal` holds it back; one that is resolved stays so."
    )


class LabelForm(Form):
    """An annotator's answer: a class, or none with `unusable`."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] = Field(description="The candidate's `driftgate_id`.")
    label: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="A class of the label scheme or an alias of one, `none of these`, or `new: NAME`."
    )
    unusable: bool = Field(False, description="Junk, unreadable.")
    annotator: Annotated[str, StringConstraints(max_length=200)] = ""

    @model_validator(mode="after")
    def _answered(self) -> Self:
        if (self.label is None) != self.unusable:
            raise ValueError("give a label, or unusable: true without one")
        return self


class LabelsForm(Form):
    """Answers to one annotation batch."""

    batch: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    labels: Annotated[tuple[LabelForm, ...], Field(min_length=1, max_length=10_000)]


class AnnotationForm(BaseModel):
    """A Standard Webhooks delivery with labels; further fields of the envelope are ignored."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "annotation.returned",
                    "timestamp": "2026-03-01T12:00:00Z",
                    "data": {"batch": "0c3f", "labels": [{"id": "m-17", "label": "refund", "annotator": "ana"}]},
                }
            ]
        },
    )

    type: Literal["annotation.returned"]
    timestamp: AwareDatetime
    data: LabelsForm


# --- out


class MonitorLine(View):
    """A monitor in the list."""

    monitor: str
    state: str
    samples: int
    origin: str = Field(description="The file that declares it, seen from the installation's directory, or `api`.", examples=["api"])
    version: int = Field(description="Of its declaration: every change raises it.")


class Monitors(PageView):
    """In the order in which they were declared."""

    monitors: tuple[MonitorLine, ...]


class DeclarationView(View):
    """A monitor as it is declared."""

    monitor: str
    origin: str = Field(examples=["api"])
    version: int
    reference: int | None = Field(description="The version in force.")
    settings: Mapping[str, Any]


class Undecided(View):
    """Committed and not yet decided on, because their panes are open."""

    panes: int
    samples: int


class MonitorView(BaseModel):
    """A monitor as it stands; the figures of the last decision stand beside these."""

    model_config = ConfigDict(extra="allow", frozen=True)

    monitor: str
    state: str = Field(
        description="`warming up` until it can decide; `untimed` while most samples come at no hour that the reference could go by; "
        "`blind` while too much of the input is lost to tell; `silent` while none comes.",
        examples=["watching"],
    )
    samples: int = Field(description="Taken so far.")
    undecided: Undecided


class StepView(View):
    """One step of a life, with its reason."""

    state: str
    reason: str
    time: Time
    actor: str
    note: str


class MeasuredView(View):
    """An estimate with its interval."""

    estimate: float
    low: float
    high: float


class CandidateView(View):
    """A sample proposed for annotation."""

    id: str
    reason: str
    risk: float = Field(description="Probability that, once answered, it turns out unusable or harmful; its parts stand below.")
    segment: str
    text: str
    predicted: str | None
    weight: int = Field(description="Samples of the traffic that it stands for, itself included.")
    purpose: Purpose
    value: float = Field(description="What it is expected to add; comparable within a batch.")
    junk: float
    contested: float
    influence: float
    failure: str = Field(description="The failure cluster, or the class, whose mass it covers; empty where it probes.")
    nearest: tuple[str, ...] = Field(description="Ids of the nearest samples that must not regress, nearest first.")
    copies: tuple[str, ...] = Field(description="Ids of some of the near-duplicates that it stands for.")
    inclusion: float | None = Field(description="Challenge rows: the probability with which it was drawn.")
    time: Time
    answers: int = Field(description="How many annotators answer it, each for themselves.")
    again: str = Field(description="The batch whose answer is in doubt; empty for a first answer.")
    priority: float = Field(description="Share of what all known failures cost that its own makes up.")
    doubt: float | None = Field(description="Probability that its label is wrong, by the label checks.")
    against: tuple[str, ...] = Field(description="What speaks against its label, the strongest first.")
    settled: str | None = Field(description="What answers that differ come to, empty for unusable.")
    blind: bool = Field(description="Whether annotators see neither prediction nor score nor reason.")


class BatchLine(View):
    """A batch in the list."""

    id: str
    monitor: str
    cycle: str
    reference_version: int
    state: BatchState
    created: Time
    returned: int
    version: int
    round: int = Field(description="Which of its cycle's batches it is.")
    scheme: int = Field(description="Version of the label scheme by which it is answered.")
    deadline: TimeOrNever = Field(description="When it closes with what has come; null: never by itself.")
    manifest: str = Field(description="SHA-256 of its manifest.")
    priority: int = Field(description="0 to 10; larger goes first.")
    destination: str = Field(description="Where it was sent; empty before that.")


class BatchView(BatchLine):
    """A batch with its candidates."""

    items: tuple[CandidateView, ...]
    dropped: tuple[CandidateView, ...] = Field(description="What a person took out before it was sent.")
    history: tuple[StepView, ...]


class Batches(PageView):
    """Newest first."""

    batches: tuple[BatchLine, ...]


class ArtefactView(View):
    """A model of a cycle."""

    path: str = Field(description="Of the ONNX file, from the installation's directory.")
    checksum: str = Field(description="SHA-256 of the file with its external weights.")
    classes: tuple[str, ...]
    version: str = Field(description="What outputs of the model carry as `model_version`.")
    created: Time
    uri: str = Field(description="Where whoever trained it keeps it.")
    run: Mapping[str, Any] = Field(description="How it was made.")


class CycleView(View):
    """A refresh cycle."""

    id: str
    monitor: str
    reference_version: int
    opened_by: str
    trigger: Trigger | None = Field(description="What opened it.")
    attempt: int
    state: CycleState
    created: Time
    batch: str = Field(description="The newest.")
    earlier: tuple[str, ...] = Field(description="Batches of the rounds before, oldest first.")
    rounds: int = Field(description="How many batches it may send.")
    segment: str = Field(description="Of which stream its samples are.")
    since: Time = Field(description="From when on.")
    model: ArtefactView | None = Field(description="What the trainer gave.")
    served: ArtefactView | None = Field(description="What is verified and would be served: the model itself, or a switch.")
    requested: Mapping[str, Any] | None = Field(description="What its request for training says.")
    verification: Mapping[str, Any] | None
    history: tuple[StepView, ...]
    version: int


class Cycles(PageView):
    """Newest first."""

    cycles: tuple[CycleView, ...]


class DeadLetterView(View):
    """An item that could not be used."""

    id: str
    monitor: str | None
    reason: str
    message: str
    stage: str
    partition: str
    offset: int
    index: int
    time: Time
    original: str = Field(description="The start of what came, a decoded item as JSON; of several letters for one event the first has it.")


class DeadLetters(PageView):
    """Newest first."""

    dead_letters: tuple[DeadLetterView, ...]


class OutboxView(View):
    """Something that must leave."""

    id: str
    kind: str
    destination: str
    created: Time
    state: str
    attempts: int
    due: Time
    error: str = Field(description="Why the last attempt failed, or why there was nothing left to send.", examples=[""])
    held: str = Field("", description="Why it waits, though it is due: a silence, a maintenance pause.", examples=[""])


class Outbox(PageView):
    """Newest first."""

    items: tuple[OutboxView, ...]


class Alive(View):
    """Whether the loops turn."""

    status: Literal["alive", "stuck"]
    stuck: tuple[str, ...] = ()


class Ready(View):
    """Whether the role can do its work."""

    status: Literal["ready", "waiting"]
    waiting_for: tuple[str, ...] = ()
    without_reference: tuple[str, ...] = ()
    reasons: Mapping[str, str] = Field({}, description="Why it waits, by what it waits for.")
    monitors: tuple[str, ...] = Field((), description="Those that this process knows; with a token, as reasons and notes are.")
    notes: Mapping[str, str] = Field({}, description="What is wrong without stopping it, such as a configuration file that can't be read.")
