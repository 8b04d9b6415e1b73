"""The demo's traffic: support-chat messages whose true intent is known, and the day on which they change."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from itertools import zip_longest

import numpy as np

from service.demo.grammar import Intent, pick, read
from service.demo.noise import junk, slip
from service.demo.wording import LOCALES, PRODUCTS, Locale
from service.demo.writer import Customer
from service.records import Sample

DOMAINS = ("shipping", "billing", "returns", "account", "app", "shop")
LAUNCH = "smart_home"
"""The domain of a product that is launched after the model was trained."""

ZIPF = 0.8
"""The r-th most frequent intent has a share proportional to r^-ZIPF."""

LATELY = 200
"""A retry repeats one of so many last messages."""

SURGING = ("late_delivery", "missing_parcel", "cancel_order", "refund_status")
"""The known intents that a carrier's bad week multiplies."""

LAUNCH_PRODUCTS: Mapping[str, float] = {"apparel": 0.05, "kitchen": 0.15, "electronics": 0.8}


class Kind(StrEnum):
    """Where a message of the traffic comes from."""

    USUAL = "usual"
    SURGE = "surge"
    LAUNCH = "launch"
    JUNK = "junk"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the traffic; what they leave is the usual mix of known intents."""

    launch: float = 0.0
    """Questions on a product launched after the model was trained: several intents that it has never seen."""
    surge: float = 0.0
    """Known intents, but only the few that a carrier's bad week multiplies."""
    junk: float = 0.0
    """Keyboard mash, adverts, auto-replies in other languages, next to nothing."""
    repeat: float = 0.0
    """Near-duplicates of recent messages, as retry storms leave them."""

    def __post_init__(self) -> None:
        for field in fields(self):
            share = getattr(self, field.name)
            if not 0 <= share <= 1:
                raise ValueError(f"{field.name}: a share is between 0 and 1, found {share}")
        if self.changed > 1 + 1e-9:
            raise ValueError(f"the shares of launch, surge, junk and repeat sum to {self.changed:.3g}; they may reach 1")

    @property
    def changed(self) -> float:
        return self.launch + self.surge + self.junk + self.repeat

    @property
    def usual(self) -> float:
        return max(0.0, 1 - self.changed)


CLEAN = Mix()
"""Curated messages, as a training or golden set holds them."""

CALM = Mix(junk=0.01, repeat=0.01)
"""An ordinary day; a reference is made of such days, junk included, or the junk alone would be drift."""

DRIFTED = Mix(launch=0.15, surge=0.1, junk=0.05, repeat=0.05)
"""A launch and a carrier's bad week at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a customer sent, with the truth that the service never sees; junk has no intent."""

    id: str
    time: float
    text: str
    segments: Mapping[str, str]
    intent: str | None
    kind: Kind

    def sample(self, monitor: str) -> Sample:
        """What the service is given of it."""
        return Sample(monitor, self.id, self.time, self.text, self.segments)


def known_intents() -> tuple[str, ...]:
    """What the model was trained on, most frequent first."""
    return tuple(intent.name for intent in _known())


def launched_intents() -> tuple[str, ...]:
    """What comes with the launch, most frequent first."""
    return tuple(intent.name for intent in read(LAUNCH))


@cache
def _known() -> tuple[Intent, ...]:
    """Each domain's most frequent intent first, then each one's second, so that no domain is rare."""
    ranks = zip_longest(*(read(domain) for domain in DOMAINS))
    return tuple(intent for rank in ranks for intent in rank if intent is not None)


class Traffic:
    """An endless stream of messages, `pace` a second in the mean; the same generator gives the same stream."""

    def __init__(self, rng: np.random.Generator, *, pace: float = 1.0) -> None:
        self._rng = rng
        self._pace = pace
        self._count = 0
        self._lately: deque[Message] = deque(maxlen=LATELY)
        self._storm: Message | None = None

    def draw(self, count: int, *, start: float, mix: Mix = CALM) -> list[Message]:
        """The next `count` messages, in order of time, all after `start` (seconds since the epoch)."""
        times = start + np.cumsum(self._rng.exponential(1 / self._pace, count))
        shares = np.array([getattr(mix, kind) for kind in Kind])
        kinds = self._rng.choice(np.array(Kind), count, p=shares / shares.sum())
        return [self._message(Kind(kind), time) for kind, time in zip(kinds, times.tolist(), strict=True)]

    def _message(self, kind: Kind, time: float) -> Message:
        self._count += 1
        name = f"chat-{self._count:06d}"
        if kind is Kind.REPEAT and self._lately:
            return self._repeat(name, time)
        locale, product = self._customer(kind)
        segments = {"locale": locale.name, "product": product}
        if kind is Kind.JUNK:
            return Message(name, time, junk(self._rng), segments, None, kind)
        kind = Kind.USUAL if kind is Kind.REPEAT else kind
        intent = self._intent(kind)
        message = Message(name, time, Customer(locale, product, self._rng).write(intent), segments, intent.name, kind)
        self._lately.append(message)
        return message

    def _customer(self, kind: Kind) -> tuple[Locale, str]:
        products = LAUNCH_PRODUCTS if kind is Kind.LAUNCH else {name: share for name, (share, _) in PRODUCTS.items()}
        locale = LOCALES[_draw([locale.share for locale in LOCALES], self._rng)]
        return locale, tuple(products)[_draw(tuple(products.values()), self._rng)]

    def _intent(self, kind: Kind) -> Intent:
        if kind is Kind.SURGE:
            name = pick(SURGING, self._rng)
            return next(intent for intent in _known() if intent.name == name)
        intents = read(LAUNCH) if kind is Kind.LAUNCH else _known()
        return intents[_draw([rank**-ZIPF for rank in range(1, len(intents) + 1)], self._rng)]

    def _repeat(self, name: str, time: float) -> Message:
        """The same message again: half of the time the one that was repeated last, so that storms form."""
        if self._storm is None or self._rng.random() < 0.5:
            self._storm = self._lately[int(self._rng.integers(len(self._lately)))]
        text = self._storm.text
        again = pick((text, text, f"{text} ??", f"{text}!!", text.lower(), slip(text, self._rng)), self._rng)
        return replace(self._storm, id=name, time=time, text=again, kind=Kind.REPEAT)


def _draw(weights: Sequence[float], rng: np.random.Generator) -> int:
    shares = np.asarray(weights)
    return int(rng.choice(len(shares), p=shares / shares.sum()))
