"""Answers in files: three forms that say the same, and every wrong line named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.answer_files import Answer, Columns, read_answers
from service.errors import InputError

ROWS: list[dict[str, Any]] = [
    {"batch": "b1", "driftgate_id": "m-1", "text": 'a, b\n"c"', "label": "refund", "annotator": "ana"},
    {"batch": "b1", "driftgate_id": "m-2", "text": "x", "unusable": True},
    {"batch": "b1", "driftgate_id": "m-3", "text": "y"},
    {"batch": "b2", "driftgate_id": "m-1", "text": "z", "label": "ünknown class "},
]
FOUND = {
    "b1": [Answer("b1", "m-1", "refund", "ana"), Answer("b1", "m-2", None, "")],
    "b2": [Answer("b2", "m-1", "ünknown class", "")],
}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def separated(path: Path, rows: list[dict[str, Any]]) -> Path:
    import csv

    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), path)
    return path


def refused(path: Path, *columns: Columns) -> str:
    with pytest.raises(InputError) as error:
        read_answers(path, *columns)
    return str(error.value)


@pytest.mark.parametrize(
    ("write", "name"), [(jsonl, "a.jsonl"), (jsonl, "a.NDJSON"), (separated, "a.csv"), (separated, "a.tsv"), (parquet, "a.parquet")]
)
def test_every_form_says_the_same(tmp_path: Path, write: Any, name: str) -> None:
    assert read_answers(write(tmp_path / name, ROWS)) == FOUND


def test_an_export_with_columns_of_its_own(tmp_path: Path) -> None:
    path = separated(tmp_path / "export.csv", [{"ref": 17, "choice": 3, "label": "not this one"}, {"ref": 18, "choice": ""}])
    assert read_answers(path, Columns("ref", "choice", "b1")) == {"b1": [Answer("b1", "17", "3", "")]}


def test_each_wrong_line_is_named_and_nothing_is_taken(tmp_path: Path) -> None:
    said = refused(
        jsonl(
            tmp_path / "answers.jsonl",
            [
                ROWS[0],
                {"batch": "b1", "label": "refund"},
                {"driftgate_id": "m-2", "label": "refund"},
                {"batch": "b1", "driftgate_id": "m-3", "label": 1.5},
                {"batch": "b1", "driftgate_id": "m-4", "label": "x" * 201},
                {"batch": "b1", "driftgate_id": "m-5", "label": "refund", "unusable": True},
                {"batch": "b1", "driftgate_id": "m-6", "unusable": "perhaps"},
                {"batch": "b1", "driftgate_id": "m-1", "label": "card", "annotator": "ana"},
                {"batch": "b1", "driftgate_id": "m-7", "label": ["refund"]},
            ],
        )
    )
    for number, what in ((2, "no driftgate_id or id"), (3, 'no "batch"'), (4, "1.5"), (5, "201 characters"), (6, "both"), (7, "perhaps")):
        assert f"line {number}: " in said
        assert what in said
    assert "line 8: 'm-1' is answered otherwise by ana in line 1" in said
    assert "line 1: " not in said


def test_a_mark_of_byte_order_is_passed_over(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_answers(path) == FOUND


def test_the_same_line_twice_is_one_answer(tmp_path: Path) -> None:
    assert read_answers(jsonl(tmp_path / "a.jsonl", [ROWS[0], ROWS[0]])) == {"b1": FOUND["b1"][:1]}


def test_two_annotators_are_two_answers(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "annotator": name, "label": label} for name, label in (("ana", "refund"), ("ben", "card"))]
    assert [answer.label for answer in read_answers(jsonl(tmp_path / "a.jsonl", rows))["b1"]] == ["refund", "card"]


def test_many_faults_are_counted(tmp_path: Path) -> None:
    said = refused(jsonl(tmp_path / "a.jsonl", [{"label": "x"}] * 50))
    assert "and 30 more" in said


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", b'{"batch": "b1", "driftgate_id": "m", "label": "x"}\n{"batch": "b1"', "line 2 is no JSON object"),
        ("a.jsonl", b"<html>login</html>", "line 1 is no JSON object"),
        ("a.jsonl", b"[1]", "line 1 is no JSON object"),
        ("a.jsonl", b"", "no line has an answer yet: fill in"),
        ("a.csv", b"batch;driftgate_id;label\nb1;m;refund\n", "it has batch;driftgate_id;label"),
        ("a.csv", b'batch,driftgate_id,label\nb1,m,"x\n', "is damaged"),
        ("a.csv", "batch,driftgate_id,label\nb1,m,grün\n".encode("latin-1"), "not UTF-8"),
        ("a.parquet", b"PAR1 but not really PAR1", "no Parquet file"),
        ("a.xlsx", b"PK", "answers are read from .jsonl"),
        ("a.exe", b"", "answers are read from .jsonl"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert expected in refused(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.jsonl: No such file" in refused(tmp_path / "nowhere.jsonl")


@given(st.binary(max_size=200), st.sampled_from([".jsonl", ".csv", ".tsv"]))
def test_whatever_is_in_it_the_answer_is_clear(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    try:
        assert read_answers(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
