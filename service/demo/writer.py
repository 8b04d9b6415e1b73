"""One customer writing one message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from service.demo.grammar import Intent, expand, pick
from service.demo.noise import recase, type_carelessly
from service.demo.wording import PRODUCTS, SLOTS, TONES, Locale, Tone

LOCAL_MANNERS = 0.3
"""How often a greeting or a goodbye is one of the locale's own."""

EMOJI = 0.05
PASSING = frozenset({"day", "span", "weekday", "count"})
"""Slots that may differ within a message; whatever else it mentions twice is the same thing twice."""

ASKS = re.compile(r"(?i)(how|what|when|where|why|which|can|could|do|does|did|is|are|has|have|will|may|any|under which)\b")
ARTICLE = re.compile(r"\ba(?= [aeio])")
WORD = re.compile(r"[A-Za-z]+")


class Customer:
    """Remembers, while a message is written, what it has already named."""

    def __init__(self, locale: Locale, product: str, rng: np.random.Generator) -> None:
        self._locale = locale
        self._rng = rng
        self._slots: Mapping[str, tuple[str, ...]] = {**SLOTS, **locale.slots, "item": PRODUCTS[product][1]}
        self._named: dict[str, str] = {}

    def write(self, intent: Intent) -> str:
        """The message as it is sent."""
        rng = self._rng
        tone = _tone(rng)
        opener = self._phrase(tone.openers, self._locale.openers)
        closer = self._phrase(tone.closers, self._locale.closers)
        extras = rng.permutation(len(intent.extras))[: int(rng.choice(3, p=tone.extras))]
        lines = [pick(intent.lines, rng), *(intent.extras[i] for i in extras)]
        matter = " ".join(_sentence(self._say(line)) for line in lines)
        if opener and opener[-1] not in ".?!":
            matter = _continued(matter)
        text = " ".join(part for part in (opener, self._spell(matter), closer) if part)
        text = recase(type_carelessly(text, rng), rng)
        return f"{text} {pick(tone.emoji, rng)}" if tone.emoji and rng.random() < EMOJI else text

    def _say(self, line: str) -> str:
        return ARTICLE.sub("an", expand(line, self._options, self._rng))

    def _options(self, slot: str) -> Sequence[str]:
        if slot in PASSING:
            return self._slots[slot]
        if slot not in self._named:
            self._named[slot] = self._say(pick(self._slots[slot], self._rng))
        return (self._named[slot],)

    def _phrase(self, usual: tuple[str, ...], local: tuple[str, ...]) -> str:
        """Terse people, who know one opener only, stay terse everywhere."""
        phrase = pick(usual, self._rng)
        return pick(local, self._rng) if phrase and self._rng.random() < LOCAL_MANNERS else phrase

    def _spell(self, text: str) -> str:
        return WORD.sub(lambda found: self._locale.spelling.get(found[0], found[0]), text)


def _tone(rng: np.random.Generator) -> Tone:
    tones = tuple(TONES.values())
    return tones[int(rng.choice(len(tones), p=[tone.share for tone in tones]))]


def _continued(text: str) -> str:
    """Without its capital, except that of `I` and of abbreviations."""
    return text[:1].lower() + text[1:] if text[1:2].islower() or text.startswith("A ") else text


def _sentence(text: str) -> str:
    """With a capital and a stop or question mark."""
    stop = "" if text[-1:] in {".", "?", "!"} else "?" if ASKS.match(text) else "."
    return text[:1].upper() + text[1:] + stop
