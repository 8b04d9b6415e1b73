"""By which words annotators answer, and what their words mean: resolving, and the next version by a rename, a merge or an addition.

Besides the classes there are three further answers: *unusable* (junk, unreadable), *none of these* (a proper sample of no class), and
*new: NAME* (a proper sample of a class that is missing). The last two are kept as the words they are: choosing further samples takes
them for what they say, training takes them not at all until the scheme has the class.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from service.errors import InputError
from service.records import LabelScheme, SchemeClass, stable_id

UNUSABLE = "unusable"
NONE = "none of these"
NEW = "new: "

MOST_CLASSES = 2_000
MOST_ALIASES = 50
MOST_CHARACTERS = 200
"""Of a name."""
MOST_GUIDELINE = 20_000


class Meaning(StrEnum):
    """What an annotator's word is."""

    LABEL = "label"
    UNUSABLE = "unusable"
    NONE = "none"
    NEW = "new"
    UNKNOWN = "unknown"
    """Nothing that the scheme knows: it is reported, not guessed at."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A word and its meaning; `name` is the class as it is called now, the proposed one, or the word itself."""

    meaning: Meaning
    name: str

    @property
    def word(self) -> str | None:
        """How an answer of this meaning is written; None for unusable."""
        return {Meaning.UNUSABLE: None, Meaning.NONE: NONE, Meaning.NEW: f"{NEW}{self.name}"}.get(self.meaning, self.name)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person writes of a scheme. `renamed`: former name → name, for classes that are called otherwise from now on."""

    classes: tuple[SchemeClass, ...]
    guideline: str = ""
    renamed: Mapping[str, str] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SchemeChange:
    """What one version has that another has not, for people."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    """(former name, name); several former names of one are a merge."""
    aliases: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    """By class: aliases that came, and that went."""
    guidelines: tuple[str, ...]
    """Classes whose guideline is another; '' for that of the whole task."""


def folded(name: str) -> str:
    """A name without regard to case, white space and ways of writing the same character."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


# --- words ----------------------------------------------------------------------------------------------------------


class Words:
    """A scheme made ready to resolve many words."""

    def __init__(self, scheme: LabelScheme) -> None:
        self._names = {each.name for each in scheme.classes}
        self._former = dict(scheme.renamed)
        self._any = not scheme.classes
        self._folded = _unambiguous([*_spoken(scheme.classes), *self._former.items()])
        self._special = {folded(UNUSABLE): Resolved(Meaning.UNUSABLE, UNUSABLE), folded(NONE): Resolved(Meaning.NONE, NONE)}

    def resolve(self, given: str) -> Resolved:
        """Names first, then aliases, former names and the further answers, without regard to case and white space."""
        word = folded(given)
        name = self._class(given)
        if name:
            return Resolved(Meaning.LABEL, name)
        if word in self._special:
            return self._special[word]
        if word.startswith(NEW.strip()):
            return self._proposed(given)
        return Resolved(Meaning.LABEL if self._any and word else Meaning.UNKNOWN, " ".join(given.split()))

    def canonical(self, name: str) -> str:
        """A class of any version as it is called now; what never was a class's name stays as it is."""
        return self._class(name) or name

    def _class(self, given: str) -> str | None:
        return given if given in self._names else self._former.get(given) or self._folded.get(folded(given))

    def _proposed(self, given: str) -> Resolved:
        name = " ".join(given.split()).partition(":")[2].strip()
        known = self._class(name)
        if known:
            return Resolved(Meaning.LABEL, known)
        if not name or folded(name) in self._special or len(name) > MOST_CHARACTERS:
            return Resolved(Meaning.UNKNOWN, " ".join(given.split()))
        return Resolved(Meaning.NEW, name)


def resolve(scheme: LabelScheme, given: str) -> Resolved:
    """What one word means."""
    return Words(scheme).resolve(given)


def canonical(scheme: LabelScheme | None, name: str) -> str:
    """A class of any version of the scheme as it is called now."""
    return name if scheme is None else Words(scheme).canonical(name)


def naming(scheme: LabelScheme | None) -> Callable[[str], str]:
    """`canonical` for many names."""
    return str if scheme is None else Words(scheme).canonical


