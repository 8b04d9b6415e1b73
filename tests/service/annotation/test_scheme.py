"""What annotators' words mean: aliases, former names, proposals; and that no version makes a word mean two things."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from service.annotation.scheme import (
    Draft,
    Meaning,
    Words,
    added,
    canonical,
    difference,
    first,
    folded,
    following,
    merged,
    renamed,
    resolve,
    trains,
    written,
)
from service.annotation.scheme_files import as_yaml, draft_of
from service.errors import InputError
from service.records import LabelScheme, SchemeClass

CARD = SchemeClass("card lost", ("lost card", "Karte weg"), "the card itself")
PLAIN = written(None, "chat", Draft((SchemeClass("refund"), CARD, SchemeClass("other"))), actor="ana", now=1.0)


@pytest.mark.parametrize(
    ("given_word", "meaning", "name"),
    [
        ("refund", Meaning.LABEL, "refund"),
        ("  Refund\t", Meaning.LABEL, "refund"),
        ("LOST  CARD", Meaning.LABEL, "card lost"),
        ("karte\u00a0weg", Meaning.LABEL, "card lost"),
        ("Unusable", Meaning.UNUSABLE, "unusable"),
        ("None of  these", Meaning.NONE, "none of these"),
        ("new: Top up", Meaning.NEW, "Top up"),
        ("NEW:top-up", Meaning.NEW, "top-up"),
        ("new: refund", Meaning.LABEL, "refund"),
        ("new: lost card", Meaning.LABEL, "card lost"),
        ("new:", Meaning.UNKNOWN, "new:"),
        ("new: unusable", Meaning.UNKNOWN, "new: unusable"),
        ("refnud", Meaning.UNKNOWN, "refnud"),
        ("<b>refund</b>", Meaning.UNKNOWN, "<b>refund</b>"),
        ("", Meaning.UNKNOWN, ""),
    ],
)
def test_words_are_resolved_or_reported_never_guessed(given_word: str, meaning: Meaning, name: str) -> None:
    found = resolve(PLAIN, given_word)
    assert (found.meaning, found.name) == (meaning, name)


def test_only_classes_train() -> None:
    assert [trains(resolve(PLAIN, said).word) for said in ("refund", "none of these", "new: top up", "unusable")] == [
        True,
        False,
        False,
        False,
    ]


def test_where_nobody_declares_classes_every_name_is_one() -> None:
    open_scheme = first("chat", (), now=1.0)
    assert resolve(open_scheme, "anything").meaning is Meaning.LABEL
    assert resolve(open_scheme, "unusable").meaning is Meaning.UNUSABLE


def test_names_that_differ_in_case_alone_are_told_apart_by_their_spelling() -> None:
    scheme = first("chat", ("Refund", "refund"), now=1.0)
    assert [resolve(scheme, word).name for word in ("Refund", "refund", "REFUND")] == ["Refund", "refund", "REFUND"]
    assert resolve(scheme, "REFUND").meaning is Meaning.UNKNOWN


def test_labels_follow_renames_and_merges() -> None:
    once = renamed(PLAIN, "refund", "money back", actor="ana", now=2.0)
    twice = renamed(once, "money back", "reimbursement", actor="ana", now=3.0)
    whole = merged(twice, ["other"], "reimbursement", actor="ana", now=4.0)
    assert [canonical(whole, name) for name in ("refund", "money back", "other", "card lost", "never a class")] == [
        *["reimbursement"] * 3, "card lost", "never a class",
    ]  # fmt: skip
    assert (whole.number, [each.name for each in whole.classes]) == (4, ["reimbursement", "card lost"])
    assert resolve(whole, "Money Back").name == "reimbursement"


def test_a_class_may_be_called_as_before() -> None:
    there = renamed(PLAIN, "refund", "money back", actor="ana", now=2.0)
    back = renamed(there, "money back", "refund", actor="ana", now=3.0)
    assert back.classes == PLAIN.classes
    assert canonical(back, "money back") == "refund"


def test_merged_classes_hand_over_their_aliases() -> None:
    whole = merged(PLAIN, ["lost card"], "refund", actor="ana", now=2.0)
    assert whole.classes[0].aliases == ("lost card", "Karte weg")
    assert resolve(whole, "Karte weg").name == "refund"


@pytest.mark.parametrize(
    ("classes", "why"),
    [
        ((SchemeClass("a", ("b",)), SchemeClass("b")), "'b' means 'a' already"),
        ((SchemeClass("a", ("x",)), SchemeClass("b", ("X",))), "'X' means 'a' already"),
        ((SchemeClass("a"), SchemeClass("A ".strip())), "'A' means 'a' already"),
        ((SchemeClass("a"), SchemeClass("a")), "it stands there twice"),
        ((SchemeClass("unusable"),), "is an answer of its own"),
        ((SchemeClass("a", ("None of these",)),), "is an answer of its own"),
        ((SchemeClass("new: a"),), "proposes a class"),
        ((SchemeClass(" a"),), "one line of 1 to 200 characters"),
        ((SchemeClass("a\nb"),), "one line of 1 to 200 characters"),
        ((SchemeClass("a\x1b[31m"),), "one line of 1 to 200 characters"),
        ((SchemeClass(""),), "one line of 1 to 200 characters"),
        ((SchemeClass("a" * 201),), "one line of 1 to 200 characters"),
        ((SchemeClass("a", tuple(f"alias {n}" for n in range(51))),), "51 aliases, at most 50"),
        ((SchemeClass("a", guideline="x" * 20_001),), "20,001 characters, at most 20,000"),
        (tuple(SchemeClass(f"c{n}") for n in range(2_001)), "2,001 of them, at most 2,000"),
    ],
)
def test_what_means_two_things_or_nothing_is_refused(classes: tuple[SchemeClass, ...], why: str) -> None:
    with pytest.raises(InputError, match=why):
        written(None, "chat", Draft(classes), actor="ana", now=1.0)


def test_a_former_name_is_not_given_to_another_class() -> None:
    there = renamed(PLAIN, "refund", "money back", actor="ana", now=2.0)
    with pytest.raises(InputError, match="'refund' means 'money back' already"):
        added(there, SchemeClass("Refund".lower()), actor="ana", now=3.0)
    assert added(there, SchemeClass("top up"), actor="ana", now=3.0).number == 3


def test_unknown_classes_can_be_neither_renamed_nor_merged() -> None:
    with pytest.raises(InputError, match="has no class 'nothing'; it has refund, card lost, other"):
        renamed(PLAIN, "nothing", "x", actor="ana", now=2.0)
    with pytest.raises(InputError, match=r"has no class 'all cards'.*add it first \(`driftgate scheme add 'all cards'`\)"):
        merged(PLAIN, ["card lost"], "all cards", actor="ana", now=2.0)
    with pytest.raises(InputError, match="nothing but 'refund' itself"):
        merged(PLAIN, ["refund"], "refund", actor="ana", now=2.0)
    with pytest.raises(InputError, match="the first must be no class any more"):
        written(PLAIN, "chat", Draft(PLAIN.classes, renamed={"refund": "other"}), actor="ana", now=2.0)


def test_a_file_says_what_the_scheme_is_and_what_changed_is_told() -> None:
    assert draft_of({"classes": ["refund", {"name": "card lost", "aliases": ["lost card"]}]}, "f") == Draft(
        (SchemeClass("refund"), SchemeClass("card lost", ("lost card",)))
    )
    draft = Draft((SchemeClass("money back"), replace(CARD, aliases=("lost card",), guideline="")), "all", {"refund": "money back"})
    newer = written(PLAIN, "chat", draft, actor="ana", now=2.0)
    change = difference(PLAIN, newer)
    assert (change.added, change.removed, change.renamed) == ((), ("other",), (("refund", "money back"),))
    assert (change.aliases, change.guidelines) == ({"card lost": ((), ("Karte weg",))}, ("", "card lost"))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "a mapping with `classes`"),
        ({"classes": "refund"}, "a mapping with `classes`"),
        ({"classes": [{"name": "refund", "alias": ["x"]}]}, "class 'refund': 'alias' is no field"),
        ({"classes": [{"aliases": []}]}, "name"),
        ({"classes": ["a"], "guidline": "x"}, "'guidline' is no field"),
        ({"classes": [3]}, "object"),
    ],
)
def test_a_file_that_is_no_scheme_is_refused(document: object, why: str) -> None:
    with pytest.raises(InputError, match=why):
        draft_of(document, "scheme.yaml")


def test_a_scheme_that_nobody_wrote_follows_the_monitor() -> None:
    scheme = following(first("chat", ("a", "b"), now=1.0), ("c",), now=2.0)
    assert ([each.name for each in scheme.classes], scheme.number, scheme.actor) == (["a", "b", "c"], 2, "")


def test_what_is_written_out_is_read_back() -> None:
    assert draft_of(yaml.safe_load(as_yaml(PLAIN)), "f").classes == PLAIN.classes


NAMES = st.sampled_from(["a", "b", "c", "d", "e", "A", "b ", "f"]).map(str.strip)
STEPS = st.lists(st.tuples(st.sampled_from(["rename", "merge", "add", "drop"]), NAMES, NAMES), max_size=12)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_chain_of_changes_loses_a_label_or_makes_it_mean_two_things(steps: list[tuple[str, str, str]]) -> None:
    scheme = first("chat", ("a", "b", "c"), now=0.0)
    meant = {name: name for name in "abc"}
    """What a label of any version means by now, followed by hand."""
    for what, one, other in steps:
        try:
            changed = _changed(scheme, what, one, other)
        except InputError:
            continue
        old, new = Words(scheme).canonical(one), Words(changed).canonical(one)
        if what in {"rename", "merge"}:
            target = other if what == "rename" else Words(scheme).canonical(other)
            meant = {name: target if now == old else now for name, now in meant.items()}
            assert new == target
        if what == "drop":
            meant = {name: now for name, now in meant.items() if now != old}
        meant |= {each.name: each.name for each in changed.classes}
        assert changed.number == scheme.number + 1
        scheme = changed
    words, names = Words(scheme), [each.name for each in scheme.classes]
    assert {name: words.canonical(name) for name in meant} == meant
    assert all(words.resolve(name).name == name for name in names)
    assert all(target in names and former not in names for former, target in scheme.renamed)
    assert len({folded(name) for name in names}) == len(names)


def _changed(scheme: LabelScheme, what: str, one: str, other: str) -> LabelScheme:
    if what == "rename":
        return renamed(scheme, one, other, actor="ana", now=1.0)
    if what == "merge":
        return merged(scheme, [one], other, actor="ana", now=1.0)
    if what == "add":
        return added(scheme, SchemeClass(one), actor="ana", now=1.0)
    kept = tuple(each for each in scheme.classes if each.name != Words(scheme).canonical(one))
    return written(scheme, "chat", Draft(kept), actor="ana", now=1.0)
