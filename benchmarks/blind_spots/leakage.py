"""Copies planted between training and golden sets: how many are found, and how many rows are called copies that are none.

1 % of the golden rows are exact copies of training rows (or the other way round, by turns of the seed), 1 % near-copies: texts by turns in
other case, with slips, and with one word exchanged for any other of the set; images by turns cropped to .90-.97 of each side and with
noise. Another 1 % are of other kinds: texts with a word left out, put in, or two neighbours swapped, which the judge of texts also forges
to learn from, and two words exchanged or the last quarter cut off, which it does not; images dimmed, saved as JPEG, and turned by up to
three degrees, of which its judge forges none. Sets are first cleared of rows that repeat an earlier
one but for case and punctuation. Seed 0 of every set is what the method was written on; the seeds measured were not looked at before.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle, islice
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.grid.perturbations import encoded, mistyped, noisy
from benchmarks.public_sets import column, garments, public_sets
from benchmarks.trials import RESAMPLES, Estimate, spread
from service.checking import Likeness, Rows, shared_rows
from service.records import Payload, Sample

SEEDS = range(300, 310)
GOLDEN, MOST_TRAINING = 2_000, 12_000
EXACT, NEAR, FALSE = 0.99, 0.90, 0.01
_SHARE = 0.01
"""Of the golden rows, of exact copies, near ones and others each."""

Alter = Callable[[Payload, np.random.Generator], Payload]
Set: TypeAlias = tuple[Sequence[Payload], Mapping[str, Alter], Mapping[str, Alter]]


class Trial(NamedTuple):
    """One set and seed: of each kind how many were planted and found, `none` being what was not."""

    name: str
    planted: Mapping[str, int]
    found: Mapping[str, int]


def run(progress: Progress) -> Sequence[Figure]:
    """A line per set and kind."""
    public_sets()
    trials = spread(planted_and_sought, [(name, seed) for name in SETS for seed in SEEDS], progress, unit="sets")
    return [figure for name in SETS for figure in _figures(name, [trial for trial in trials if trial.name == name])]


def planted_and_sought(job: tuple[str, int]) -> Trial:
    """A set's name and a seed."""
    name, seed = job
    payloads, alterations, others = SETS[name]()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(payloads))[: GOLDEN + MOST_TRAINING]
    sides = [[payloads[i] for i in order[:GOLDEN]], [payloads[i] for i in order[GOLDEN:]]]
    copied, source = sides if seed % 2 else sides[::-1]
    kinds = np.full(GOLDEN, "none", object)
    kept: Mapping[str, Alter] = {"exact": lambda payload, _: payload}
    planted = [each for group in (kept, alterations, others) for each in islice(cycle(group.items()), round(_SHARE * GOLDEN))]
    places, origins = rng.choice(min(map(len, sides)), (2, len(planted)), replace=False)
    for (kind, alter), place, origin in zip(planted, places.tolist(), origins.tolist(), strict=True):
        copied[place] = alter(source[origin], rng)
        kinds[place if copied is sides[0] else origin] = kind
    flagged = _flagged(*sides)
    return Trial(name, *({kind: int(((kinds == kind) & of).sum()) for kind in set(kinds)} for of in (np.ones(GOLDEN, bool), flagged)))


def _flagged(golden: Sequence[Payload], training: Sequence[Payload]) -> NDArray[np.bool_]:
    of, among = (
        Rows(name, tuple(Sample("", f"{name}{i}", 0.0, payload) for i, payload in enumerate(payloads)))
        for name, payloads in (("golden", golden), ("train", training))
    )
    found = shared_rows(of, among, Likeness())
    return np.isin(np.arange(len(of)), [*found["shared"], *found["near_shared"]])


def _figures(name: str, trials: Sequence[Trial]) -> Iterator[Figure]:
    _, alterations, others = SETS[name]()
    exact, near, other, false = (_share(trials, of) for of in (["exact"], list(alterations), list(others), ["none"]))
    yield Figure(f"{name}: exact copies found", _shown(exact), f"≥ {EXACT:.0%}", exact.value >= EXACT)
    yield Figure(f"{name}: near-copies found", f"{_shown(near)}: {_parts(trials, alterations)}", f"≥ {NEAR:.0%}", near.value >= NEAR)
    yield Figure(f"{name}: near-copies of other kinds", f"{_shown(other)}: {_parts(trials, others)}")
    yield Figure(f"{name}: rows called copies that are none", _shown(false), f"≤ {FALSE:.0%}", false.value <= FALSE)


def _parts(trials: Sequence[Trial], kinds: Iterable[str]) -> str:
    return ", ".join(f"{kind} {_share(trials, [kind]).value:.1%}" for kind in sorted(kinds))


