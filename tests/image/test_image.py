"""The image as its users start it: as nobody in particular, writing where it may, with the whole loop inside."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.servers.process import free_port

if TYPE_CHECKING:
    from tests.image.conftest import Image

pytestmark = [pytest.mark.server("buildah"), pytest.mark.long]

WRITABLE = r"find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o -writable -print 2>/dev/null || true"
"""Whatever its user may write to."""
OPEN = ("/tmp", "/var/lib/driftgate")  # noqa: S108 - in the image, whose documentation promises it


def test_it_says_what_it_is(image: Image, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((request.config.rootpath / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert image.config["User"] == "10001:10001"
    assert image.config["Entrypoint"] == ["driftgate"]
    assert set(image.config["ExposedPorts"]) == {"8080/tcp", "9464/tcp"}
    assert image.run("driftgate", "--version").strip() == project["version"]
    with capsys.disabled():
        print(f"\nimage: {image.size}, the base's {_size(image)} among it")  # noqa: T201 - what somebody who builds it asks


def _size(image: Image) -> str:
    return next(line.split()[-2] + " " + line.split()[-1] for line in image.buildah("images").splitlines() if "python" in line)


def test_it_holds_what_it_runs_and_no_more(image: Image) -> None:
    found = image.run(
        "python3", "-c", "import importlib.util as u; print(*[n for n in ('service', 'detectors', 'torch', 'pytest') if u.find_spec(n)])"
    )
    assert found.split() == ["service", "detectors"]
    assert image.run("sh", "-c", "ls -d /src /opt/uv /usr/bin/gcc 2>/dev/null || true") == ""


def test_its_user_writes_where_state_lives_and_in_tmp_alone(image: Image) -> None:
    assert image.run("id", "-u").strip() == "10001"
    found = image.run("sh", "-c", WRITABLE).splitlines()
    assert sorted(place for place in found if not place.startswith(tuple(f"{open_to_it}/" for open_to_it in OPEN))) == sorted(OPEN)


def test_doctor_finds_nothing_wrong(image: Image) -> None:
    script = "cd /var/lib/driftgate && driftgate init && driftgate model build minilm --output models/minilm/model.onnx && driftgate doctor"
    said = image.run("sh", "-c", script)
    assert "/var/lib/driftgate can be written" in said


def test_it_is_healthy_while_it_serves_and_stops_when_told(image: Image) -> None:
    (_, *command) = image.config["Healthcheck"]["Test"]
    probe = " ".join(f"'{part}'" if part != command[2] else '"$PROBE"' for part in command)
    script = (
        f"driftgate serve --config /tmp/none.yaml & server=$!; for _ in $(seq 240); do {probe} 2>/dev/null && break; sleep 0.5; done; "
        f"{probe} && echo healthy; kill -TERM $server; wait $server; echo ended with $?"
    )
    image.run("sh", "-c", "echo '{}' > /tmp/none.yaml")
    said = image.run("bash", "-c", script, PROBE=command[2], DRIFTGATE__SERVER__PORT=str(free_port()), DRIFTGATE__SERVER__HOST="127.0.0.1")
    assert said.splitlines()[-2:] == ["healthy", "ended with 0"]


def test_the_whole_loop_runs_in_it(image: Image) -> None:
    said = image.run("driftgate", "demo", "--exit", "--port", "0", XDG_CACHE_HOME="/var/lib/driftgate/cache")
    assert "the loop is closed" in said
