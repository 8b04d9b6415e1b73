"""What of a monitor's samples is kept, in which form, and for how long."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from service.settings.expressions import LONGEST, bounded
from service.settings.json_path import JsonPath
from service.settings.section import Section

Kind: TypeAlias = Literal["email", "phone", "card", "iban", "ip"]
Treatment: TypeAlias = Literal["drop", "hash", "mask"]

_SCHEME = "redaction-1"
"""Raised when the same settings come to replace other things, so that references made before are refused."""

_PLACES = re.compile(r"(?:segments\.[A-Za-z_][A-Za-z0-9_.-]{0,62}|output\.label|output\.model_version|label)\Z")
_PAYLOADS = frozenset({"text", "image", "vector"})


class PatternSettings(Section):
    """What else is to be replaced in texts."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="Stands in its place, as `<name>`.")
    pattern: Annotated[str, Field(max_length=LONGEST)] = Field(
        description="A regular expression whose repetitions all have an end: `KD-[0-9]{4,12}`."
    )

    @field_validator("pattern")
    @classmethod
    def _bounded(cls, given: str) -> str:
        bounded(given)
        return given


class PrivacySettings(Section):
    """Applied before anything is kept, sent on or embedded; what is replaced changes the embedder's fingerprint."""

    redact: tuple[Kind, ...] = Field((), description="Found in texts, tags and labels and replaced: `<email>`, `<phone>` and so on.")
    patterns: tuple[PatternSettings, ...] = Field((), max_length=20, description="What else is.")
    fields: dict[str, Treatment] = Field(
        {},
        max_length=50,
        description="By field: `segments.TAG`, `label`, `output.label`, `output.model_version`, or a JSONPath in a JSON record "
        "(`$.user.name`). `mask` leaves `<masked>`, `hash` a keyed hash that is the same for the same value.",
    )
    key_file: Path | None = Field(None, description="File with the key of `hash`, at least 16 bytes: another key makes other hashes.")
    payloads: Literal["keep", "none"] = Field(
        "keep", description="`none`: texts and images are embedded and never stored; candidates are known by their ids alone."
    )
    retention_days: float | None = Field(
        None, gt=0, le=3_650, description="Age from which samples are gone from everywhere but references and data sets; null: no limit."
    )
    letter_days: float = Field(
        7.0, gt=0, le=3_650, description="Age from which what could not be used is gone; no longer than `retention_days`."
    )

    @field_validator("fields")
    @classmethod
    def _known_places(cls, given: dict[str, Treatment]) -> dict[str, Treatment]:
        for place in given:
            if place.startswith("$"):
                steps = JsonPath.parse(place).steps
                if not steps or (len(steps) == 1 and steps[0] in _PAYLOADS):
                    raise ValueError(f"{place!r:.80} is the payload, without which there is no sample; see `patterns` and `payloads`")
            elif not _PLACES.match(place):
                raise ValueError(f"{place!r:.80}: expected segments.TAG, label, output.label, output.model_version or a JSONPath ($.…)")
        return given

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [pattern.name for pattern in self.patterns] + list(self.redact)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"patterns: the name {twice[0]} is taken; each placeholder stands for one thing")
        compared = {self.fields.get("label"), self.fields.get("output.label")}
        if len(compared) > 1 and "drop" not in compared:
            raise ValueError("fields: `label` and `output.label` are compared with each other; treat both alike, or drop one")
        if "hash" in self.fields.values() and self.key_file is None:
            raise ValueError("fields: `hash` needs `key_file`; without a key a name could be found by trying names")
        return self

    @property
    def rules(self) -> str:
        """A hash of what is replaced, '' where nothing is: embeddings of texts that were made under other rules never meet."""
        if not (self.redact or self.patterns or self.fields):
            return ""
        patterns = sorted((each.name, each.pattern) for each in self.patterns)
        rules = json.dumps([_SCHEME, sorted(self.redact), patterns, sorted(self.fields.items())])
        return hashlib.blake2b(rules.encode(), digest_size=8).hexdigest()
