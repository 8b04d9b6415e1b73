"""A console over a real installation that has drifted, and a browser that notes whatever it complains of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route

from service.app import Roles, opened, served
from service.app.process import Serving
from service.datasets import Role
from service.records import Alarm, Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import Settings, parse
from tests.service.text_site import CLASSES, messages

SHOTS = Path(__file__).parents[2] / ".cache" / "screenshots"
"""Pages as they were, kept to look at."""

BASICS, MEASURE = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("basics.js", "contrast.js"))
READABLE, LARGE, DRAWN = 4.5, 3.0, 3.0
"""Contrast that WCAG 2.2 AA asks of text, of large text, and of what has to be seen in a plot."""

HOSTILE = (
    "alien <script>document.title='caught'</script><img src=x onerror=document.title='caught'> my parcel",
    "alien =cmd|'/c calc'!A1 +1-1 @SUM(A1) my money",
    "alien \u202egnp.exe\u202c \u2067right to left\u2069 \x00\x1b[31m storm",
    "alien {{ 7 * 7 }} {% include '/etc/passwd' %} ${7*7} <!-- --> ]]> my courier",
    "alien javascript:alert(1) https://elsewhere.example/x.png \"onmouseover='document.title=1' today",
    "alien " + "is " * 30_000,
)
"""Texts that would do harm where they got out of their place."""

_NOTE = """() => {
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
}"""

Scheme = Literal["light", "dark"]


@dataclass
class Opened:
    """A page, and what it asked for and complained of."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Nothing went wrong, nothing was blocked, and nothing was asked of anybody else."""
        violations = self.page.evaluate("window.violations")
        assert self.complaints + violations == []
        assert [url for url in self.requests if not url.startswith((self.address, "data:"))] == []

    def shot(self, name: str) -> None:
        """Keeps the page as a picture."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


class Visit(Protocol):
    def __call__(self, path: str, *, scheme: Scheme = "light", scripts: bool = True, width: int = 1280) -> Opened: ...


@dataclass(frozen=True)
class Console:
    """The served installation."""

    serving: Serving
    client: httpx2.Client

    @property
    def address(self) -> str:
        return self.serving.address

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def alarm(self) -> Alarm:
        """The first one of the whole monitor."""
        return min(self.serving.installation.store.find(Alarm, monitor="chat"), key=lambda alarm: (alarm.segment != "all", alarm.opened))


@pytest.fixture(scope="session")
def console(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Two monitors: `chat`, which has drifted and was sent hostile texts, and `quiet`, which waits for a reference."""
    settings = _settings(tmp_path_factory.mktemp("console"), model)
    _prepare(settings)
    with (
        served(settings, roles=Roles.ALL) as serving,
        _answering(serving),
        httpx2.Client(base_url=serving.address, timeout=30, trust_env=False) as client,
    ):
        site = Console(serving, client)
        _drift(site)
        yield site


def _settings(folder: Path, model: Path | None) -> Settings:
    embedder = {"model": str(model), "threads": 1}
    chat = {
        "name": "chat",
        "team": "support",
        "embedder": embedder,
        "classes": CLASSES,
        "detection": {"run_length": 2_000},
        "segments": {"tags": ["locale"]},
        "annotation": {"destination": "annotators", "budget": 24, "approval": "operator", "price": 0.1},
        "refresh": {"destination": "trainer"},
        "notify": ["on-call"],
    }
    return parse(
        {
            "directory": "state",
            "server": {"port": 0},
            "teams": [{"name": "support"}],
            "policy": {"require": {"team": True, "notify": True}},
            "destinations": [{"name": name, "type": "folder", "path": name} for name in ("annotators", "trainer", "on-call")],
            "monitors": [chat, {"name": "quiet", "embedder": embedder}],
        },
        base=folder,
    )


