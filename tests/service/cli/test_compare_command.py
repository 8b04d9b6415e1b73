"""One look at two sets of samples: the table, the family, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


def again(path: Path, to: Path, **columns: list[Any]) -> None:
    """The file's samples with more columns."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    extended = ({**line, **{name: values[i] for name, values in columns.items()}} for i, line in enumerate(lines))
    to.write_text("".join(json.dumps(line) + "\n" for line in extended), encoding="utf-8")


def by_test(document: Any) -> dict[str, bool]:
    return {tested["test"]: tested["differs"] for tested in document["tests"] if tested["segment"] == "all"}


def test_drifted_traffic_differs_from_the_reference_for_every_test(watching: Desk) -> None:
    document = watching.json("compare", "--input", "traffic.jsonl")
    assert by_test(document) == dict.fromkeys(["ks", "cvm", "energy", "mmd", "clusters", "classifier", "lsdd"], True)
    assert set(document) == {"monitor", "against", "level", "tests", "left_out", "unusable", "caution"}
    first = document["tests"][0]
    assert set(first) == {"segment", "test", "statistic", "p_value", "detail", "adjusted_p_value", "differs"}
    assert "999 permutations" in first["detail"]["law"]


def test_the_table_says_what_a_p_value_is_not(watching: Desk) -> None:
    said = " ".join(watching.run("compare", "--input", "golden.jsonl", "--tests", "ks,mmd").stdout.split())
    assert "no evidence of a difference in 2 tests, at level 0.05 over the whole look (Holm), against reference" in said
    assert "watching is the monitor's job" in said
    assert "not how far" in said


def test_scores_become_the_classes_that_the_monitor_names(desk: Desk) -> None:
    desk.configure(lambda document: document["monitors"][0].update(classes=["yes", "no"]))
    good, other = desk.folder / "good.jsonl", desk.folder / "other.jsonl"
    again(good, other, output=[{"probabilities": [0.9, 0.1]}] * 600)
    again(good, good, output=[{"probabilities": [0.1, 0.9]}] * 600)
    assert by_test(desk.json("compare", "--input", "good.jsonl", "--against", "other.jsonl", "--tests", "classes")) == {"classes": True}


def test_two_files_with_classes_and_segments(desk: Desk) -> None:
    good, other = desk.folder / "good.jsonl", desk.folder / "other.jsonl"
    rng = np.random.default_rng(0)
    tags = [{"locale": "rare" if i < 5 else ["en", "de"][i % 2]} for i in range(600)]
    again(good, other, segments=tags, output=[{"label": "yes" if rng.random() < 0.9 else "no"} for _ in tags])
    again(good, good, segments=tags, output=[{"label": "yes" if rng.random() < 0.5 else "no"} for _ in tags])
    with good.open("a", encoding="utf-8") as file:
        file.write('{"vector": [1, 2]}\n')
    document = desk.json("compare", "--input", "good.jsonl", "--against", "other.jsonl", "--tests", "classes, energy", "--by", "locale")
    assert [(t["segment"], t["test"], t["differs"]) for t in document["tests"]] == [
        ("all", "classes", True), ("all", "energy", False),
        ("locale=de", "classes", True), ("locale=de", "energy", False),
        ("locale=en", "classes", True), ("locale=en", "energy", False),
    ]  # fmt: skip
    assert document["left_out"] == {"locale=rare": "5 reference and 5 window samples, 10 are needed"}
    assert document["unusable"] == {"input": 1, "against": 0}
    assert "classes" in by_test(desk.json("compare", "--input", "good.jsonl", "--against", "other.jsonl"))
    said = desk.run("compare", "-i", "good.jsonl", "--against", "other.jsonl", "--tests", "classes", "--by", "locale").stdout
    assert "locale=rare" in said
    assert "unusable samples in input: 1" in said


def test_a_reference_keeps_the_classes_that_the_model_gave(desk: Desk) -> None:
    good, other = desk.folder / "good.jsonl", desk.folder / "other.jsonl"
    again(good, other, output=[{"label": ["no", "yes"][i % 2]} for i in range(600)])
    again(good, good, output=[{"label": "no"} for _ in range(600)])
    desk.run("reference", "build", "--input", "good.jsonl")
    assert by_test(desk.json("compare", "--input", "other.jsonl", "--tests", "classes,clusters")) == {"classes": True, "clusters": False}


def test_vectors_of_a_file_of_arrays(watching: Desk) -> None:
    np.save(watching.folder / "shifted.npy", np.random.default_rng(0).standard_normal((40, 16)).astype(np.float32))
    document = watching.json("compare", "--input", "shifted.npy", "--tests", "energy,energy")
    assert by_test(document) == {"energy": True}
    assert document == watching.json("compare", "--input", "shifted.npy", "--tests", "energy"), "the same samples give the same p-values"


def test_nothing_is_kept(watching: Desk) -> None:
    before = sorted(path.name for path in (watching.folder / "state").rglob("*"))
    watching.run("compare", "--input", "good.jsonl", "--tests", "ks")
    assert sorted(path.name for path in (watching.folder / "state").rglob("*")) == before


def test_wrong_use_says_what_to_do(watching: Desk) -> None:
    def refused(*arguments: object) -> str:
        return " ".join(watching.run("compare", "--input", "good.jsonl", *arguments, code=2).stderr.split())

    assert "--tests: ks, cvm," in refused("--tests", "ks,t")
    assert "--tests: ks, cvm," in refused("--tests", ",")
    assert "found 0 in the input, 0 in what it is held against" in refused("--tests", "classes")
    assert "no sample of the input carries that tag" in refused("--by", "locale")
    assert "nowhere.jsonl: No such file" in refused("--against", "nowhere.jsonl")
    np.save(watching.folder / "few.npy", np.ones((9, 16), np.float32))
    few = watching.run("compare", "--input", "few.npy", code=2).stderr
    assert "at least 10 samples, found 9" in few


def test_without_reference_it_says_what_to_do(desk: Desk) -> None:
    assert "driftgate reference build" in desk.run("compare", "--input", "traffic.jsonl", code=2).stderr
