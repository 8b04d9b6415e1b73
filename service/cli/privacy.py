"""`forget`, `support-bundle`: what leaves an installation for good, and what may leave it for those who help."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.checks import examine
from service.cli.installed import CONFIG, AsJson, Config, installed, monitor_of
from service.cli.server import live_metrics
from service.cli.terminal import actor, emit, example, show
from service.errors import ConfigurationError, DriftgateError
from service.screens.privacy import forgotten_screen
from service.settings import Settings, load

app = typer.Typer()


@app.command(epilog=example("driftgate forget --sample order-4711 --monitor support-chat"))
def forget(
    sample: Annotated[str, typer.Option("--sample", help="Its id.")],
    config: Config = CONFIG,
    monitor: Annotated[str | None, typer.Option("--monitor", "-m", help="Of which monitor; without one, of all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a sample out of everything that is kept; have annotators delete it; never take it again. It may be repeated."""
    from service.privacy.forgetting import OUTSIDE  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation:
        everywhere = installation.forgetting.all_of(installation.names)
        named = monitor and (monitor if monitor in everywhere else monitor_of(installation.settings, monitor))
        names = [named] if named else everywhere
        done = installation.forgetting.forget(sample, names, actor=actor(), now=time.time())
    erasures = [{"monitor": each.monitor, "erased": dict(each.erased), "asked": list(each.asked)} for each in done]
    document = {"sample": sample, "erasures": erasures, "outside": list(OUTSIDE)}
    if as_json:
        emit(document)
    else:
        show(forgotten_screen(document))


@app.command("support-bundle", epilog=example("driftgate support-bundle --output support.tar.gz"))
def support_bundle(
    output: Annotated[Path, typer.Option("--output", "-o", help="The archive to write.")] = Path("driftgate-support.tar.gz"),
    config: Config = CONFIG,
) -> None:
    """Write versions, settings without secrets, the doctor's findings, state, metrics and recent logs into an archive: no payload."""
    from service.privacy import bundle  # noqa: PLC0415 - loads the detectors

    now = time.time()
    findings = bundle.findings_of(asdict(finding) for finding in examine(config))
    parts = {"versions.json": _json(bundle.versions()), "doctor.json": _json(findings), **dict(_of_installation(config, now))}
    bundle.write(output, parts, now=now)
    typer.echo(f"{output}: {', '.join(sorted(parts))}")


def _of_installation(config: Path, now: float) -> Iterator[tuple[str, str]]:
    """As far as it can be read: what is wrong may be why somebody asks."""
    from service.app.support import figures  # noqa: PLC0415 - loads the inference runtime
    from service.privacy import bundle  # noqa: PLC0415 - loads the detectors

    try:
        settings = load(config)
        yield "settings.json", _json(bundle.settings_of(settings))
        yield from bundle.logs_of(settings.directory / "logs").items()
        with installed(config) as installation:
            yield "state.json", _json(bundle.state_of(installation.store, installation.names, now=now))
            yield "metrics.txt", bundle.metrics_of(figures(installation))
        yield "metrics-live.txt", bundle.metrics_of(_live(settings))
    except DriftgateError as error:
        yield "unreadable.txt", f"{bundle.cleaned(str(error))}\n"


def _live(settings: Settings) -> str:
    """What the running server counts; else why it is not there."""
    try:
        return live_metrics(settings)
    except ConfigurationError as error:
        return f"# {error}\n# metrics.txt was made from what is stored: what processes count for themselves is in neither\n"


def _json(document: Mapping[str, Any] | Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