def _prepare(settings: Settings) -> None:
    """What `chat` is known to be good on, and what taught its model."""
    with opened(settings) as installation:
        monitor, embedder = installation.settings.monitor("chat"), installation.embedder("chat")
        usual = [replace(each, segments={"locale": ("en", "de")[n % 2]}) for n, each in enumerate(messages(900, 1, prefix="r"))]
        rows = embed_rows(usual, embedder, classes=CLASSES)
        installation.references.build(monitor, rows, Origin(embedder.fingerprint, 1_000.0))
        sizes: Mapping[Role, int] = {"train": 300, "golden": 90}
        for role, count in sizes.items():
            installation.data_sets.add("chat", role, messages(count, count, prefix=role), embedder, now=1.0, classes=CLASSES)


@contextmanager
def _answering(serving: Serving) -> Iterator[None]:
    thread = threading.Thread(target=serving.run, name="api", daemon=True)
    thread.start()
    try:
        yield
    finally:
        serving.stop()
        thread.join(30)


def _drift(site: Console) -> None:
    """Ordinary traffic, then new content with hostile texts among it, until an alarm is open."""
    usual = messages(320, 11, prefix="usual")
    odd = messages(480, 12, prefix="odd")
    _send(site, usual)
    texts = [HOSTILE[n % 40] if n % 40 < len(HOSTILE) else f"alien {each.payload!s}" for n, each in enumerate(odd)]
    strange = [{"id": f"odd-{n}", "text": text, "segments": {"locale": "de"}} for n, text in enumerate(texts)]
    for start in range(0, len(strange), 80):
        _post(site, strange[start : start + 80])
    wait(lambda: site.get("/v1/alarms?monitor=chat&state=open")["alarms"])


def _send(site: Console, samples: Sequence[Sample]) -> None:
    _post(site, [{"id": each.id, "text": each.payload, "segments": {"locale": "en"}} for each in samples])


def _post(site: Console, bodies: Sequence[dict[str, Any]]) -> None:
    answer = site.client.post("/v1/monitors/chat/samples", json=list(bodies))
    assert answer.status_code < 300, answer.text


def wait(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `look` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited for {seconds:g} s"
        time.sleep(0.1)
    return found


@pytest.fixture
def visit(browser: Browser, console: Console) -> Iterator[Visit]:
    """Opens a page of the console where nothing else can be reached."""
    with ExitStack() as stack:

        def open_page(path: str, *, scheme: Scheme = "light", scripts: bool = True, width: int = 1280) -> Opened:
            viewport = {"width": width, "height": 900}
            context = browser.new_context(color_scheme=scheme, java_script_enabled=scripts, viewport=viewport)  # type: ignore[arg-type]  # a typed dictionary
            stack.callback(context.close)
            opened = Opened(context.new_page(), console.address)
            context.route("**/*", lambda route: _only_here(route, opened))
            context.add_init_script(f"({_NOTE})()")
            opened.page.on("console", lambda message: opened.complaints.append(message.text))
            opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            opened.page.goto(console.address + path)
            return opened

        yield open_page


def _only_here(route: Route, opened: Opened) -> None:
    opened.requests.append(route.request.url)
    if route.request.url.startswith(opened.address):
        route.continue_()
    else:
        route.abort()


def basics(opened: Opened) -> None:
    """Whoever can't see, or uses no mouse, finds their way."""
    found = opened.page.evaluate(BASICS)
    assert found.pop("title").endswith(" · driftgate")
    assert found == dict.fromkeys(found, 0) | {"lang": "en", "firstHeadings": 1, "mains": 1}, opened.page.url


def faint(opened: Opened) -> list[dict[str, Any]]:
    """Texts and shapes that stand out too little."""
    measured = opened.page.evaluate(MEASURE)
    texts = [text for text in measured["texts"] if text["contrast"] < (LARGE if text["large"] else READABLE)]
    return texts + [shape for shape in measured["shapes"] if shape["contrast"] < DRAWN]
