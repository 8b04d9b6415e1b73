"""What leaves for those who help says how things stand, and holds no payload and no secret, wherever these are planted."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from service.adapters.sqlite import SqliteStore
from service.errors import ArtefactError
from service.logs import configure, keep_recent
from service.privacy import bundle
from service.records import DeadLetter, OutboxItem, Partition, Rejected
from service.settings import parse
from tests.service.privacy.test_forgetting import MARKER, fill

SECRET = "s3cr3t-zebra-0123456789"


def configuration(folder: Path) -> dict[str, object]:
    (folder / "token").write_text(SECRET)
    hook = {"name": "hook", "type": "webhook", "secret_file": str(folder / "token")}
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 4}, "privacy": {"redact": ["email"], "retention_days": 30}}
    return {
        "directory": str(folder),
        "server": {"ingest_token_file": str(folder / "token"), "public_url": f"https://drift.example.com/{SECRET}"},
        "destinations": [{**hook, "url": f"https://hooks.example.com/services/{SECRET}?key={SECRET}"}],
        "monitors": [monitor],
    }


def test_settings_come_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INGEST_TOKEN", "WEBHOOK_SECRET", "LINK_SECRET", "KAFKA_PASSWORD", "REDIS_PASSWORD"):
        monkeypatch.setenv(f"DRIFTGATE__{name}", SECRET)
    text = json.dumps(bundle.settings_of(parse(configuration(tmp_path), base=tmp_path)))
    assert SECRET not in text
    assert "https://hooks.example.com/[redacted]" in text
    assert '"retention_days": 30.0' in text


def test_state_is_numbers_states_and_times(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "driftgate.sqlite")) as store:
        fill(store)
        store.save(outbox=[OutboxItem("o2", "alarm.opened", "hook", {"text": MARKER}, 5.0, error=SECRET)])
        store.add_dead_letters([DeadLetter(Partition("t", "i"), 7, 1.0, Rejected("json", MARKER, SECRET.encode()))])
        state = bundle.state_of(store, ["chat"], now=65.0)
    text = json.dumps(state)
    assert "zebra" not in text
    assert state["dead_letters"] == {"chat json": 2, " json": 1}
    assert {"kind": "alarm.opened", "destination": "hook", "state": "pending", "items": 1, "oldest_seconds": 60} in state["outbox"]
    assert state["entities"]["Alarm"] == {"chat open": 1}


def test_metrics_name_no_segments() -> None:
    shown = bundle.metrics_of('driftgate_x{monitor="chat",segment="customer=zebra"} 1\n')
    assert shown == 'driftgate_x{monitor="chat",segment="[redacted]"} 1\n'


def test_the_last_lines_of_a_process_are_kept_without_secrets(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure(stream=io.StringIO())
        keep_recent(tmp_path / "logs", "serve-host", now=0.0)
        log = structlog.get_logger()
        log.info("sent", address=f"https://hooks.example.com/{SECRET}", token=SECRET)
        log.debug("not kept", text=MARKER)
        (found,) = bundle.logs_of(tmp_path / "logs").values()
    finally:
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers[:] = before
    assert json.loads(found)["event"] == "sent"
    assert "zebra" not in found


def test_an_archive_says_what_it_holds(tmp_path: Path) -> None:
    bundle.write(tmp_path / "out.tar.gz", {"versions.json": json.dumps(bundle.versions())}, now=1.0)
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["driftgate-support/index.json", "driftgate-support/versions.json"]
        index = archive.extractfile("driftgate-support/index.json")
        assert index is not None
        assert json.load(index)["files"] == ["versions.json"]
    with pytest.raises(ArtefactError, match="can't be written"):
        bundle.write(tmp_path / "no" / "out.tar.gz", {}, now=1.0)


def test_what_the_doctor_says_is_cleaned() -> None:
    (finding,) = bundle.findings_of([{"says": f"https://hooks.example.com/{SECRET} answers"}])
    assert finding == {"says": "https://hooks.example.com/[redacted] answers"}
