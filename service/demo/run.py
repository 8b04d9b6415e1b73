"""`driftgate demo`: the whole loop on a support chat that drifts.

Messages, labels and the new model go in over the running service's HTTP interface; batches and requests come out as files. What is
shown in full is asked of the service's own parts.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from service import screens
from service.annotation import scheme_of
from service.app import Serving, opened, served
from service.demo.annotator import Annotator
from service.demo.messages import CALM, DRIFTED, Kind, Message, Mix
from service.demo.scene import ANNOTATORS, MONITOR, TRAINER, Scene, first_model, prepare, retrain, settings_for
from service.errors import DriftgateError
from service.heads import Head
from service.records import Alarm, AnnotationBatch, Candidate, CycleState, Purpose, RefreshCycle, stable_id
from service.refresh import ENDED
from service.screens.bars import step_bars
from service.screens.candidates import candidate_table
from service.screens.verifying import verification_table

_CALM, _AFTER, _BATCH = 640, 480, 32
SETTLED = replace(DRIFTED, repeat=CALM.repeat)
"""The launch goes on; the retry storm is over."""

_MOST_DRIFTED = 4_000
_PATIENCE = 120.0


class DemoError(DriftgateError):
    """The show did not go on: something that should have come did not."""


@dataclass(frozen=True, slots=True)
class Show:
    """The running service, as its clients see it."""

    console: Console
    scene: Scene
    serving: Serving
    client: httpx2.Client

    def say(self, *parts: RenderableType) -> None:
        """Prints below a blank line."""
        self.console.print(Group("", *parts))

    def get(self, path: str) -> Any:
        """A query of the API."""
        return self._answer(self.client.get(path))

    def post(self, path: str, body: Any) -> Any:
        """A request to the API."""
        return self._answer(self.client.post(path, json=body))

    def put(self, path: str, file: Path, **query: Any) -> Any:
        """A file to the API, piece by piece."""
        with file.open("rb") as content:
            return self._answer(self.client.put(path, content=content, params=query))

    def until(self, what: str, ready: Callable[[], Any]) -> Any:
        """Waits for something that the service does by itself."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            found = ready()
            if found:
                return found
            time.sleep(0.1)
        raise DemoError(f"waited {_PATIENCE:.0f} s for {what}; the service's log is in {self.scene.directory / 'service.log'}")

    def _answer(self, response: httpx2.Response) -> Any:
        if response.is_error:
            raise DemoError(f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text[:300]}")
        return response.json()


