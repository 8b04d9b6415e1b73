"""Whatever the values, Helm finds nothing to say, and an API server would take every object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import SchemaNotFoundError

from service.settings import parse
from tests.cluster.chart.options import ROLES, combined, every, pairwise
from tests.cluster.chart.rendering import CHART, EXAMPLES, Manifest, loaded, rendered, run
from tests.cluster.chart.schemas import MINORS, OLDEST, kinds, problems

pytestmark = pytest.mark.server("helm")


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_examples_pass_the_linter(values: Any) -> None:
    done = run("lint", "--strict", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stdout


def test_combinations_pass_the_linter() -> None:
    for values in combined()[len(EXAMPLES) :: 7]:
        done = run("lint", "--strict", str(CHART), "--values", "-", given=json.dumps(values))
        assert done.returncode == 0, done.stdout


def distinct() -> Sequence[Manifest]:
    """Every object of every combination, once; the Jobs that a controller would make too."""
    found: dict[str, Manifest] = {}
    for release in every():
        for manifest in (*release.manifests, *release.jobs()):
            found.setdefault(json.dumps(manifest, sort_keys=True, default=str), manifest)
    return list(found.values())


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_is_valid(minor: str) -> None:
    wrong = [each for manifest in distinct() for each in problems(manifest, minor)]
    assert wrong == []


def test_objects_are_valid_in_the_oldest_version_that_is_allowed() -> None:
    """But for image volumes, which it does not know."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"
    older = [manifest for manifest in distinct() if "'reference':" not in str(manifest)]
    assert [each for manifest in older for each in problems(manifest, OLDEST)] == []


def test_the_check_of_objects_finds_mistakes() -> None:
    release = rendered(loaded(CHART / "examples/production.yaml"))
    assert {manifest["kind"] for manifest in release.manifests} >= set(kinds()) - {"PodMonitor"}
    for kind in ("StatefulSet", "NetworkPolicy", "ScaledObject", "ServiceMonitor", "PrometheusRule"):
        spoilt: dict[str, Any] = json.loads(json.dumps(release.of(kind)[0]))
        spoilt["spec"]["unknwon"] = 1
        assert [problem for problem in problems(spoilt, MINORS[0]) if "unknwon" in problem]
    with pytest.raises(SchemaNotFoundError):
        problems({"apiVersion": "apps/v1", "kind": "Statefulset2", "metadata": {}}, MINORS[0])


def test_every_two_options_meet() -> None:
    options: Mapping[str, Sequence[Any]] = {name: [{name: at} for at in range(len(found))] for name, found in ROLES.items()}
    met = list(pairwise(options))
    for one, other in ((one, other) for one in options for other in options if one < other):
        wanted = {(i, j) for i in range(len(options[one])) for j in range(len(options[other]))}
        assert {(values[one], values[other]) for values in met} == wanted


def test_every_configuration_is_one_that_the_program_takes() -> None:
    for release in every():
        (text,) = [found["data"]["driftgate.yaml"] for found in release.of("ConfigMap") if "driftgate.yaml" in found["data"]]
        parse(yaml.safe_load(text), base=CHART)
