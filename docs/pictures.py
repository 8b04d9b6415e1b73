"""Makes the README's pictures from a real demo run: `python docs/pictures.py`. Needs Chromium and the dev dependencies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "pictures"
PORT = 8790
ADDRESS = f"http://127.0.0.1:{PORT}"
MONITOR = "support-chat"
WIDE, HIGH = 1180, 760
MOST_BYTES = 150_000
_PATIENCE = 900.0


@contextmanager
def demo() -> Iterator[None]:
    """The demo, played to its end and still answering."""
    command = [sys.executable, "-c", "from service.cli import main; main()", "demo", "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "160"})  # noqa: S603 - our own command
    try:
        _played(process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _played(process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _PATIENCE
    for line in process.stdout or ():
        if "goes on running" in line:
            return
        if time.monotonic() > end:
            break
    raise SystemExit("the demo did not come to its end")


def pictures(page: Page) -> None:
    """Of an alarm, its monitor, the fleet and the map."""
    page.goto(f"{ADDRESS}/console/alarms?monitor={MONITOR}")
    whole = page.locator("tbody tr", has=page.locator("td", has_text="all")).last
    page.goto(f"{ADDRESS}{whole.locator('th a').get_attribute('href')}")
    keep(page, "alarm")
    page.goto(f"{ADDRESS}/console/monitors/{MONITOR}")
    page.locator("figure").first.scroll_into_view_if_needed()
    keep(page, "monitor")
    page.goto(f"{ADDRESS}/console/fleet")
    keep(page, "fleet")
    page.goto(f"{ADDRESS}/console/monitors/{MONITOR}/map")
    page.wait_for_timeout(3_000)
    keep(page, "map")


def keep(page: Page, name: str) -> None:
    """As a small PNG."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file)
    size = file.stat().st_size
    sys.stdout.write(f"{file.name}: {size:,} bytes\n")
    if size > MOST_BYTES:
        raise SystemExit(f"{file}: {size:,} bytes are too many for a README, at most {MOST_BYTES:,}")


def main() -> None:
    """All of them."""
    with demo(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": WIDE, "height": HIGH}, color_scheme="light")
        pictures(context.new_page())
        browser.close()


if __name__ == "__main__":
    main()
