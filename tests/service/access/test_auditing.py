"""Whatever somebody changes is written down with it, and nothing that people or samples wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.access.acting import Acting, acting
from service.access.auditing import audited, difference, entries, expired, note
from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.records import AuditEntry, Declaration, DeclarationState, FailureMark, MarkState, OutboxItem, Step

NOW = 1_000_000.0
SAID = "the customer said so"


def ana() -> Acting:
    return Acting("ana", "api", lambda: "mark_failure", token="t1", address="10.1.2.3")


def mark(**changes: Any) -> FailureMark:
    made = FailureMark("f1", "chat", "m-17", MarkState.MARKED, "refund", NOW, (Step("marked", "mark", NOW, "bo", SAID),), 1)
    return replace(made, **changes)


def test_a_change_is_written_with_what_it_changed(store: SqliteStore) -> None:
    kept = audited(store)
    with acting(ana()) as by:
        kept.save(mark())
        kept.save(mark(state=MarkState.UNMARKED, version=2))
    second, first = sorted(entries(store), key=lambda entry: -(entry.after or {})["version"])
    assert (first.who, first.way, first.token, first.address, first.operation) == ("ana", "api", "t1", "10.1.2.3", "mark_failure")
    assert (first.kind, first.subject, first.monitor, first.before) == ("failure mark", "f1", "chat", None)
    assert second.before == {"state": "marked", "version": 1}
    assert second.after == {"state": "unmarked", "version": 2, "actor": "bo"}
    assert by.recorded == 2


def test_nothing_is_written_of_what_the_program_does(store: SqliteStore) -> None:
    audited(store).save(mark())
    assert list(entries(store)) == []


def test_what_did_not_happen_is_not_written(store: SqliteStore) -> None:
    with acting(ana()) as by, pytest.raises(ConflictError):
        audited(store).save(mark(version=1), replace(mark(), id="f2", version=7))
    assert list(entries(store)) == []
    assert by.recorded == 0


def test_texts_are_not_kept(store: SqliteStore) -> None:
    with acting(ana()):
        audited(store).save(mark())
    (entry,) = entries(store)
    shown = repr(entry)
    assert SAID not in shown
    assert "m-17" not in shown
    assert "refund" not in shown
    assert (entry.after or {})["label"] == "(text)"


def test_settings_are_shown_by_their_names() -> None:
    before = Declaration(
        "chat", "chat", {"limits": {"pane": 100}, "notify": ["a"]}, "api", 1, None, DeclarationState.DECLARED, NOW, version=1
    )
    after = replace(before, settings={"limits": {"pane": 200}, "notify": ["a"], "team": "support"}, version=2)
    was, became = difference(before, after)
    assert was == {"state": "declared", "version": 1, "settings": {"limits.pane": 100, "team": None}}
    assert became == {"state": "declared", "version": 2, "settings": {"limits.pane": 200, "team": "support"}}


def test_what_leaves_again_is_written(store: SqliteStore) -> None:
    item = OutboxItem("o1", "alarm.opened", "hook", {"text": SAID}, NOW, state="dead")
    store.save(mark(), outbox=[item])
    with acting(ana()):
        audited(store).settle(replace(item, state="pending"))
    (entry,) = entries(store)
    assert (entry.kind, entry.subject, entry.after) == ("outbox item", "o1", {"state": "pending", "destination": "hook"})


def test_entries_are_kept_for_so_many_days(store: SqliteStore) -> None:
    for day in range(5):
        note(store, ana(), now=NOW + day * 86_400.0)
    assert expired(store, days=2.5, now=NOW + 4 * 86_400.0) == 2
    assert [entry.created for entry in entries(store)] == [NOW + day * 86_400.0 for day in (4, 3, 2)]
    assert expired(store, days=2.5, now=NOW + 4 * 86_400.0) == 0


def test_everything_else_is_the_store_s(store: SqliteStore) -> None:
    kept = audited(store)
    kept.save(mark())
    assert kept.get(FailureMark, "f1") == mark()
    assert kept.find(AuditEntry) == []
