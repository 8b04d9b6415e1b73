"""`train`: the reference training job; `refresh reproduce`: a run of it once more."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, good, installed, monitor_of
from service.cli.refresh import CycleId, class_names, group
from service.cli.terminal import actor, bars, emit, example, show
from service.errors import ConfigurationError, ConflictError
from service.records import RefreshCycle, Sample
from service.screens.training import registered_lines, reproduction_screen, run_screen
from service.settings import EmbedderSettings

if TYPE_CHECKING:
    from service.training.job import Load, Made, Options, Progress
    from service.training.orders import Order

app = typer.Typer()

_DIGITS = 12
"""Of a model's checksum, that name it where nobody does."""

Kind = Literal["linear", "mlp"]
Input = Literal["text", "image", "tensor"]

OfCycle = Annotated[str | None, typer.Option("--cycle", metavar="CYCLE", help="Train what this refresh cycle asks for, and register it.")]
Download = Annotated[
    str | None, typer.Option("--download", metavar="URL|TAR", help="What the data link of the cycle's request opens, instead of its disk.")
]
Event = Annotated[
    str | None,
    typer.Option("--event", metavar="FILE|JSON", envvar="DRIFTGATE_EVENT", help="The request as it was delivered: cycle, rows, address."),
]
Files = Annotated[list[Path] | None, typer.Option("--train", metavar="FILE", help="Labelled samples, without a cycle.")]
Validation = Annotated[
    list[Path] | None,
    typer.Option("--validation", metavar="FILE", help="Labelled samples to choose hyper-parameters on, and on no others."),
]
Stands = Annotated[Path | None, typer.Option("--embedder", metavar="FILE", help="The model in force, ONNX; by default the monitor's.")]
Takes = Annotated[Input, typer.Option("--input", help="What that model takes.")]
Classes = Annotated[Path | None, typer.Option("--classes", help="Its classes, one per line, in the order of its logits.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for model.onnx, classes.txt and run.json.")]
Version = Annotated[str, typer.Option("--version", help="What production will call the model; by default it follows from its checksum.")]
Url = Annotated[str | None, typer.Option("--url", help="Give the model to the service at this address, over HTTP.")]
Token = Annotated[Path | None, typer.Option("--token", metavar="FILE", help="File with the service's token; else DRIFTGATE__INGEST_TOKEN.")]