def _share(trials: Sequence[Trial], kinds: Sequence[str]) -> Estimate:
    """Found of planted, with the interval of a bootstrap over seeds."""
    planted, found = (
        np.array([sum(counts.get(kind, 0) for kind in kinds) for counts in column_])
        for column_ in ([trial.planted for trial in trials], [trial.found for trial in trials])
    )
    drawn = np.random.default_rng(0).integers(0, len(trials), (RESAMPLES, len(trials)))
    return Estimate.of(float(found.sum() / planted.sum()), found[drawn].sum(1) / planted[drawn].sum(1))


def _shown(share: Estimate) -> str:
    return f"{share.value:.2%} [{share.low:.2%}, {share.high:.2%}]"


# --- sets --------------------------------------------------------------------------------------------------------------


def _texts(name: str) -> Set:
    found = column(public_sets() / f"text/{name}.parquet", "text")
    once = {"".join(letter for letter in text.casefold() if letter.isalnum()): text for text in found}
    texts = list(once.values())
    words = [word for text in texts for word in text.split()]

    def exchanged(text: Payload, rng: np.random.Generator) -> str:
        parts = str(text).split()
        at = int(rng.integers(len(parts)))
        others = (words[int(rng.integers(len(words)))] for _ in range(1_000))
        parts[at] = next(word for word in others if word.casefold() != parts[at].casefold())
        return " ".join(parts)

    def put_in(text: Payload, rng: np.random.Generator) -> str:
        parts = str(text).split()
        parts.insert(int(rng.integers(len(parts) + 1)), words[int(rng.integers(len(words)))])
        return " ".join(parts)

    return (
        texts,
        {"case": _recased, "typos": _misspelt, "one word": exchanged},
        {
            "left out": _shortened,
            "put in": put_in,
            "swapped": _swapped,
            "two words": lambda text, rng: exchanged(exchanged(text, rng), rng),
            "cut short": _cut_short,
        },
    )


def _shortened(text: Payload, rng: np.random.Generator) -> str:
    parts = str(text).split()
    at = int(rng.integers(len(parts)))
    return " ".join(parts[:at] + parts[at + 1 :]) or str(text)


def _cut_short(text: Payload, _: np.random.Generator) -> str:
    parts = str(text).split()
    return " ".join(parts[: max(1, len(parts) * 3 // 4)])


def _swapped(text: Payload, rng: np.random.Generator) -> str:
    parts = str(text).split()
    at = int(rng.integers(max(1, len(parts) - 1)))
    return " ".join([*parts[:at], *parts[at : at + 2][::-1], *parts[at + 2 :]])


def _recased(text: Payload, rng: np.random.Generator) -> str:
    ways: Sequence[Callable[[str], str]] = (str.upper, str.title, lambda each: each.capitalize() + "!")
    return ways[int(rng.integers(len(ways)))](str(text))


def _misspelt(text: Payload, rng: np.random.Generator) -> str:
    tries = (mistyped([str(text)], int(rng.integers(2**31)))[0] for _ in range(1_000))
    return next((each for each in tries if each != text), str(text) + "e")


@cache
def _images() -> Set:
    once = {image.tobytes(): image for image in garments().images}
    images = [encoded(image) for image in once.values()]
    return images, {"crop": _cropped, "noise": _noisy}, {"dimmed": _dimmed, "jpeg": _resaved, "turned": _turned}


def _file(image: Payload) -> io.BytesIO:
    if not isinstance(image, bytes):
        raise TypeError("an encoded image")
    return io.BytesIO(image)


def _cropped(image: Payload, rng: np.random.Generator) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    with Image.open(_file(image)) as whole:
        side = whole.width * rng.uniform(0.90, 0.97)
        left, top = rng.uniform(0, whole.width - side, 2)
        box = (left, top, left + side, top + side)
        return encoded(np.asarray(whole.resize(whole.size, Image.Resampling.BICUBIC, box=box)))


def _noisy(image: Payload, rng: np.random.Generator) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    with Image.open(_file(image)) as whole:
        return encoded(noisy(np.asarray(whole), rng))


def _dimmed(image: Payload, rng: np.random.Generator) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    with Image.open(_file(image)) as whole:
        return encoded((np.asarray(whole) * rng.uniform(0.7, 0.9)).astype(np.uint8))


def _resaved(image: Payload, rng: np.random.Generator) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    saved = io.BytesIO()
    with Image.open(_file(image)) as whole:
        whole.save(saved, "JPEG", quality=int(rng.integers(40, 80)))
    return saved.getvalue()


def _turned(image: Payload, rng: np.random.Generator) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    with Image.open(_file(image)) as whole:
        return encoded(np.asarray(whole.rotate(rng.uniform(-3, 3), Image.Resampling.BICUBIC)))


SETS: Mapping[str, Callable[[], Set]] = {
    "CLINC150": cache(lambda: _texts("clinc150")),
    "HWU64": cache(lambda: _texts("hwu64")),
    "Fashion-MNIST": _images,
}
"""Payloads, what is done to near-copies, and what is done to others."""
