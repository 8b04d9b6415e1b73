"""Reports of a process that serves: in time, on request, and without keeping it from ending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.conftest import Site


def test_reports_are_made_in_time_and_on_request_and_outlive_the_process(idle: Site) -> None:
    def every_hour(document: dict[str, Any]) -> None:
        document["report"] = {"every_hours": 1, "keep": 1}

    idle.configure(every_hour)
    idle.start()
    first = idle.until(lambda: idle.get("/v1/reports")["reports"])
    made = {line["monitor"]: line["made"] for line in first}
    begun = idle.until(lambda: answer if (answer := idle.client.post("/v1/monitors/chat/report")).status_code == 202 else None)
    assert begun.json()["monitor"] == "chat"
    again = idle.until(lambda: [x for x in idle.get("/v1/reports")["reports"] if x["monitor"] == "chat" and x["made"] != made.get("chat")])
    assert idle.client.get("/v1/monitors/chat/report", params={"format": "html"}).text.startswith("<!doctype html>")
    idle.stop()
    assert len(list((idle.folder / "state" / "reports" / "chat").iterdir())) == 1

    idle.start()
    assert idle.get("/v1/monitors/chat/report")["made"] >= again[0]["made"]
    idle.client.post("/v1/monitors/chat/report")
    idle.stop()
