"""What Helm makes of the chart, offline: one run for each set of values."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.servers.cluster_programs import program

Manifest: TypeAlias = Mapping[str, Any]

CHART = Path(__file__).parents[3] / "helm/driftgate"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
RELEASE, NAMESPACE = "shop", "models"
NAME = f"{RELEASE}-driftgate"


def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Helm, whatever comes of it."""
    return subprocess.run([str(program("helm")), *arguments], input=given, capture_output=True, text=True, check=False, timeout=120)


@dataclass(frozen=True, slots=True)
class Rendered:
    """All objects of a release, hooks too, and the values that it was made with."""

    values: Mapping[str, Any]
    manifests: Sequence[Manifest]

    def of(self, *kinds: str) -> Sequence[Manifest]:
        """In their order."""
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def named(self, kind: str, name: str) -> Manifest:
        """The one."""
        (found,) = [manifest for manifest in self.of(kind) if manifest["metadata"]["name"] == name]
        return found

    def pods(self) -> Iterator[tuple[Manifest, Manifest]]:
        """What makes pods, and the template that it makes them from; of the Jobs' templates in the ConfigMap too."""
        for manifest in (*self.manifests, *self.jobs()):
            match manifest["kind"]:
                case "StatefulSet" | "Deployment" | "Job":
                    yield manifest, manifest["spec"]["template"]
                case "Pod":
                    yield manifest, manifest

    def jobs(self) -> Iterator[Manifest]:
        """That the controller would make."""
        for found in self.of("ConfigMap"):
            for name, text in found["data"].items():
                if found["metadata"]["name"].endswith("-jobs"):
                    job = yaml.safe_load(text)
                    yield job | {"metadata": {**job.get("metadata", {}), "name": name}}


def rendered(values: Mapping[str, Any]) -> Rendered:
    """As `helm template` does."""
    return Rendered(values, _manifests(json.dumps(values)))


@cache
def _manifests(values: str) -> Sequence[Manifest]:
    done = run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", "-", given=values)
    assert done.returncode == 0, f"{values}\n{done.stderr}"
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def refused(values: Mapping[str, Any]) -> str:
    """What Helm says of values that it does not take."""
    done = run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", "-", given=json.dumps(values))
    assert done.returncode != 0
    return done.stderr


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm lays values over values."""
    made: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(made.get(name), Mapping)
            made[name] = merged(made[name], value) if both else value
    return made


def loaded(path: Path) -> dict[str, Any]:
    """A values file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
