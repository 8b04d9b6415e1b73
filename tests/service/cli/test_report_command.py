"""`driftgate report`, on a desk."""

from __future__ import annotations

import json
from typing import Any

from tests.service.cli.conftest import Desk


def test_a_monitor_with_an_alarm_says_what_to_do_first(alarmed: Desk) -> None:
    text = alarmed.run("report", "--section", "drift").stdout
    assert text.startswith("# Blind spots of chat")
    assert "`driftgate explain " in text
    assert not (alarmed.folder / "state" / "reports").exists()


def test_the_format_follows_the_name_of_the_file_and_whole_reports_are_kept(watching: Desk) -> None:
    watching.run("report", "--output", "out/page.html")
    assert (watching.folder / "out" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(list((watching.folder / "state" / "reports" / "chat").iterdir())) == 1
    document = json.loads(watching.run("report", "--format", "json").stdout)
    assert document["monitor"] == "chat"
    assert len(list((watching.folder / "state" / "reports" / "chat").iterdir())) == 2


def test_all_monitors_get_a_page_each_and_one_table(alarmed: Desk) -> None:
    def another(document: dict[str, Any]) -> None:
        document["monitors"].append({**document["monitors"][0], "name": "quiet"})

    alarmed.configure(another)
    told = alarmed.run("report", "--all", "--section", "drift").stdout
    assert told.index("quiet") < told.index("chat"), "one that watches nothing at all comes first"
    alarmed.run("report", "--all", "--output", "pages", "--section", "drift")
    assert {str(path.relative_to(alarmed.folder / "pages")) for path in (alarmed.folder / "pages").rglob("*.html")} == {
        "index.html",
        "monitors/chat.html",
        "monitors/quiet.html",
    }
    ranking = json.loads(alarmed.run("report", "--all", "--format", "json", "--section", "drift").stdout)
    assert [line["monitor"] for line in ranking["monitors"]] == ["quiet", "chat"]


def test_wrong_use_is_told(desk: Desk) -> None:
    assert "either --all or --monitor" in desk.run("report", "--all", "--monitor", "chat", code=2).stderr
    assert "name it with --output" in desk.run("report", "--all", "--format", "html", code=2).stderr
    error = " ".join(desk.run("report", "--all", "--output", "x.html", "--section", "drift", code=2).stderr.split())
    assert "--all writes a folder of pages: --output x.html names a file" in error
    assert not (desk.folder / "x.html").exists()
    assert "no section 'drifft'" in desk.run("report", "--section", "drifft", code=2).stderr
    assert "no monitor 'nobody'" in desk.run("report", "--monitor", "nobody", code=2).stderr
    assert "can't be written" in desk.run("report", "--section", "drift", "--output", "driftgate.yaml/x.md", code=2).stderr
