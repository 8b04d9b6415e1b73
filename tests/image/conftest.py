"""The image, really built: with buildah, of the checkout's Dockerfile, over a base that tests/image/install has made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BASE = ROOT / ".cache" / "image" / "bookworm.tar"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Buildah:
    """With a store of its own, which goes with the tests."""

    folder: Path
    driver: str

    def __call__(self, *arguments: str) -> str:
        """What it printed."""
        where = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"), "--storage-driver", self.driver]
        # Programs in the image see the image's settings, not those of whoever runs the tests.
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("DRIFTGATE", "PYTHON", "UV_"))}
        done = subprocess.run(["buildah", *where, *arguments], capture_output=True, text=True, check=False, env=settings)
        if done.returncode:
            raise BuildahError(f"buildah {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout

    def run(self, container: str, *command: str, **settings: str) -> str:
        """In the container, as the user that its image names."""
        environment = [f"--env={name}={value}" for name, value in settings.items()]
        return self("run", "--isolation", "chroot", *environment, container, "--", *command)

    def imports(self, name: str) -> None:
        """The bootstrapped root becomes the image of that name."""
        container = self("from", "scratch").strip()
        self("add", "--quiet", container, str(BASE), "/")
        self("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self.run(container, "true")
        self("commit", "--quiet", "--rm", container, name)


class BuildahError(RuntimeError):
    """A command of its that failed; the message ends with what it said."""


@dataclass(frozen=True)
class Image:
    """As its users get it."""

    buildah: Buildah
    config: dict[str, Any]
    size: str
    container: str

    def run(self, *command: str, **settings: str) -> str:
        """What the command prints in it."""
        return self.buildah.run(self.container, *command, **settings)


def base_name() -> str:
    """What the Dockerfile begins from."""
    (line,) = (line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line.startswith("ARG PYTHON="))
    return line.removeprefix("ARG PYTHON=")


def with_base(folder: Path) -> Buildah:
    """Overlays where this machine mounts them; else every layer is copied, which takes longer."""
    try:
        buildah = Buildah(folder / "overlay", "overlay")
        buildah.imports(base_name())
    except BuildahError:
        buildah = Buildah(folder / "vfs", "vfs")
        buildah.imports(base_name())
    return buildah


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The core target, in Docker's format (the other one has no health check)."""
    if not BASE.is_file():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs buildah and a base: `make image-test` installs both")
    folder = tmp_path_factory.mktemp("image")
    buildah = with_base(folder)
    secret = [f"--secret=id=ca,src={CERTIFICATES}"] if CERTIFICATES.is_file() else []
    build = ("bud", "--isolation", "chroot", "--format", "docker", "--pull-never", *secret, "--target", "core")
    buildah(*build, "--tag", "driftgate", str(ROOT))
    described = json.loads(buildah("inspect", "--type", "image", "driftgate"))
    (listed,) = json.loads(buildah("images", "--json", "driftgate"))
    container = buildah("from", "--pull-never", "driftgate").strip()
    yield Image(buildah, described["Docker"]["config"], listed["size"], container)
    buildah("rm", "--all")
    shutil.rmtree(folder)
