"""Which monitors there are is one truth in the store, each changed where it was declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.declarations import API, PROGRAM, Declarations
from service.errors import ArtefactError, ConfigurationError, ConflictError, InputError, NotFoundError
from service.records import Declaration, DeclarationState
from service.settings import MonitorSettings


def monitor(name: str = "chat", **changes: Any) -> MonitorSettings:
    return MonitorSettings.model_validate({"name": name, "embedder": {"input": "none", "dimension": 4}, **changes})


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A configuration file beside the installation's directory."""
    (tmp_path / "a.yaml").touch()
    (tmp_path / "state").mkdir()
    return "../a.yaml"


@pytest.fixture
def declarations(store: SqliteStore, tmp_path: Path, file: str) -> Declarations:
    return Declarations(store, tmp_path / "state", clock=lambda: 5.0)


def test_a_file_is_published_once_and_what_is_gone_from_it_is_withdrawn(declarations: Declarations, store: SqliteStore, file: str) -> None:
    assert declarations.publish([monitor("chat"), monitor("mail")], file) == ["chat", "mail"]
    assert declarations.publish([monitor("chat"), monitor("mail")], file) == []
    assert declarations.publish([monitor("chat")], file) == ["mail"]
    assert list(declarations.declared) == ["chat"]
    mail = store.get(Declaration, "mail")
    assert (mail.state, mail.version, [step.reason for step in mail.history]) == (DeclarationState.WITHDRAWN, 2, ["declared", "withdrawn"])
    assert declarations.publish([monitor("chat"), monitor("mail")], file) == ["mail"]
    assert declarations.declared["mail"].shape == 2, "a worker that slept meanwhile folds nothing into what came since"


@pytest.mark.parametrize(
    ("change", "shapes"),
    [
        ({"detection": {"critical": 0.5}}, False),
        ({"notify": []}, False),
        ({"pool": {"rows": 600}}, False),
        ({"detection": {"pane_samples": 64}}, True),
        ({"detection": {"pane_seconds": 5}}, True),
        ({"segments": {"tags": ["locale"]}}, True),
        ({"classes": ["a", "b"]}, True),
        ({"kserve": {"service": "chat"}}, True),
        ({"topic": {"name": "chat"}}, True),
        ({"topic": {"name": "chat", "start": "latest"}}, True),
        ({"embedder": {"input": "none", "dimension": 5}}, True),
    ],
)
def test_only_what_shapes_panes_raises_the_shape(declarations: Declarations, file: str, change: dict[str, Any], shapes: bool) -> None:
    declarations.publish([monitor()], file)
    declarations.publish([monitor(**change)], file)
    known = declarations.declared["chat"]
    if change == {"notify": []}:
        assert known.version == 1
    else:
        assert (known.version, known.shape) == (2, 2 if shapes else 1)


def test_a_reference_that_comes_into_force_reshapes(declarations: Declarations, store: SqliteStore, tmp_path: Path, file: str) -> None:
    declarations.publish([monitor()], file)
    declarations.activate("chat", 3)
    declarations.activate("chat", 3)
    assert (declarations.reference("chat"), declarations.declared["chat"].shape) == (3, 2)
    other = Declarations(store, tmp_path / "state")
    assert other.look()["chat"].reference == 3
    declarations.publish([monitor(detection={"critical": 0.5})], file)
    assert declarations.reference("chat") == 3


