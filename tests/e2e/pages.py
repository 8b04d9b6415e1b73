"""Runs what a page says is run: its blocks in order, as one would type them, in a clean folder with an empty home."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from socket import socket

from tests.architecture.blocks import PAGES, ROOT, Block, blocks
from tests.servers.process import free_port

PORT = 8080
"""Of the pages; where something else has it, they are run with a free one in its place."""

PASSED = (
    "LANG",
    "LC_ALL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)
"""How a machine reaches an index of packages is no part of the page; nor are variables of pip."""

LASTING = re.compile(r"driftgate (serve|worker|controller|api|demo traffic)\b[^\n|&;]*")
SECONDS = 60.0
"""Until a server that a page starts is ready."""

PRELUDE = """\
set -euo pipefail
trap 'status=$?; kill $(jobs -p) 2> /dev/null || true; wait; exit $status' EXIT
"""
READY = """\
for _ in $(seq {tries}); do curl -sf localhost:{port}/readyz > /dev/null && break; sleep 0.5; done
curl -sf localhost:{port}/readyz > /dev/null || {{ cat server.log; exit 1; }}
"""


def run_pages() -> list[Path]:
    """Pages that have something to run."""
    return [page for page in PAGES if any(block.runs for block in blocks(page))]


def script(page: Path, *, port: int) -> str:
    """What is typed: files are written where a block is titled with a file's name, servers stay in the background."""
    typed = [(block, _typed(block, port)) for block in blocks(page) if block.runs]
    parts = [PRELUDE, *(f"echo '--- {block}' >&2\n{text}" for block, text in typed if text)]
    return re.sub(rf"\b(localhost|127\.0\.0\.1):{PORT}\b", rf"\1:{port}", "\n".join(parts))


def _typed(block: Block, port: int) -> str:
    if LASTING.fullmatch(block.script.strip()):
        return f"{block.script.strip()} > server.log 2>&1 &\n{READY.format(tries=int(SECONDS * 2), port=port)}"
    if block.language in ("sh", "console"):
        return block.script
    if re.fullmatch(r"[\w./-]+\.\w+", block.title):
        return f"mkdir -p $(dirname {block.title})\ncat > {block.title} <<'END OF FILE'\n{block.text}END OF FILE\n"
    return f"python - <<'END OF CODE'\n{block.text}END OF CODE\n" if block.language == "python" else ""


def run(page: Path, folder: Path, *, home: Path, path: Sequence[Path] = (), seconds: float) -> str:
    """What it printed; fails with the end of it where a command does."""
    port = PORT if _is_free(PORT) else free_port()
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name in PASSED or name.startswith(("PIP_", "UV_"))}
    environment |= {"HOME": str(home), "PATH": os.pathsep.join([*map(str, path), "/usr/local/bin:/usr/bin:/bin"]), "COLUMNS": "150"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | ({} if port == PORT else {"DRIFTGATE__SERVER__PORT": str(port)})
    with subprocess.Popen(
        ["bash", "-c", script(page, port=port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            raise AssertionError(f"{page.relative_to(ROOT)}: not done within {seconds:.0f} s\n{printed[-4000:]}") from None
    assert process.returncode == 0, f"{page.relative_to(ROOT)}: exit code {process.returncode}\n{printed[-4000:]}"
    return printed


def _is_free(port: int) -> bool:
    with closing(socket()) as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0