def run(console: Console, *, exit_when_done: bool = False, port: int = 8080, seed: int = 20_261) -> int:
    """Plays the demo; returns 0 when the loop closed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="driftgate-demo-") as folder:
        scene = Scene.new(Path(folder), seed=seed)
        settings, head = _set_up(console, scene, port)
        with (
            served(settings) as serving,
            _answering(serving),
            _client(serving) as client,
        ):
            show = Show(console, scene, serving, client)
            closed = _play(show, head)
            took = time.monotonic() - started
            console.print(_summary(closed, serving.address, took))
            if not exit_when_done:
                _stay(console, serving.address)
    return 0 if closed.state is CycleState.PROMOTED else 1


def _set_up(console: Console, scene: Scene, port: int) -> tuple[Any, Head]:
    console.print(Rule("driftgate demo: a support chat whose traffic drifts", align="left"))
    console.print("Nothing leaves this machine. Model: all-MiniLM-L6-v2 with a linear head, in ONNX Runtime.\n", style="dim")
    with step_bars(console) as progress:
        now = time.time()
        model, head, train = first_model(scene, _cache(), now=now, progress=progress)
        settings = settings_for(scene, model, head, port=port)
        with opened(settings) as installation:
            prepare(installation, scene, train, now=now, progress=progress)
    return settings, head


def _play(show: Show, head: Head) -> RefreshCycle:
    """Calm, drift, alarm, candidates, labels, a new model, its verification, the rebase, and calm again."""
    show.say(
        Text.assemble(
            "The service runs at ",
            (show.serving.address, "bold"),
            "; messages arrive over HTTP. Watch it at ",
            (f"{show.serving.address}/console", "bold"),
        )
    )
    drifted = _stream_until_alarm(show)
    alarm = _alarm(show)
    show.say(Text("ALARM", "bold red"), screens.alarm_explanation(alarm))
    cycle = _stream_until_cycle(show, drifted)
    _annotate_in_rounds(show, cycle, drifted)
    cycle = _train_and_verify(show, cycle, head)
    show.say(Text("OLD AGAINST NEW", "bold"), verification_table(cycle.verification or {}))
    if cycle.state is CycleState.PROMOTED:
        _rebased(show)
    return cycle


# --- traffic ------------------------------------------------------------------------------------------------------


def _stream_until_alarm(show: Show) -> list[Message]:
    """An ordinary day, then the launch; returns the messages since then."""
    drifted: list[Message] = []
    with Live(console=show.console, refresh_per_second=8, transient=False) as live:
        for sent in range(0, _CALM, _BATCH):
            _send(show, CALM, _BATCH)
            live.update(_watching(show, sent + _BATCH, 0))
        while len(drifted) < _MOST_DRIFTED:
            drifted += _send(show, DRIFTED, _BATCH)
            live.update(_watching(show, _CALM + len(drifted), len(drifted)))
            if _whole_alarms(show):
                return drifted
    raise DemoError(f"no alarm within {_MOST_DRIFTED} drifted messages")


def _stream_until_cycle(show: Show, drifted: list[Message]) -> RefreshCycle:
    """The drift goes on until enough of it has been seen to choose from."""
    with Live(console=show.console, refresh_per_second=8) as live:
        while len(drifted) < _MOST_DRIFTED:
            drifted += _send(show, DRIFTED, _BATCH)
            live.update(Text(f"{len(drifted)} messages since the launch; a refresh cycle opens when enough of the drift has been seen"))
            cycles = show.get("/v1/refresh")["cycles"]
            if cycles:
                return show.serving.installation.store.get(RefreshCycle, cycles[0]["id"])
    raise DemoError(f"no refresh cycle within {_MOST_DRIFTED} drifted messages")


def _send(show: Show, mix: Mix, count: int) -> list[Message]:
    """Posts messages and waits until they are decided, so that what is shown is what was sent."""
    messages = show.scene.draw(count, start=time.time(), mix=mix)
    body = [{"id": m.id, "text": m.text, "segments": dict(m.segments)} for m in messages]
    before = show.get(f"/v1/monitors/{MONITOR}")["samples"]
    show.post(f"/v1/monitors/{MONITOR}/samples", body)
    show.until("samples to be taken", lambda: show.get(f"/v1/monitors/{MONITOR}")["samples"] >= before + count)
    return messages


def _watching(show: Show, sent: int, drifted: int) -> RenderableType:
    status = show.get(f"/v1/monitors/{MONITOR}")
    whole = next((s for s in status.get("streams") or () if s["segment"] == "all"), None)
    phase = f"{drifted} since the product launch" if drifted else "an ordinary day"
    line = Text(f"{sent:5} messages, {phase}")
    if whole is None:
        return line
    share = min(whole["evidence"] / whole["threshold"], 1.0)
    bar = "█" * round(24 * share) + "·" * (24 - round(24 * share))
    return Group(line, Text(f"      evidence {bar} {whole['evidence']:.1f} of {whole['threshold']:.1f}", "red" if share >= 1 else "green"))


def _whole_alarms(show: Show) -> Sequence[Mapping[str, Any]]:
    alarms = show.get(f"/v1/alarms?monitor={MONITOR}")["alarms"]
    return [alarm for alarm in alarms if alarm["segment"] == "all" and alarm["state"] != "resolved"]


def _alarm(show: Show) -> Alarm:
    return show.serving.installation.store.get(Alarm, _whole_alarms(show)[0]["id"])


# --- the loop's other half ----------------------------------------------------------------------------------------


def _annotate_in_rounds(show: Show, cycle: RefreshCycle, drifted: Sequence[Message]) -> None:
    """Batch for batch: each is chosen by what the annotator said of the one before."""
    while cycle.state is CycleState.ANNOTATING:
        batch = show.serving.installation.store.get(AnnotationBatch, cycle.batch)
        chosen = [item for item in batch.items if item.purpose is not Purpose.CHALLENGE]
        table = [candidate_table(chosen, limit=6)] if batch.round == 1 else []
        if any(item.again for item in batch.items):
            show.say(Text(f"IN DOUBT   {len(batch.items)} of these answers: asked again, blind", "bold"))
        else:
            show.say(Text(f"CANDIDATES round {batch.round} of {cycle.rounds}", "bold"), *table, _selected(batch, chosen, drifted))
        _annotate(show, batch)
        cycle = show.until("the next round or the refresh request", partial(_moved_on, show, cycle))


def _moved_on(show: Show, before: RefreshCycle) -> RefreshCycle | None:
    """The cycle with its next batch, or in training."""
    cycle = show.serving.installation.store.get(RefreshCycle, before.id)
    return cycle if (cycle.batch, cycle.state) != (before.batch, before.state) else None


def _selected(batch: AnnotationBatch, chosen: Sequence[Candidate], drifted: Sequence[Message]) -> Text:
    """What was chosen against what had arrived, by the truth that only the demo knows."""
    kinds = {message.id: message.kind for message in drifted}
    arrived = sum(kind is Kind.JUNK for kind in kinds.values())
    new = sum(kinds.get(item.id) is Kind.LAUNCH for item in chosen)
    junk = sum(kinds.get(item.id) is Kind.JUNK for item in chosen)
    drawn = len(batch.items) - len(chosen)
    challenge = f"; {drawn} more drawn at random, to test the new model with" if drawn else ""
    found = f"{new} of the new topic, {junk} junk (of {arrived} that arrived)"
    return Text(f"{len(chosen)} of {len(kinds)} messages since the launch: {found}{challenge}", "dim")


def _annotate(show: Show, batch: AnnotationBatch) -> None:
    """A simulated annotator reads the batch from its folder and returns labels as a vendor would."""
    folder = show.scene.directory / ANNOTATORS
    path = folder / f"annotation.batch-{stable_id('annotation.batch', batch.id)}.jsonl"
    show.until("the batch to reach the annotators", path.is_file)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    scheme = scheme_of(show.serving.installation.store, MONITOR)
    known = [each.name for each in scheme.classes] if scheme else []
    labels = Annotator(show.scene.truth, known=known).answer([line["driftgate_id"] for line in lines])
    sent = {"batch": batch.id, "labels": labels}
    show.post("/v1/annotations", {"type": "annotation.returned", "timestamp": datetime.now(UTC).isoformat(), "data": sent})
    unusable = sum(label["unusable"] for label in labels)
    show.say(Text(f"ANNOTATED  {len(labels)} samples from {path.name[:24]}…, {unusable} of them called unusable", "bold"))


def _train_and_verify(show: Show, cycle: RefreshCycle, head: Head) -> RefreshCycle:
    """The refresh request reaches the trainer, a new head comes back and is judged."""
    folder, installation = show.scene.directory / TRAINER, show.serving.installation
    path = show.until("the refresh request", lambda: next(iter(folder.glob("refresh.requested-*.json")), None))
    labels = json.loads(path.read_text())["data"]["data"]["labels"]
    show.say(Text(f"REFRESH    requested: {sum(labels.values())} new labels in {len(labels)} classes", "bold"))
    with step_bars(show.console) as progress:
        progress("training the new classifier", 0.0)
        model, new = retrain(installation, head, show.scene.directory / "candidate" / "model.onnx")
    show.put(f"/v1/refresh/{cycle.id}/model", model, version="model-2", classes=new.classes)
    judged: RefreshCycle = show.until("the verdict on the new model", partial(_ended, show, cycle))
    return judged


def _ended(show: Show, before: RefreshCycle) -> RefreshCycle | None:
    """The cycle with its verdict and, where the new model is proven, its reference."""
    cycle = show.serving.installation.store.get(RefreshCycle, before.id)
    failed = cycle.verification is not None and not cycle.verification["passed"]
    return cycle if failed or cycle.state in ENDED else None


def _rebased(show: Show) -> None:
    """The new reference comes into force by itself, and the same traffic is ordinary now."""
    version = show.serving.installation.version(MONITOR)
    show.until("the new reference", lambda: show.get(f"/v1/monitors/{MONITOR}").get("reference_version") == version)
    for _ in range(0, _AFTER, _BATCH):
        _send(show, SETTLED, _BATCH)
    state = show.get(f"/v1/monitors/{MONITOR}")["state"]
    show.say(Text(f"REBASED    on reference version {version}; after {_AFTER} more messages with the new topic: {state}", "bold green"))


# --- around the show ----------------------------------------------------------------------------------------------


def _summary(cycle: RefreshCycle, address: str, seconds: float) -> RenderableType:
    return Group(
        "",
        screens.cycle_timeline(cycle) if cycle.state is not CycleState.PROMOTED else Rule("the loop is closed", align="left"),
        f"drift → alarm → candidates → labels → new model → verified → rebased, in {seconds:.0f} s",
        f"console: {address}/console   API and its documentation: {address}/docs   metrics: {address}/metrics",
    )


def _stay(console: Console, address: str) -> None:
    console.print(f"The service goes on running; look around at {address}/console. Ctrl-C ends it.", style="dim")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("stopped", style="dim")


def _client(serving: Serving) -> httpx2.Client:
    return httpx2.Client(base_url=serving.address, timeout=30, trust_env=False)


@contextmanager
def _answering(serving: Serving) -> Iterator[None]:
    """The API in a thread of its own while the demo is its client."""
    thread = threading.Thread(target=serving.run, name="api", daemon=True)
    thread.start()
    try:
        yield
    finally:
        serving.stop()
        thread.join(20)


def _cache() -> Path:
    """Where built models are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driftgate"