def trains(word: str | None) -> bool:
    """Whether a resolved answer is a class that a model can learn."""
    return word is not None and word != NONE and not word.startswith(NEW)


# --- versions ---------------------------------------------------------------------------------------------------------


def first(monitor: str, classes: Sequence[str], *, now: float) -> LabelScheme:
    """The scheme that follows from the monitor's classes, until somebody writes one."""
    return _version(monitor, 1, tuple(map(SchemeClass, classes)), now)


def following(scheme: LabelScheme, further: Sequence[str], *, now: float) -> LabelScheme:
    """A scheme that nobody wrote, with classes that the monitor has by now."""
    names = (*scheme.classes, *map(SchemeClass, further))
    made = _version(scheme.monitor, scheme.number + 1, names, now)
    return replace(made, guideline=scheme.guideline, renamed=scheme.renamed, note="the monitor has further classes")


def written(before: LabelScheme | None, monitor: str, draft: Draft, *, actor: str, now: float) -> LabelScheme:
    """The version that a person wrote; InputError says what can't stand in it."""
    names = {each.name for each in draft.classes}
    moved = dict(draft.renamed or {})
    for old, new in moved.items():
        if new not in names or old in names:
            raise InputError(
                "renamed", f"renamed: {old!r:.80} → {new!r:.80}: the first must be no class any more, and the second must be one"
            )
    _require_short(draft.guideline, "guideline", MOST_GUIDELINE)
    base = replace(before or LabelScheme("", monitor, 0, (), now), guideline=draft.guideline)
    return _next(base, draft.classes, moved, actor=actor, now=now, note=draft.note)


def added(scheme: LabelScheme, new: SchemeClass, *, actor: str, now: float, note: str = "") -> LabelScheme:
    """With one more class."""
    return _next(scheme, (*scheme.classes, new), actor=actor, now=now, note=note or f"added {new.name!r}")


def renamed(scheme: LabelScheme, name: str, to: str, *, actor: str, now: float, note: str = "") -> LabelScheme:
    """A class under another name; labels that carry the former one follow it. A class may be called as it was before."""
    one = _of(scheme, name)
    classes = tuple(replace(each, name=to, aliases=_without(each.aliases, to)) if each is one else each for each in scheme.classes)
    return _next(scheme, classes, {one.name: to}, actor=actor, now=now, note=note or f"{one.name!r} is called {to!r}")


def merged(scheme: LabelScheme, names: Sequence[str], into: str, *, actor: str, now: float, note: str = "") -> LabelScheme:
    """Several classes as one that the scheme has; it takes over their aliases, and their labels follow."""
    try:
        target = _of(scheme, into)
    except InputError as error:
        new = f"add it first (`driftgate scheme add {into!r:.80}`), or merge into one that is there"
        raise InputError(error.reason, f"{error}; {new}") from error
    gone = [one for one in (_of(scheme, name) for name in dict.fromkeys(names)) if one is not target]
    if not gone:
        raise InputError("merge", f"merge: nothing but {into!r:.80} itself is named; name the classes that become part of it")
    aliases = tuple(dict.fromkeys((*target.aliases, *(alias for one in gone for alias in one.aliases))))
    kept = tuple(replace(each, aliases=aliases) if each is target else each for each in scheme.classes if each not in gone)
    says = note or f"{', '.join(repr(one.name) for one in gone)} became part of {target.name!r}"
    return _next(scheme, kept, {one.name: target.name for one in gone}, actor=actor, now=now, note=says)


def difference(old: LabelScheme, new: LabelScheme) -> SchemeChange:
    """What the newer version changes."""
    before, after = ({each.name: each for each in scheme.classes} for scheme in (old, new))
    now = Words(new)
    moved = {name: now.canonical(name) for name in before if name not in after and now.canonical(name) in after}
    aliases = {
        name: (_less(one.aliases, before[name].aliases), _less(before[name].aliases, one.aliases))
        for name, one in after.items()
        if name in before and set(one.aliases) != set(before[name].aliases)
    }
    other = [name for name, one in after.items() if name in before and one.guideline != before[name].guideline]
    return SchemeChange(
        added=tuple(name for name in after if name not in before and name not in moved.values()),
        removed=tuple(name for name in before if name not in after and name not in moved),
        renamed=tuple(moved.items()),
        aliases=aliases,
        guidelines=tuple([""] * (old.guideline != new.guideline) + other),
    )


