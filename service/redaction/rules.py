"""A monitor's rules, compiled: what they make of texts, of samples and of what could not be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from service.errors import ConfigurationError
from service.records import KEPT_BYTES, Item, Original, Output, Rejected, Request, Response, Sample
from service.redaction.accounts import cards, ibans
from service.redaction.contacts import addresses, emails, phones
from service.redaction.plain import plain
from service.redaction.treatments import UNTREATED, Treat, treatments
from service.settings import PrivacySettings
from service.settings.expressions import bounded

Span = tuple[int, int]
Finder = Callable[[str], Iterator[Span]]

_FINDERS: Mapping[str, Finder] = {"iban": ibans, "card": cards, "email": emails, "ip": addresses, "phone": phones}
"""The surest first: where two meet, the first counts."""

_ROUNDS = 8
"""What is replaced may let another rule see what it has not seen; that ends by itself, and after so many at the latest."""

_LONGEST = 400
"""Bytes of anything that is found, but for what people look for."""

_UNTOLD = "not kept, for it may cite what was sent (privacy.payloads: none)"

_ESCAPE = re.compile(r"\\u00([0-7][0-9a-fA-F])")
_NEEDS: Mapping[str, re.Pattern[str]] = {
    "iban": re.compile(r"\d"),
    "card": re.compile(r"\d"),
    "phone": re.compile(r"\d"),
    "email": re.compile("[@\uff20\ufe6b]|%40"),
    "ip": re.compile(r"\d|::"),
}
"""Without which there is nothing to find, told a hundred times as fast."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Does nothing twice: what has been replaced is left as it is."""

    finders: tuple[tuple[str, Finder], ...] = ()
    """Name → where texts hold it."""
    treat: Treat = UNTREATED
    fingerprint: str = ""
    """Of the rules, '' without any."""
    keeps: bool = True
    """Whether payloads may be stored."""

    @classmethod
    def of(cls, settings: PrivacySettings) -> Redaction:
        """Compiled once; ConfigurationError where the key can't be read."""
        return _compiled(settings)

    def __bool__(self) -> bool:
        return bool(self.fingerprint) or not self.keeps

    def text(self, text: str) -> str:
        """The text with placeholders for what is found in it."""
        if not self.finders or _bare(text, self.finders):
            return text
        for _ in range(_ROUNDS):
            before, text = text, self._round(text)
            if text == before:
                break
        return text

    def _round(self, text: str) -> str:
        folded, origin = plain(text)
        taken = [found.span() for found in self.treat.placeholders.finditer(folded)] if "<" in folded else []
        named = list[tuple[int, int, str]]()
        for name, find in self.finders:
            if spans := list(find(folded)):
                free = list(_beside(_merged(spans), taken))
                named += ((start, end, name) for start, end in free)
                taken = _merged([*taken, *free])
        return _replaced(text, origin, named) if named else text

    def document(self, document: Any) -> Any:
        """A JSON document as it came, its fields treated."""
        return self.treat.document(document)

    def sample(self, sample: Sample) -> Sample:
        """All but its id."""
        if not self.fingerprint:
            return sample
        payload = self.text(sample.payload) if isinstance(sample.payload, str) else sample.payload
        segments = self._segments(sample.segments) if sample.segments else sample.segments
        output = sample.output and self.output(sample.output)
        label = sample.label and self.label(sample.label)
        if payload is sample.payload and segments is sample.segments and output is sample.output and label is sample.label:
            return sample
        return replace(sample, payload=payload, segments=segments, output=output, label=label)

    def output(self, output: Output) -> Output:
        """What the model answered."""
        label = output.label and self.answer(output.label)
        version = self.treat.value("output.model_version", output.model_version)
        same = label is output.label and version is output.model_version
        return output if same else replace(output, label=label, model_version=version)

    def answer(self, label: str) -> str | None:
        """The class that the model answered; None where none may be kept."""
        value = self.treat.value("output.label", label)
        return value and self.text(value)

    def label(self, label: str) -> str | None:
        """The class that is true; None where none may be kept."""
        value = self.treat.value("label", label)
        return value and self.text(value)

    def item(self, item: Item) -> Item:
        """Whatever a record holds."""
        if not self.fingerprint:
            return item
        match item:
            case Sample():
                return self.sample(item)
            case Request():
                return replace(item, samples=tuple(map(self.sample, item.samples)))
            case Response():
                return replace(item, outputs=tuple(map(self.output, item.outputs)))
            case Rejected():
                return self.rejected(item)

    def rejected(self, rejected: Rejected) -> Rejected:
        """What could not be used: read as far as it can be. Its message may cite it, so it stays only where payloads do."""
        before = rejected.original
        original = self.raw(before) if self.keeps else b""
        if self.fingerprint and len(before) >= KEPT_BYTES:  # cut, perhaps through something that can't be told from its beginning
            original = original[: KEPT_BYTES - _LONGEST]
        message = self.text(rejected.message) if self.keeps else _UNTOLD
        return replace(rejected, message=message, original=original)

    def original(self, original: Original) -> Original | None:
        """A record as its log held it; None where none may be kept."""
        if not self.keeps:
            return None
        headers = tuple((name, self.raw(value)) for name, value in original.headers)
        return replace(
            original, key=original.key and self.raw(original.key), value=original.value and self.raw(original.value), headers=headers
        )

    def raw(self, content: bytes) -> bytes:
        """Bytes of any kind: JSON by its fields and texts, all else as far as it is text."""
        if not self.fingerprint or not content:
            return content
        try:
            document = msgspec.json.decode(content)
            changed = self._deep(self.document(document))
            same = changed == document and not _repeats(content)
        except (ValueError, RecursionError):
            return self._unread(content)
        return content if same else msgspec.json.encode(changed)

    def _unread(self, content: bytes) -> bytes:
        text = content.decode(errors="surrogateescape")
        shown = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        found = self.text(shown)
        return content if found == shown else found.encode(errors="surrogateescape")

    def _deep(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self._deep(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._deep(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(int(value) if value == value // 1 else value)
            return value if (found := self.text(written)) == written else found
        return value

    def _segments(self, segments: Mapping[str, str]) -> Mapping[str, str]:
        found = {
            tag: self.text(value) for tag, given in segments.items() if (value := self.treat.value(f"segments.{tag}", given)) is not None
        }
        return segments if found == segments else found


NOTHING = Redaction()
"""Leaves everything as it is."""


@lru_cache(maxsize=2_000)
def _cached(document: str) -> Redaction:
    settings = PrivacySettings.model_validate_json(document)
    finders: list[tuple[str, Finder]] = [(name, find) for name, find in _FINDERS.items() if name in settings.redact]
    finders += [(each.name, _matches(bounded(each.pattern))) for each in settings.patterns]
    treat = treatments(settings, [name for name, _ in finders])
    keeps = settings.payloads == "keep"
    return Redaction(tuple(finders), treat, settings.rules, keeps)


def _compiled(settings: PrivacySettings) -> Redaction:
    try:
        return _cached(settings.model_dump_json())
    except OSError as error:
        raise ConfigurationError(f"privacy.key_file: {settings.key_file}: {error.strerror}; make it with `openssl rand -hex 32`") from error


def _repeats(content: bytes) -> bool:
    """Whether an object names a field twice: of those only the last is read, and the others would stay as they are."""
    repeats = False

    def seen(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeats
        repeats = repeats or len({name for name, _ in pairs}) < len(pairs)

    json.loads(content, object_pairs_hook=seen)
    return repeats


def _bare(text: str, finders: Sequence[tuple[str, Finder]]) -> bool:
    """Whether a look tells that there is nothing to find."""
    return all(name in _NEEDS and _NEEDS[name].search(text) is None for name, _ in finders)


def _matches(pattern: re.Pattern[str]) -> Finder:
    return lambda text: (found.span() for found in pattern.finditer(text))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """In order; those that overlap are one."""
    found = list[Span]()
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _beside(spans: Iterable[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """What of the spans nobody has taken; both in order."""
    at = 0
    for begin, end in spans:
        start = begin
        while at < len(taken) and taken[at][1] <= start:
            at += 1
        for first, last in islice(taken, at, None):
            if first >= end:
                break
            if start < first:
                yield start, first
            start = max(start, last)
        if start < end:
            yield start, end


def _replaced(text: str, origin: Sequence[int] | None, named: Sequence[tuple[int, int, str]]) -> str:
    pieces, at = list[str](), 0
    for start, end, name in sorted(named):
        first, last = (start, end) if origin is None else (origin[start], origin[end - 1] + 1)
        first = max(first, at)  # one character may stand for two plain ones
        pieces += (text[at:first], f"<{name}>")
        at = last
    return "".join([*pieces, text[at:]])
