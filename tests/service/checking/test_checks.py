"""What each check says of a set: the figure, its limit, examples, what to do."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.checking import KINDS, Check, Likeness, Limit, Outcome, Rows, check, limits_of, overlaps, readable, rows_of, within, worst
from service.checking.contents import is_garbled
from service.errors import InputError
from service.records import Partition, Payload, Record, Rejected, Sample

NOUNS = ("parcel", "refund", "invoice", "password", "address", "order", "voucher", "contract", "account", "delivery")
ASKS = ("where is my {}", "please cancel the {}", "i want to change a {}", "who sent this {}", "how late is the {} today")
TEXTS = [f"{ask.format(noun)} {extra}" for ask in ASKS for noun in NOUNS for extra in ("now", "again", "thanks", "tomorrow")]


def rows(
    name: str, payloads: Sequence[Payload], *, labels: Sequence[str | None] = ("a", "b"), **known: Sequence[Mapping[str, str]]
) -> Rows:
    segments = known.get("segments") or [{} for _ in payloads]
    parts = zip(payloads, segments, strict=True)
    return Rows(name, tuple(Sample("", f"{name}{i}", 1.0, p, s, None, labels[i % len(labels)]) for i, (p, s) in enumerate(parts)))


def found(checks: Sequence[Check]) -> dict[tuple[str, str], Check]:
    return {(each.kind, each.about): each for each in checks}


def looked(*sets: Rows, classes: Sequence[str] = ()) -> dict[tuple[str, str], Check]:
    return found(check(sets, Likeness(), classes=classes))


def test_good_sets_pass_everything() -> None:
    words = np.array([a + b for a in ("re", "con", "ex", "in", "per", "sub") for b in ("fund", "tract", "port", "form", "ceive")])
    texts = [" ".join(words[row]) for row in np.random.default_rng(0).integers(0, len(words), (260, 6))]
    checks = looked(rows("train", texts[:160]), rows("golden", texts[160:]))
    assert {each.outcome for each in checks.values()} <= {Outcome.PASS}
    assert {about for _, about in checks} == {"train", "golden", "golden against train", "golden in train", "train in golden"}
    assert not any(each.todo for each in checks.values())
    assert worst(checks.values()) is Outcome.PASS


def test_an_empty_set_fails_and_keeps_no_other_from_being_looked_at() -> None:
    checks = looked(rows("train", TEXTS), rows("golden", []))
    assert checks["empty", "golden"].outcome is Outcome.FAIL
    assert checks["repeated", "train"].outcome is Outcome.PASS
    assert not any(kind.startswith("shared") for kind, _ in checks)


def test_what_is_missing_is_counted() -> None:
    segments = [{"locale": "de"} if i % 4 else {} for i in range(20)]
    some = rows("golden", TEXTS[:20], labels=["a", "b", "a", None], segments=segments)
    samples = (*some.samples[:19], Sample("", "late", float("nan"), TEXTS[20], {}, None, "a"))
    checks = looked(Rows("golden", samples, refused=("golden.jsonl, line 3: text is blank",), unread=1))
    assert checks["unreadable", "golden"].value == pytest.approx(1 / 21)
    assert checks["unreadable", "golden"].outcome is Outcome.FAIL
    assert checks["unreadable", "golden"].examples == ("golden.jsonl, line 3: text is blank",)
    assert checks["unlabelled", "golden"].value == 0.2
    assert checks["unlabelled", "golden"].examples == ("golden3", "golden7", "golden11", "golden15")
    assert (checks["untimed", "golden"].outcome, checks["untimed", "golden"].examples) == (Outcome.WARN, ("late",))
    assert (checks["untagged", "golden"].value, checks["untagged", "golden"].outcome) == (0.3, Outcome.WARN)


def test_pools_need_no_labels() -> None:
    assert ("unlabelled", "pool") not in looked(rows("pool", TEXTS, labels=[None]))


def test_ids_and_contents_that_come_again() -> None:
    checks = looked(rows("train", [*TEXTS[:150], *TEXTS[:50]], labels=["a", "b"]))
    assert (checks["repeated", "train"].value, checks["repeated", "train"].outcome) == (0.25, Outcome.FAIL)
    twice = rows("train", TEXTS[:2])
    again = Rows("train", (twice.samples[0], twice.samples[1], twice.samples[0]))
    assert looked(again)["repeated_ids", "train"].outcome is Outcome.FAIL


def test_one_content_with_two_labels_contradicts_whatever_its_case() -> None:
    payloads = [*TEXTS[:100], TEXTS[1].upper() + "!"]
    contradicted = looked(rows("train", payloads))["contradicted", "train"]
    assert contradicted.value == pytest.approx(2 / 101)
    assert contradicted.examples == ("train1: b, train100: a",)
    vector = np.ones(3, np.float32)
    assert looked(rows("train", [vector, vector]))["contradicted", "train"].value == 1.0


def test_a_slip_with_another_label_is_found_by_drawing() -> None:
    payloads = [*TEXTS[:100], TEXTS[0].replace("parcel", "parecl")]
    nearly = looked(rows("train", payloads, labels=[*["a"] * 100, "b"]))["near_contradicted", "train"]
    assert "train0" in nearly.examples[0]
    assert nearly.outcome is Outcome.WARN


def test_near_copies_within_sets_of_images_and_that_vectors_are_not_looked_at() -> None:
    rng = np.random.default_rng(0)
    pictures = [np.asarray(np.kron(rng.uniform(0, 255, (7, 7)), np.ones((4, 4))), np.float64) for _ in range(40)]
    images = looked(rows("train", [*map(png, pictures), png(np.clip(pictures[4] + rng.normal(0, 4, (28, 28)), 0, 255))]))
    assert images["near_repeated", "train"].value == pytest.approx(2 / 41)
    assert images["near_repeated", "train"].examples[0] == "train4, train40"
    for others in (list(rng.standard_normal((60, 8)).astype(np.float32)), TEXTS[:9]):
        unknown = looked(rows("train", others))["near_repeated", "train"]
        assert (unknown.outcome, unknown.says) == (Outcome.SKIPPED, "needs 20 texts or images that differ")


def test_classes_that_are_few_rare_or_outside_the_scheme() -> None:
    assert looked(rows("train", TEXTS, labels=["a"]))["one_class", "train"].outcome is Outcome.FAIL
    checks = looked(rows("train", TEXTS[:101], labels=[*["a"] * 90, *["b"] * 10, "c"]), classes=["a", "b"])
    assert checks["rare_classes", "train"].examples == ("c (1)",)
    assert "1 of them fewer than 5" in checks["rare_classes", "train"].says
    assert (checks["unknown_labels", "train"].outcome, checks["unknown_labels", "train"].examples) == (Outcome.FAIL, ("c",))
    assert checks["imbalance", "train"].value == 9.0


def test_classes_that_only_one_set_has() -> None:
    checks = looked(rows("train", TEXTS[:40], labels=["a", "b"]), rows("golden", TEXTS[40:80], labels=["a", "c"]))
    assert checks["absent_classes", "golden in train"].examples == ("c (20 rows)",)
    assert checks["absent_classes", "train in golden"].examples == ("b (20 rows)",)


def test_blank_and_garbled_texts() -> None:
    checks = looked(rows("train", ["...", "StraÃ\x9fe", "caf\ufffd", "\x00\x01 where", *TEXTS[:16], "👍"]))
    assert checks["blank", "train"].examples == ("train0",)
    assert checks["garbled", "train"].examples == ("train1", "train2", "train3")


@pytest.mark.parametrize("text", ["Straße", "Ã la carte?", "東京\n", "naïve café – “quoted” €5", "tab\there"])
def test_good_texts_of_any_language_are_not_garbled(text: str) -> None:
    assert not is_garbled(text)


def test_blank_vectors_and_images() -> None:
    assert looked(rows("train", [np.zeros(3, np.float32), np.ones(3, np.float32)]))["blank", "train"].value == 0.5
    assert looked(rows("train", [png(np.zeros((9, 9))), png(np.eye(9) * 200)]))["blank", "train"].value == 0.5


def png(array: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_sets_written_otherwise_than_training() -> None:
    longer = [f"{text}, and {text}, and once more {text}" for text in TEXTS]
    checks = looked(rows("train", TEXTS), rows("golden", longer))
    assert (checks["unlike", "golden against train"].outcome, checks["unlike", "golden against train"].examples) == (
        Outcome.FAIL,
        ("length",),
    )
    assert checks["scripts", "golden against train"].outcome is Outcome.PASS
    greek = [text.translate(str.maketrans("abcdefghi", "αβγδεζηθι")) for text in TEXTS]
    assert looked(rows("train", TEXTS), rows("golden", greek))["scripts", "golden against train"].examples == ("greek",)
    few = looked(rows("train", TEXTS), rows("golden", TEXTS[:20]))["unlike", "golden against train"]
    assert (few.outcome, few.value) == (Outcome.SKIPPED, None)


def test_another_language_is_told_as_one() -> None:
    words = (
        "wo",
        "ist",
        "mein",
        "paket",
        "bitte",
        "stornieren",
        "sie",
        "die",
        "bestellung",
        "heute",
        "schon",
        "wieder",
        "verloren",
        "gegangen",
    )
    rng = np.random.default_rng(0)
    german = [" ".join(rng.choice(words, 6)) for _ in range(120)]
    checks = looked(rows("train", TEXTS), rows("golden", german))
    assert checks["language", "golden against train"].outcome is Outcome.FAIL
    assert checks["language", "golden against train"].todo.startswith("look whether rows are in a language")
    assert checks["scripts", "golden against train"].outcome is Outcome.PASS
    assert "spelling" not in checks["unlike", "golden against train"].says
    halves = np.random.default_rng(1).permutation(TEXTS)
    alike = looked(rows("train", list(map(str, halves[:100]))), rows("golden", list(map(str, halves[100:]))))
    assert alike["language", "golden against train"].outcome is Outcome.PASS


def test_one_broken_image_keeps_nothing_from_being_looked_at() -> None:
    rng = np.random.default_rng(0)
    pictures = [png(rng.uniform(0, 255, (12, 12))) for _ in range(30)]
    checks = looked(rows("train", pictures), rows("golden", [b"GIF89a nothing", pictures[4]]))
    assert checks["unreadable", "golden"].value == 0.5
    assert checks["unreadable", "golden"].examples == ("golden0: an image that can't be decoded",)
    assert checks["shared", "golden in train"].examples == ("golden1, train4",)
    assert checks["blank", "golden"].outcome is Outcome.PASS


def test_lines_that_cannot_be_read_are_counted_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition("train.jsonl", "0")
    bad = [Record(partition, at, 1.0, (Rejected("json", f"not JSON {at}", b""),)) for at in range(40)]
    read = rows_of("train", bad)
    assert (read.unread, len(read.refused), read.refused[0]) == (40, 5, "train.jsonl, line 1: not JSON 0")
    monkeypatch.setattr("service.checking.sets.MAX_ROWS", 39)
    with pytest.raises(InputError, match="more than 39 rows"):
        rows_of("train", bad)


def test_a_tag_that_never_reaches_a_cluster() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(at, 0.1, (300, 4)) for at in (-3, 3)]).astype(np.float32)
    spread = [{"locale": "de" if i % 3 else "fr"} for i in range(600)]
    checks = looked(rows("train", list(vectors), segments=spread))
    assert checks["empty_cells", "train"].outcome is Outcome.PASS
    apart = [{"locale": "de" if i < 300 or i % 2 else "fr"} for i in range(600)]
    empty = looked(rows("train", list(vectors), segments=apart))["empty_cells", "train"]
    assert empty.outcome is Outcome.WARN
    assert empty.examples[0].startswith("locale=fr in cluster ")


# --- between sets ------------------------------------------------------------------------------------------------------


def test_what_stands_in_both_sets_is_told_by_id_content_and_likeness() -> None:
    train = rows("train", TEXTS[:180])
    held_out = rows(
        "golden",
        [
            TEXTS[0],
            TEXTS[5].title() + "?",
            *TEXTS[180:],
        ],
    ).samples
    golden = Rows("golden", (*held_out, Sample("", "train7", 1.0, "nothing like it at all", {}, None, "a")))
    checks = found(overlaps([train, golden], Likeness()))
    assert checks["shared_ids", "golden in train"].examples == ("train7, train7",)
    assert checks["shared", "golden in train"].examples == ("golden0, train0", "golden1, train5")


def test_vectors_and_images_are_compared_as_what_they_are() -> None:
    rng = np.random.default_rng(0)
    known = [row.astype(np.float32) for row in rng.standard_normal((60, 8))]
    near = found(overlaps([rows("train", known), rows("challenge", [known[3] + np.float32(0.01)])], Likeness()))
    assert near["near_shared", "challenge in train"].examples == ("challenge0, train3",)
    pictures = [png(np.asarray(np.kron(rng.uniform(0, 255, (7, 7)), np.ones((4, 4))), np.float64)) for _ in range(25)]
    brighter = png(np.asarray(Image.open(io.BytesIO(pictures[4])), np.float64) * 0.9)
    checks = found(overlaps([rows("train", pictures), rows("golden", [brighter])], Likeness()))
    assert checks["near_shared", "golden in train"].examples == ("golden0, train4",)


def test_sets_that_cannot_be_compared_say_why() -> None:
    vectors = list(np.eye(30, dtype=np.float32))
    other = Rows("golden", rows("golden", vectors[:3]).samples, np.ones((3, 4), np.float32), fingerprint="new")
    checks = found(overlaps([rows("train", vectors), other], Likeness()))
    assert checks["embedder", "golden in train"].outcome is Outcome.WARN
    assert "different models" in checks["near_shared", "golden in train"].says
    mixed = found(overlaps([rows("train", TEXTS), rows("golden", vectors)], Likeness()))
    assert mixed["near_shared", "golden in train"].says == "golden holds vectors, train texts"
    few = found(overlaps([rows("train", vectors[:5]), rows("golden", vectors[9:12])], Likeness()))
    assert "at least 20 rows" in few["near_shared", "golden in train"].says


# --- limits ------------------------------------------------------------------------------------------------------------


def test_limits_move_as_asked() -> None:
    limits = limits_of(["repeated=0.3", "near_shared=0.01:0.5", "blank=0"])
    assert (limits["repeated"], limits["near_shared"], limits["blank"]) == (Limit(0.01, 0.3), Limit(0.01, 0.5), Limit(0, 0))
    checks = found(within([rows("train", [*TEXTS[:150], *TEXTS[:50]])], Likeness(), limits=limits))
    assert checks["repeated", "train"].outcome is Outcome.WARN
    assert checks["repeated", "train"].todo == KINDS["repeated"].todo


@pytest.mark.parametrize("asked", ["nonsense=1", "repeated", "repeated=x", "repeated=-1", "repeated=0.2:0.1", "repeated=nan"])
def test_limits_that_are_none_are_named(asked: str) -> None:
    with pytest.raises(InputError, match=f"--limit {asked}"):
        limits_of([asked])


def test_broken_images_are_named() -> None:
    with pytest.raises(InputError, match="can't be decoded"):
        readable(b"GIF89a nothing")
    readable("a text")
