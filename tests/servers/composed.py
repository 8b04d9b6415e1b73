"""deploy/compose.yaml as Docker Compose would read it, for whoever starts the same without containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a container sees a named volume, or a file or folder of the project."""

    source: str
    target: str
    writable: bool

    @property
    def named(self) -> bool:
        """A volume, not a path."""
        return not self.source.startswith(".")


@dataclass(frozen=True, slots=True)
class Service:
    """One entry below `services`."""

    name: str
    document: Mapping[str, Any]

    @property
    def image(self) -> str:
        return str(self.document["image"])

    @property
    def command(self) -> Sequence[str]:
        return [str(word) for word in self.document.get("command", ())]

    @property
    def environment(self) -> Mapping[str, str]:
        return {name: str(value) for name, value in self.document.get("environment", {}).items()}

    @property
    def replicas(self) -> int:
        return int(self.document.get("deploy", {}).get("replicas", 1))

    @property
    def mounts(self) -> Sequence[Mount]:
        parts = [str(each).split(":") for each in self.document.get("volumes", ())]
        return [Mount(source, target, "ro" not in mode) for source, target, *mode in parts]

    @property
    def needs(self) -> Mapping[str, str]:
        """Service → the condition in which it must be."""
        return {name: each["condition"] for name, each in self.document.get("depends_on", {}).items()}

    @property
    def once(self) -> bool:
        """Whether it ends by itself."""
        return self.document.get("restart") == "no"

    @property
    def ours(self) -> bool:
        """Whether it runs the program of this project."""
        return "build" in self.document


def reader() -> Path | None:
    """What Docker Compose itself reads such files with, where `make servers` has built it."""
    return next(iter(sorted((ROOT / ".cache/servers").glob("compose-spec-*/cmd"))), None)


def variables(path: Path = DEPLOY / "compose.yaml") -> Mapping[str, str]:
    """Those that an .env file may set, with their defaults."""
    return {found["name"]: found["default"] for found in _VARIABLE.finditer(path.read_text(encoding="utf-8"))}


def document(environment: Mapping[str, str], path: Path = DEPLOY / "compose.yaml") -> Mapping[str, Any]:
    """The whole file, its variables filled in and its merges carried out."""
    unknown = environment.keys() - variables(path).keys()
    if unknown:
        raise KeyError(f"{path.name} has no variable {', '.join(sorted(unknown))}; it has {', '.join(variables(path))}")
    text = _VARIABLE.sub(lambda found: environment.get(found["name"], found["default"]), path.read_text(encoding="utf-8"))
    read: Mapping[str, Any] = yaml.safe_load(text)
    return read


def services(environment: Mapping[str, str]) -> Sequence[Service]:
    """As the file lists them."""
    return [Service(name, each) for name, each in document(environment)["services"].items()]


def waves(wanted: Sequence[Service]) -> Iterator[Sequence[Service]]:
    """Those that can be started side by side, each wave after those that it needs."""
    known = {service.name: service for service in wanted}
    order = TopologicalSorter({name: service.needs for name, service in known.items()})
    order.prepare()
    while order.is_active():
        names = order.get_ready()
        yield [known[name] for name in names]
        order.done(*names)
