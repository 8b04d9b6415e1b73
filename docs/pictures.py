"""Makes the README's pictures from a real demo run: `python docs/pictures.py`. Needs Chromium and the dev dependencies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "pictures"
PORT = 8790
ADDRESS = f"http://127.0.0.1:{PORT}"
MONITOR = "support-chat"
WIDE, HIGH = 1180, 760
MOST_BYTES = 150_000


def main() -> None:
    """Of an alarm, its monitor and the map while the demo drifts, and of the fleet once it is over."""
    command = [sys.executable, "-c", "from service.cli import main; main()", "demo", "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "160"})  # noqa: S603 - our own command
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_context(viewport={"width": WIDE, "height": HIGH}, color_scheme="light").new_page()
            reach(process, "ANNOTATED")
            of_drift(page)
            reach(process, "goes on running")
            of_everything(page)
            browser.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def reach(process: subprocess.Popen[str], words: str) -> None:
    """Waits for a line of the demo."""
    for line in process.stdout or ():
        if words in line:
            return
    raise SystemExit(f"the demo ended before it said {words!r}")


def of_drift(page: Page) -> None:
    """What is seen while an alarm is open."""
    page.goto(f"{ADDRESS}/console/alarms?monitor={MONITOR}")
    whole = page.locator("tbody tr", has=page.locator("td", has_text="all")).last
    page.goto(f"{ADDRESS}{whole.locator('th a').get_attribute('href')}")
    keep(page, "alarm")
    page.goto(f"{ADDRESS}/console/monitors/{MONITOR}/map")
    page.wait_for_timeout(3_000)
    page.locator("canvas").first.scroll_into_view_if_needed()
    keep(page, "map")


def of_everything(page: Page) -> None:
    """What is seen when the loop is closed."""
    page.goto(f"{ADDRESS}/console/monitors/{MONITOR}?span=20min")
    page.locator("figure").first.scroll_into_view_if_needed()
    keep(page, "monitor")
    page.goto(f"{ADDRESS}/console/fleet")
    keep(page, "fleet")


def keep(page: Page, name: str) -> None:
    """As a small PNG."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file)
    size = file.stat().st_size
    sys.stdout.write(f"{file.name}: {size:,} bytes\n")
    if size > MOST_BYTES:
        raise SystemExit(f"{file}: {size:,} bytes are too many for a README, at most {MOST_BYTES:,}")


if __name__ == "__main__":
    main()