def test_what_was_in_force_before_there_were_declarations_stays(declarations: Declarations, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "state" / "references" / "chat"
    folder.mkdir(parents=True)
    (folder / "current").write_text("7\n", encoding="utf-8")
    assert declarations.reference("chat") == 7
    declarations.publish([monitor()], file)
    assert declarations.declared["chat"].reference == 7
    (folder / "current").write_text("", encoding="utf-8")
    assert declarations.reference("chat") == 7
    (tmp_path / "state" / "references" / "mail").mkdir()
    (tmp_path / "state" / "references" / "mail" / "current").write_text("", encoding="utf-8")
    with pytest.raises(ArtefactError, match="holds no version number"):
        declarations.publish([monitor("chat"), monitor("mail")], file)


def test_a_monitor_belongs_to_the_file_that_declares_it(declarations: Declarations, tmp_path: Path, file: str) -> None:
    (tmp_path / "b.yaml").touch()
    declarations.publish([monitor()], file)
    assert declarations.publish([monitor()], "../b.yaml") == [], "two that say the same are of one mind"
    with pytest.raises(ConfigurationError, match=r"declared in \.\./a\.yaml too"):
        declarations.publish([monitor(importance=2.0), monitor("mail")], "../b.yaml")
    assert list(declarations.declared) == ["chat"], "all or none"
    assert declarations.publish([], "../b.yaml") == []
    (tmp_path / "a.yaml").unlink()
    assert declarations.publish([monitor(importance=2.0)], "../b.yaml") == ["chat"], "a file that is gone owns nothing"
    assert declarations.declared["chat"].origin == "../b.yaml"


def test_a_file_takes_over_what_a_program_declared(declarations: Declarations, file: str) -> None:
    declarations.publish([monitor()], PROGRAM)
    assert declarations.publish([monitor()], file) == ["chat"]
    assert (declarations.declared["chat"].origin, declarations.declared["chat"].shape) == (file, 1)


def test_by_api_the_version_that_was_read_is_compared(declarations: Declarations, file: str) -> None:
    assert declarations.put(monitor("mail"), version=None, actor="ana").version == 1
    with pytest.raises(ConflictError, match="version 1 stands"):
        declarations.put(monitor("mail", importance=2.0), version=0, actor="ana")
    changed = declarations.put(monitor("mail", importance=2.0), version=1, actor="ana")
    assert (changed.version, changed.origin) == (2, API)
    with pytest.raises(ConfigurationError, match="was declared by API"):
        declarations.publish([monitor("mail")], file)
    with pytest.raises(ConflictError, match="version 2 stands"):
        declarations.withdraw("mail", version=1, actor="ana")
    declarations.withdraw("mail", version=2, actor="ana")
    assert list(declarations.declared) == []
    assert not declarations.stands("mail")
    with pytest.raises(NotFoundError):
        declarations.withdraw("mail", version=0, actor="ana")
    assert declarations.put(monitor("mail"), version=0, actor="bob").shape == 2


def test_what_a_file_declares_is_not_changed_by_api(declarations: Declarations, file: str) -> None:
    declarations.publish([monitor()], file)
    with pytest.raises(ConflictError, match=r"declared in the file \.\./a\.yaml: change it there"):
        declarations.put(monitor(importance=2.0), version=1, actor="ana")
    with pytest.raises(ConflictError, match="change it there"):
        declarations.withdraw("chat", version=1, actor="ana")


def test_one_who_was_faster_is_read_first(declarations: Declarations, store: SqliteStore, tmp_path: Path, file: str) -> None:
    declarations.publish([monitor()], file)
    others = Declarations(store, tmp_path / "state")
    others.activate("chat", 2)
    declarations.publish([monitor(importance=2.0)], file)
    known = declarations.declared["chat"]
    assert (known.reference, known.settings.importance, known.version) == (2, 2.0, 3)


def test_a_command_goes_by_its_own_file_and_publishes_nothing(store: SqliteStore, tmp_path: Path, file: str) -> None:
    server, command = Declarations(store, tmp_path / "state"), Declarations(store, tmp_path / "state")
    server.publish([monitor()], file)
    server.put(monitor("mail"), version=0, actor="ana")
    command.offer([monitor(importance=9.0)], file)
    known = command.look()
    assert (sorted(known), known["chat"].settings.importance, known["chat"].version) == (["chat", "mail"], 9.0, 1)
    assert server.look()["chat"].settings.importance == 1.0
    command.activate("chat", 1)
    assert (server.look()["chat"].reference, server.declared["chat"].settings.importance) == (1, 1.0)


def test_a_command_declares_what_it_brings_into_force(store: SqliteStore, tmp_path: Path, file: str) -> None:
    command = Declarations(store, tmp_path / "state")
    command.offer([monitor()], file)
    command.look()
    command.activate("chat", 1)
    assert (command.reference("chat"), store.get(Declaration, "chat").origin) == (1, file)
    with pytest.raises(NotFoundError, match="no monitor 'mail'"):
        command.activate("mail", 1)


def test_settings_of_another_driftgate_leave_the_known_ones_in_force(declarations: Declarations, store: SqliteStore, file: str) -> None:
    from dataclasses import replace

    declarations.publish([monitor()], file)
    newer = store.get(Declaration, "chat")
    store.save(replace(newer, settings={**newer.settings, "tomorrow": True}, version=2))
    assert declarations.look()["chat"].version == 1


def test_a_start_to_come_is_refused(declarations: Declarations, file: str) -> None:
    """Nothing tells the offset at which it will be: reading would begin at once."""
    with pytest.raises(InputError, match=r"topic\.start lies in the future"):
        declarations.publish([monitor(topic={"name": "chats", "start": "2999-01-01T00:00:00Z"})], file)
    declarations.publish([monitor(topic={"name": "chats", "start": "1970-01-01T00:00:00Z"})], file)


def test_what_came_by_api_follows_other_defaults_and_no_other_monitor_does(declarations: Declarations, file: str) -> None:
    declarations.publish([monitor()], file)
    declarations.put(monitor("mail"), version=None, actor="ana", given={"importance": 1.0})
    declarations.put(monitor("old"), version=None, actor="ana")

    def accepted(name: str, given: Mapping[str, Any]) -> MonitorSettings:
        return monitor(name, **{"detection": {"critical": 0.5}, **given})

    assert declarations.inherit(accepted) == ["mail"]
    assert declarations.inherit(accepted) == []
    known = declarations.declared
    assert {name: known[name].settings.detection.critical for name in known} == {"chat": 0.25, "mail": 0.5, "old": 0.25}

    def refusing(name: str, given: Mapping[str, Any]) -> MonitorSettings:
        raise InputError("invalid", f"{name}: {given} makes no sense")

    assert declarations.inherit(refusing) == []
    assert declarations.declared["mail"].settings.detection.critical == 0.5
