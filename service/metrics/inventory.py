"""Every metric of driftgate, declared once: what processes show, docs/metrics.md and the tests of alert rules and dashboards follow it.

Labels never hold ids. A monitor has fewer than a hundred series by default; labels whose values others choose are capped (`__other__`
beyond), and so are a monitor's segments and all series of a process together.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.metrics.declared import Declaration, Role, counter, gauge, histogram, identity
from service.records import AlarmState, Outcome, Purpose, Severity
from service.truth.taking import Fate

ALL, API, WORKER, CONTROLLER, LEADER = Role.ALL, Role.API, Role.WORKER, Role.CONTROLLER, Role.LEADER
KAFKA, EMBEDDED, REDIS = "with Kafka", "with the embedded log", "with Redis"

_MONITOR, _TOPIC = ("monitor",), ("topic",)
_STREAM, _WHOLE = ("monitor", "segment", "family"), ("monitor", "family")
_DECIDED = "once the monitor was decided"
_REPORTED = "once there is a report"
_TOLD = "where the model tells its confidence"
_LABELLED = "once there are labels"
_OPEN = "while a cycle is open"

_QUICK = (0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0)
_REQUEST = (0.005, 0.025, 0.1, 0.5, 2.0, 10.0)
_STAGE = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
_DELAY = (3_600.0, 86_400.0, 7 * 86_400.0)

STATUSES = ("2xx", "3xx", "4xx", "5xx")
STAGES = ("decode", "embed", "fold", "commit", "decide", "deliver")
KINDS = (
    *(
        "alarm.opened",
        "alarm.worse",
        "alarm.resolved",
        "annotation.batch",
        "annotation.cancelled",
        "annotation.priority",
        "annotation.forget",
    ),
    *("refresh.requested", "refresh.verified", "refresh.promoted", "refresh.reverted", "refresh.shortfall"),
    *("refresh.opened", "refresh.approval", "refresh.verdict", "refresh.ended", "refresh.stuck", "refresh.late", "refresh.due"),
)
_DOOR = ("json", "payload", "empty", "too_large", "dimension")
_LETTERS = ("json", "body", "payload", "empty", "too_large", "dimension")
_WAITED = ("timeout", "full", "ended", "replaced", "other_model")
_STEPS = (
    *(("open", reason) for reason in ("drift", "worse", "blind", "silent")),
    *(("acknowledged", reason) for reason in ("seen", "true_alarm")),
    *(("resolved", reason) for reason in ("calm", "closed", "false_alarm", "seasonal", "rebased", "seeing", "resumed")),
)
_STANDING = (AlarmState.OPEN, AlarmState.ACKNOWLEDGED)
_JUDGED = (Purpose.PROBE, Purpose.EXPAND, Purpose.AUDIT)

# --- every process ------------------------------------------------------------------------------------------------------

BUILD = identity("build", "the running version.", ALL, labels=("version",))
STARTED = gauge("start_timestamp_seconds", "When the process started.", ALL)
SERIES = gauge("series", "Series that this scrape shows, this one among them.", ALL)
SERIES_LEFT_OUT = gauge("series_left_out", "Series beyond the cap of a process, which are not shown.", ALL)
OVERFLOW = counter(
    "label_overflow", "Values without series of their own because their label is capped.", ALL,
    labels=("label",), known={"label": ("reason", "kind", "segment", "route")},
)  # fmt: skip
TURNED = gauge(
    "loop_turn_timestamp_seconds", "When each loop of the process last turned; it hangs when that is long ago.", ALL, labels=("loop",)
)
LOG_DROPPED = counter("log_records_dropped", "Log records of clients that said within a minute what they had said.", ALL, read=True)
_OPERATIONS = ("assign", "commit", "decide", "entity", "event", "label", "lease", "letter", "outbox", "pool", "read", "upkeep")
STORE_SECONDS = histogram(
    "store_seconds", "Time that the store takes, by class of operation.", ALL,
    labels=("operation",), known={"operation": _OPERATIONS},
    buckets=_QUICK,
)  # fmt: skip
STORE_ERRORS = counter(
    "store_errors", "Operations of the store that failed, refused comparisons aside.", ALL,
    labels=("operation",), known=STORE_SECONDS.known,
)  # fmt: skip
REQUESTS = counter("http_requests", "Requests by the route's template and class of status.", ALL, labels=("route", "status"))
REQUEST_SECONDS = histogram("http_request_seconds", "Time from a request to its answer.", ALL, labels=("route",), buckets=_REQUEST)

# --- what comes in ------------------------------------------------------------------------------------------------------

RECEIVED = counter("samples_received", "Samples and events that arrived over HTTP.", API, labels=_MONITOR)
REJECTED = counter(
    "samples_rejected",
    "Samples refused at the door, with the reason in the answer.",
    API,
    labels=("monitor", "reason"),
    known={"reason": _DOOR},
)
LABELS = counter(
    "labels", "Labels that came, by what became of them.", API, labels=("monitor", "outcome"), known={"outcome": tuple(map(str, Fate))}
)
LABEL_DELAY = histogram("label_delay_seconds", "Time from a sample to its label.", API, labels=_MONITOR, buckets=_DELAY)
BACKLOG_BYTES = gauge("ingest_backlog_bytes", "Accepted and not yet committed.", API, when=EMBEDDED)
BACKLOG_ENTRIES = gauge("ingest_backlog_entries", "Accepted and not yet committed.", API, when=EMBEDDED)

# --- what workers do ----------------------------------------------------------------------------------------------------

TAKEN = counter("samples_taken", "Samples folded into panes.", WORKER, labels=_MONITOR)
DUPLICATES = counter("samples_duplicate", "Samples not taken because their id was among the recent ones.", WORKER, labels=_MONITOR)
DEAD_LETTERS = counter(
    "dead_letters", "Accepted items that could not be used.", WORKER, labels=("monitor", "reason"), known={"reason": _LETTERS}
)
UNANSWERED = counter(
    "samples_unanswered", "Samples of requests whose answer did not come, or came from another model.", WORKER,
    labels=("monitor", "reason"), known={"reason": _WAITED}, when="of monitors that join answers to requests",
)  # fmt: skip
EMBEDDED_SAMPLES = counter("samples_embedded", "Samples embedded.", WORKER, labels=_MONITOR)
EMBED_SECONDS = counter("embed_seconds", "Time spent on embedding; over samples embedded, what one costs.", WORKER, labels=_MONITOR)
EMBED_ERRORS = counter("embed_errors", "Batches that the embedder failed on, which are tried again.", WORKER, labels=_MONITOR)
EMBEDDER = identity("embedder", "the embedder in use.", WORKER, labels=("monitor", "fingerprint"))
PANES = counter("panes_closed", "Panes closed, those of segments included.", WORKER, labels=_MONITOR)
LAST_PANE = gauge(
    "last_pane_timestamp_seconds", "Log time of the last closed pane.", WORKER, labels=_MONITOR, when="once a pane has closed"
)
BATCH = histogram("batch_records", "Records that are worked on at once.", WORKER, buckets=(1, 4, 16, 64, 256, 512))
LAG = gauge("consumer_lag_records", "Records of the worker's partitions that wait to be read.", WORKER, labels=_TOPIC)
LAG_SECONDS = gauge(
    "consumer_lag_seconds",
    "How far the worker is behind: age of the last record it took while others wait; 0 when none does.",
    WORKER,
    labels=_TOPIC,
)
STAGE_SECONDS = histogram(
    "stage_seconds", "Time that a batch takes in each stage of its way.", WORKER | CONTROLLER,
    labels=("stage",), known={"stage": STAGES}, buckets=_STAGE,
)  # fmt: skip

# --- what controllers do ------------------------------------------------------------------------------------------------

LEADS = gauge("leader", "1 in the process that decides.", CONTROLLER)
CROSSINGS = counter("crossings", "Times that evidence passed its threshold.", CONTROLLER, labels=_MONITOR)
ALARM_STEPS = counter(
    "alarm_steps",
    "Steps of alarms, by the state they lead to and their reason.",
    CONTROLLER,
    labels=("monitor", "state", "reason"),
    known=_STEPS,
)
DELIVERIES = counter(
    "deliveries", "Attempts to deliver from the outbox.", CONTROLLER,
    labels=("kind", "outcome"), known={"kind": KINDS, "outcome": ("delivered", "retry", "dead", "dropped")},
)  # fmt: skip
CANDIDATES = counter(
    "candidates", "Answered candidates by what became of them.", CONTROLLER,
    labels=("monitor", "outcome"), known={"outcome": tuple(map(str, Outcome))},
)  # fmt: skip
PURPOSES = counter(
    "candidates_by_purpose", "Of all monitors together, also by what they were asked for.", CONTROLLER,
    labels=("purpose", "outcome"), known={"purpose": tuple(map(str, _JUDGED)), "outcome": tuple(map(str, Outcome))},
)  # fmt: skip
ANSWERS = counter("answers_checked", "Annotators' answers that went through the label checks.", CONTROLLER, labels=_MONITOR)
DOUBTFUL = counter("answers_doubtful", "Of them, how many are wrong, by expectation.", CONTROLLER, labels=_MONITOR)
ASKED_AGAIN = counter("answers_asked_again", "Of them, those sent back for a second opinion.", CONTROLLER, labels=_MONITOR)
EXPIRED = counter(
    "expired", "What went with age, by where it was.", CONTROLLER,
    labels=("place",),
    known={"place": ("pool", "reserve", "waiting", "documents", "outbox", "dead letters", "requests", "reports", "log")},
)  # fmt: skip
GOLD = counter(
    "gold_answers",
    "Answers to rows whose answer is known.",
    CONTROLLER,
    labels=("monitor", "outcome"),
    known={"outcome": ("right", "wrong")},
)

# --- the installation, as the leader tells it ---------------------------------------------------------------------------

MONITOR = identity("monitor", "a monitor and whose it is.", LEADER, labels=("monitor", "team"))
PUBLIC_URL = identity("public_url", "where people find the console.", LEADER, labels=("url",), when="with server.public_url")
MODEL = identity(
    "model", "the model and the reference in force.", LEADER, labels=("monitor", "fingerprint", "model_version", "reference_version")
)

LAST_DECISION = gauge("last_decision_timestamp_seconds", "Log time up to which panes are decided.", LEADER, labels=_MONITOR, when=_DECIDED)
EVIDENCE = gauge("evidence", "Evidence for drift, on the scale of the threshold.", LEADER, labels=_STREAM, when=_DECIDED)
THRESHOLD = gauge("evidence_threshold", "Evidence at which the stream alarms.", LEADER, labels=_STREAM, when=_DECIDED)
_EFFECT = "Effect on the whole stream, as an equivalent share of new content"
EFFECT = gauge("effect_ratio", f"{_EFFECT}.", LEADER, labels=_WHOLE, when=_DECIDED)
EFFECT_LOW = gauge("effect_low_ratio", f"{_EFFECT}: lower bound.", LEADER, labels=_WHOLE, when=_DECIDED)
EFFECT_HIGH = gauge("effect_high_ratio", f"{_EFFECT}: upper bound.", LEADER, labels=_WHOLE, when=_DECIDED)
NOVEL = gauge("novel_share_ratio", "Share of the whole stream that lies near no reference cluster.", LEADER, labels=_MONITOR, when=_DECIDED)
_ACCURACY = "Accuracy of the model on the whole stream, told from its calibrated confidence without labels"
ACCURACY = gauge("accuracy_estimate_ratio", f"{_ACCURACY}.", LEADER, labels=_MONITOR, when=_TOLD)
ACCURACY_LOW = gauge("accuracy_estimate_low_ratio", f"{_ACCURACY}: lower bound.", LEADER, labels=_MONITOR, when=_TOLD)
ACCURACY_HIGH = gauge("accuracy_estimate_high_ratio", f"{_ACCURACY}: upper bound.", LEADER, labels=_MONITOR, when=_TOLD)
_ERRORS = "Share of wrong answers among those with a label, under the reference in force"
ERRORS = gauge("error_rate_ratio", f"{_ERRORS}.", LEADER, labels=_MONITOR, when=_LABELLED)
ERRORS_LOW = gauge("error_rate_low_ratio", f"{_ERRORS}: lower bound.", LEADER, labels=_MONITOR, when=_LABELLED)
ERRORS_HIGH = gauge("error_rate_high_ratio", f"{_ERRORS}: upper bound.", LEADER, labels=_MONITOR, when=_LABELLED)
LOSS = gauge("input_loss_ratio", "Share of the latest window's input that was lost.", LEADER, labels=_MONITOR, when=_DECIDED)
BLIND = gauge(
    "monitor_blind", "1 while too much of the input is lost to tell drift, or its answers.", LEADER, labels=_MONITOR, when=_DECIDED
)
SILENT = gauge("monitor_silent_seconds", "How long nothing of the monitor has come, while this process looks.", LEADER, labels=_MONITOR)

MAINTENANCE = gauge("maintenance", "1 while a person has paused its alarms.", LEADER, labels=_MONITOR, when=_DECIDED)
SILENCES = gauge("silences", "Silences that stand.", LEADER)
POLICY = gauge(
    "policy_checks", "Required checks of the installation's policy, by what was found of them.", LEADER,
    labels=("monitor", "finding"), when="with a policy",
)  # fmt: skip

ALARMS = gauge(
    "alarms", "Alarms of drift that stand, but for those that notify nobody.", LEADER,
    labels=("monitor", "state", "severity"), known={"state": tuple(map(str, _STANDING)), "severity": tuple(map(str, Severity))},
)  # fmt: skip
BUDGET_USED = gauge(
    "alarm_budget_used_ratio",
    "Alarms of drift in the last budget.days, over budget.alarms; the sum over monitors is the installation's.",
    LEADER,
    labels=_MONITOR,
)
BUDGET_RESERVED = gauge(
    "alarm_budget_reserved_ratio", "False alarms that a monitor's streams may raise at their traffic, over the budget.", LEADER,
    labels=_MONITOR, when="once its traffic is known",
)  # fmt: skip

CYCLES = gauge(
    "refresh_cycles",
    "Refresh cycles that are in each state, ended ones included.",
    LEADER,
    labels=("monitor", "state"),
    when="where there are some",
)
CYCLE_STATE = gauge(
    "refresh_cycle_state", "1 for the state that the monitor's open cycle is in.", LEADER, labels=("monitor", "state"), when=_OPEN
)
CYCLE_AGE = gauge(
    "refresh_cycle_age_seconds", "How long it has waited for what it waits for.", LEADER, labels=("monitor", "state"), when=_OPEN
)
CYCLE_STUCK = gauge(
    "refresh_cycle_stuck", "1 when that is longer than refresh.limits has it.", LEADER, labels=("monitor", "state"), when=_OPEN
)
APPROVAL = gauge("refresh_approval_waits", "1 while it waits for a person's word.", LEADER, labels=_MONITOR, when=_OPEN)
DUE = gauge("refresh_due", "1 while a refresh is due that did not open.", LEADER, labels=("monitor", "trigger"), when="while one is due")
FRESHNESS = gauge(
    "test_set_freshness_ratio",
    "Share of the traffic that the test set covers.",
    LEADER,
    labels=_MONITOR,
    when="where there is a golden set",
)
COVERAGE = gauge(
    "coverage_ratio",
    "Share of the traffic that the training set covers, or the reference where there is none.",
    LEADER,
    labels=_MONITOR,
    when=_REPORTED,
)
BATCHES = gauge(
    "annotation_batches",
    "Annotation batches that are in each state, ended ones included.",
    LEADER,
    labels=("monitor", "state"),
    when="where there are some",
)

OUTBOX = gauge(
    "outbox_items", "Items that have not left; dead ones wait for a replay.", LEADER,
    labels=("kind", "state"), known={"kind": KINDS, "state": ("pending", "dead")},
)  # fmt: skip
OUTBOX_AGE = gauge(
    "outbox_oldest_age_seconds", "Age of the oldest item in the state; 0 without one.", LEADER, labels=("kind", "state"), known=OUTBOX.known
)
DISABLED = gauge(
    "destination_disabled", "1 while a destination wants nothing any more (410) until a person mends it.", LEADER, labels=("destination",)
)
UNSENT = gauge("dead_letters_unsent", "Dead letters that wait in the store for their topic.", LEADER, when=KAFKA)
LOST = counter("records_lost", "Records that the log let go of before they were read.", LEADER, labels=_TOPIC, read=True)
STOPPED = gauge("partition_stopped", "Partitions that wait until a person says where to read on.", LEADER, labels=_TOPIC)
BLOB_BYTES = gauge("blob_bytes", "Payloads that are kept.", LEADER, when=REDIS)
BLOBS_REFUSED = counter("blobs_refused", "Payloads that the cap left no room for.", WORKER, when=REDIS, read=True)
PAYLOADS_LEFT_OUT = counter("payloads_left_out", "Samples kept without payload: their team's quota of bytes is full.", WORKER, read=True)

EVERY: Mapping[str, Declaration] = {each.name: each for each in tuple(globals().values()) if isinstance(each, Declaration)}
"""By name, in the order above."""


def names() -> frozenset[str]:
    """What can be asked for: the names of all samples."""
    return frozenset(name for each in EVERY.values() for name in each.shown)