def _next(
    scheme: LabelScheme,
    classes: tuple[SchemeClass, ...],
    moved: Mapping[str, str] | None = None,
    *,
    now: float,
    actor: str = "",
    note: str = "",
) -> LabelScheme:
    moved = moved or {}
    names = {each.name for each in classes}
    former = {old: moved.get(new, new) for old, new in scheme.renamed} | dict(moved)
    kept = {old: new for old, new in former.items() if old != new and new in names}
    _require_sound(classes, kept)
    return replace(
        _version(scheme.monitor, scheme.number + 1, classes, now),
        guideline=scheme.guideline, renamed=tuple(sorted(kept.items())), actor=actor, note=note,
    )  # fmt: skip


def _version(monitor: str, number: int, classes: tuple[SchemeClass, ...], now: float) -> LabelScheme:
    return LabelScheme(stable_id("scheme", monitor, number), monitor, number, classes, now)


def _of(scheme: LabelScheme, name: str) -> SchemeClass:
    found = next((each for each in scheme.classes if each.name == Words(scheme).canonical(name)), None)
    if found is None:
        names = ", ".join(each.name for each in scheme.classes[:10])
        raise InputError(
            "class", f"monitor {scheme.monitor}: version {scheme.number} of its label scheme has no class {name!r:.80}; it has {names}"
        )
    return found


# --- what can't stand ---------------------------------------------------------------------------------------------------


def _require_sound(classes: Sequence[SchemeClass], former: Mapping[str, str]) -> None:
    """Nothing may mean two things, or nothing."""
    if len(classes) > MOST_CLASSES:
        raise InputError("classes", f"classes: {len(classes):,} of them, at most {MOST_CLASSES:,} are taken")
    for one in classes:
        _require_names(one)
    owners: dict[str, str] = {folded(old): new for old, new in former.items()} | {folded(word): "" for word in (UNUSABLE, NONE)}
    for word, owner in _spoken(classes):
        if owners.setdefault(folded(word), owner) != owner:
            other = owners[folded(word)]
            means = f"means {other!r:.80}" if other else "is an answer of its own"
            raise InputError("classes", f"class {owner!r:.80}: {word!r:.80} {means} already; every word has one meaning")
    names = [folded(one.name) for one in classes]
    if len(set(names)) < len(names):
        twice = next(one.name for one in classes if names.count(folded(one.name)) > 1)
        raise InputError("classes", f"class {twice!r:.80}: it stands there twice; name each class once")


def _require_names(one: SchemeClass) -> None:
    if len(one.aliases) > MOST_ALIASES:
        raise InputError("aliases", f"class {one.name!r:.80}: {len(one.aliases)} aliases, at most {MOST_ALIASES} are taken")
    for name in (one.name, *one.aliases):
        printable = name.isprintable() and name == " ".join(name.split())
        if not name or not printable or len(name) > MOST_CHARACTERS:
            raise InputError(
                "name",
                f"class name or alias {name!r:.80}: one line of 1 to {MOST_CHARACTERS} characters is taken, without spaces around it",
            )
        if folded(name).startswith(NEW.strip()):
            raise InputError("name", f"class name or alias {name!r:.80}: what begins with {NEW.strip()!r} proposes a class that is missing")
    _require_short(one.guideline, f"class {one.name!r:.80}: guideline", MOST_GUIDELINE)


def _require_short(text: str, what: str, most: int) -> None:
    if len(text) > most:
        raise InputError("guideline", f"{what}: {len(text):,} characters, at most {most:,} are taken")


def _spoken(classes: Iterable[SchemeClass]) -> Iterable[tuple[str, str]]:
    return ((word, one.name) for one in classes for word in (one.name, *one.aliases))


def _unambiguous(words: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Folded words that name one class alone: a model may have classes that differ in case only."""
    found: dict[str, set[str]] = {}
    for word, name in words:
        found.setdefault(folded(word), set()).add(name)
    return {word: names.pop() for word, names in found.items() if len(names) == 1}


def _without(aliases: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(alias for alias in aliases if folded(alias) != folded(name))


def _less(some: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(each for each in some if each not in others)