@app.command(epilog=example("driftgate train --cycle 9d41c2aa --head linear"))
def train(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    cycle: OfCycle = None,
    download: Download = None,
    event: Event = None,
    files: Files = None,
    validation: Validation = None,
    stands: Stands = None,
    takes: Takes = "text",
    classes: Classes = None,
    output: Output = None,
    head: Annotated[Kind, typer.Option("--head", help="linear, or mlp: a hidden layer beside it.")] = "linear",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all chance.")] = 0,
    splits: Annotated[int, typer.Option("--splits", min=2, max=10, help="Turns in which rows are held out to choose by.")] = 3,
    allowed: Annotated[float, typer.Option("--allowed-flips", min=0, max=1, help="Share of held-out rows that may break.")] = 0.005,
    threads: Annotated[int, typer.Option("--threads", min=1, help="More are faster; repeat a run with as many.")] = 1,
    version: Version = "",
    register: Annotated[bool, typer.Option("--register/--no-register", help="Give the model to the cycle.")] = True,
    url: Url = None,
    token: Token = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Retrain the head of the model in force on its frozen embedder, and write it as ONNX with a record of the run.

    Hyper-parameters are chosen on rows held out of the training set; golden and challenge rows are never opened. The model then goes to
    the cycle, to be verified. Exit code 0: trained; 1: it could not be; 2: wrong use.
    """
    require_torch()
    options = _options(head, seed, splits, allowed, threads)
    folder, named = output or _new_folder(), _Named(stands, takes, tuple(class_names(classes)), config, monitor)
    back = None if url is None or cycle is None else model_address(url, cycle)
    if event and not (cycle or download or files):
        cycle, download, back, told = _asked(event)
        named = replace(named, classes=named.classes or told)
    if bool(cycle or download) == bool(files):
        raise ConfigurationError("train what --cycle CYCLE, --download URL|TAR or --event FILE asks for, or --train FILE; name one of them")
    with bars() as progress:
        if files:
            made = _run(_of_files(named, files, validation or ()), options, folder, progress)
        elif download is not None:
            made = _run(_of_download(named, download, folder), options, folder, progress)
        else:
            made = _of_cycle(str(cycle), config, options, folder, progress, register=register)
    said = ""
    if cycle is not None and register:
        version = version or str(made.run["model"]["checksum"])[:_DIGITS]
        _register(made, cycle, version, _Service(config, back, token))
        said = registered_lines(cycle, version)
    kept = _keep(made.model, said, output)
    if as_json:
        emit({**made.run, "path": kept and str(kept)})
    else:
        show(run_screen(made.run), f"\nwrote {kept}, its record beside it" if kept else "", said)


@group.command("reproduce", epilog=example("driftgate refresh reproduce 9d41c2aa"))
def reproduce(cycle: CycleId, output: Output = None, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Train a cycle's model once more, as its record says, and hold both against each other on the golden rows.

    Exit code 0: at least 99.9 % of the golden labels are the same, and the verdict where it can be told; 1: they are not, and it says why.
    """
    require_torch()
    from service.training.reproducing import repeat  # noqa: PLC0415 - loads torch

    folder = output or _new_folder()
    with installed(config) as installation, bars() as progress:
        found = repeat(cycle, installation, folder, path=installation.promotion.shelf.path, now=time.time(), progress=progress)
    if output is None:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        emit(found.document())
    else:
        show(reproduction_screen(found.document()))
    raise typer.Exit(0 if found.same else 1)


def require_torch() -> None:
    """ConfigurationError names the extra that brings it."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnx") is None:
        raise ConfigurationError("training needs torch and onnx: pip install 'driftgate[train]' where models are trained, and only there")


# --- what is trained from -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """Which model the head is to stand on: a file with its classes, or that of a monitor of the configuration."""

    file: Path | None
    takes: Input
    classes: tuple[str, ...]
    config: Path
    monitor: str | None

    def settings(self) -> tuple[EmbedderSettings, tuple[str, ...]]:
        """The embedder, and its classes."""
        if self.file is not None:
            plain = EmbedderSettings(model=self.file, input=self.takes)
            return plain.with_model(self.file), self.classes
        with installed(self.config) as installation:
            effective = installation.effective(monitor_of(installation.settings, self.monitor))
        return effective.embedder, self.classes or effective.classes


def _of_cycle(cycle: str, config: Path, options: Options, folder: Path, progress: Progress, *, register: bool) -> Made:
    from service.refresh import OPEN  # noqa: PLC0415 - loads the detectors
    from service.training.orders import of_cycle  # noqa: PLC0415 - loads numpy

    with installed(config) as installation:
        found = installation.store.get(RefreshCycle, cycle)
        if register and found.state not in OPEN:
            raise ConflictError(
                f"refresh cycle {cycle} is {found.state} and takes no model any more; --no-register trains one all the same"
            )
        settings = installation.effective(found.monitor)
        order = of_cycle(found, installation.store, installation.data_sets, settings.embedder, settings.classes)
        return _run(order, options, folder, progress, load=installation.load)


def _of_download(named: _Named, download: str, folder: Path) -> Order:
    from service.training.orders import of_download  # noqa: PLC0415 - loads numpy
    from service.training.returning import fetch  # noqa: PLC0415 - loads an HTTP client

    tar = fetch(download, folder / "download.tar") if "://" in download else Path(download)
    return of_download(tar, folder, *named.settings())


def _of_files(named: _Named, files: Sequence[Path], validation: Sequence[Path]) -> Order:
    from service.training.orders import of_files  # noqa: PLC0415 - loads numpy

    settings, classes = named.settings()
    return of_files(_samples(files), _samples(validation), settings, classes, [path.name for path in (*files, *validation)])


def _samples(paths: Sequence[Path]) -> Iterator[Sample]:
    """InputError names the first line that can't be used."""
    from service.app import read_samples  # noqa: PLC0415 - loads the readers
    from service.decoding.options import SampleOptions  # noqa: PLC0415 - as above

    for record in read_samples(paths, "train", SampleOptions(max_ahead=None)):
        for item in record.items:
            yield good(record, item)


# --- what is done -------------------------------------------------------------------------------------------------------


def _options(head: Kind, seed: int, splits: int, allowed: float, threads: int) -> Options:
    from service.training.choosing import Search  # noqa: PLC0415 - loads torch
    from service.training.job import Options  # noqa: PLC0415 - as above
    from service.training.written import lock_file  # noqa: PLC0415 - as above

    return Options(Search(head, seed, splits, allowed), threads, lock_file())


def _run(order: Order, options: Options, folder: Path, progress: Progress, *, load: Load | None = None) -> Made:
    from service.app import load_embedder  # noqa: PLC0415 - loads the inference runtime
    from service.training.job import train  # noqa: PLC0415 - loads torch

    return train(order, options, folder, load=load or load_embedder, now=time.time(), progress=progress)


@dataclass(frozen=True, slots=True)
class _Service:
    """Where a model goes: to an installation beside us, or by PUT to an address."""

    config: Path
    address: str | None
    token: Path | None


def _register(made: Made, cycle: str, version: str, service: _Service) -> None:
    if service.address is not None:
        from service.training.returning import give_back  # noqa: PLC0415 - loads an HTTP client

        give_back(made, service.address, version, token=_token(service.token))
        return
    from service.promotion import Given  # noqa: PLC0415 - loads the detectors

    with installed(service.config) as installation:
        given = Given(made.model, version, made.classes, made.run)
        installation.promotion.register(cycle, given, actor=actor(), now=time.time())


def model_address(url: str, cycle: str) -> str:
    """Where the service at that address takes a cycle's model."""
    return f"{url.rstrip('/')}/v1/refresh/{cycle}/model"


def _asked(event: str) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    """Of a request: its cycle, where the rows are fetched and the model is put, and the classes of the model in force."""
    try:
        found = json.loads(event if event.lstrip().startswith("{") else Path(event).read_text(encoding="utf-8"))
        content = (found if "specversion" in found else found["data"])["data"]
        rows, back = content.get("data") or {}, content.get("return") or {}
        return str(content["cycle"]), rows.get("url"), back.get("url"), tuple(content["model"].get("classes", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"--event: no request for training as driftgate sends it: {error!r:.200}") from error


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="driftgate-train-"))


def _keep(model: Path, registered: str, output: Path | None) -> Path | None:
    """Where the model lies; nowhere where nobody named a folder and it was handed over, as the one it was written to is cleared away."""
    if output is not None or not registered:
        return model
    shutil.rmtree(model.parent, ignore_errors=True)
    return None


def _token(path: Path | None) -> str:
    """From the file, else from the environment as the service itself takes it."""
    try:
        return os.environ.get("DRIFTGATE__INGEST_TOKEN", "") if path is None else path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token {path}: can't be read: {error}") from error
