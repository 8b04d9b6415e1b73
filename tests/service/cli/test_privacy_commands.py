"""Samples are forgotten, and helpers are told how things stand, on the command line."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


@pytest.mark.long
def test_a_sample_is_forgotten_everywhere(alarmed: Desk) -> None:
    sample = alarmed.json("alarm", "list")["alarms"][0]["exemplars"][0]["id"]
    found = alarmed.json("forget", "--sample", sample)
    (erasure,) = found["erasures"]
    assert erasure["erased"]["pool"] == 1
    assert erasure["erased"]["documents"] >= 1
    assert any("backups" in each for each in found["outside"])
    assert sample not in str(alarmed.json("alarm", "list"))
    assert alarmed.json("forget", "--sample", sample, "--monitor", "chat")["erasures"][0]["erased"] == {}
    assert "nothing that is kept" in alarmed.run("forget", "--sample", sample).stdout


@pytest.mark.long
def test_helpers_are_told_how_things_stand(alarmed: Desk) -> None:
    sample = alarmed.json("alarm", "list")["alarms"][0]["exemplars"][0]["id"]
    assert "state.json" in alarmed.run("support-bundle", "--output", alarmed.folder / "out.tar.gz").stdout
    with tarfile.open(alarmed.folder / "out.tar.gz") as archive:
        contents = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        texts = {name: file.read().decode() for name, file in contents.items() if file is not None}
    assert "driftgate-support/metrics.txt" in texts
    assert "no server answers" in texts["driftgate-support/metrics-live.txt"]
    assert "driftgate_alarms{" in texts["driftgate-support/metrics.txt"]
    assert not any(sample in text for text in texts.values())


def test_a_broken_configuration_is_no_reason_not_to_tell(desk: Desk) -> None:
    (desk.folder / "driftgate.yaml").write_text("monitors: 3")
    assert "unreadable.txt" in desk.run("support-bundle", "--output", desk.folder / "out.tar.gz").stdout
