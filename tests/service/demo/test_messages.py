from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom

from service.demo.grammar import read
from service.demo.messages import (
    CALM,
    CLEAN,
    DOMAINS,
    DRIFTED,
    LAUNCH,
    SURGING,
    Kind,
    Message,
    Mix,
    Traffic,
    known_intents,
    launched_intents,
)
from service.demo.wording import LOCALES
from service.demo.writer import Customer
from service.records import Sample

pytestmark = pytest.mark.long


def draw(count: int, mix: Mix, seed: int = 7) -> list[Message]:
    return Traffic(np.random.default_rng(seed), pace=2.0).draw(count, start=1_000.0, mix=mix)


def within(count: int, total: int, share: float) -> bool:
    """Inside the binomial's central 1 - 2e-6, so that a right generator fails practically never."""
    low, high = binom.interval(1 - 2e-6, total, share)
    return bool(low <= count <= high)


def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    assert draw(300, DRIFTED) == draw(300, DRIFTED)
    assert [m.text for m in draw(300, DRIFTED)] != [m.text for m in draw(300, DRIFTED, seed=8)]


def test_ids_go_on_and_times_grow_over_draws() -> None:
    traffic = Traffic(np.random.default_rng(1), pace=2.0)
    first = traffic.draw(200, start=50.0)
    second = traffic.draw(200, start=first[-1].time, mix=DRIFTED)
    times = [m.time for m in first + second]
    assert times == sorted(times)
    assert times[0] > 50.0
    assert times[-1] - 50.0 == pytest.approx(200.0, rel=0.3)
    assert len({m.id for m in first + second}) == 400


@pytest.mark.parametrize("mix", [CLEAN, CALM, DRIFTED, Mix(launch=0.5), Mix(junk=0.3, repeat=0.2)])
def test_each_kind_has_its_share(mix: Mix) -> None:
    counts = Counter(m.kind for m in draw(3_000, mix))
    for kind, share in [(Kind.USUAL, mix.usual), (Kind.SURGE, mix.surge), (Kind.LAUNCH, mix.launch), (Kind.JUNK, mix.junk)]:
        assert within(counts[kind], 3_000, share), kind
    assert within(counts[Kind.REPEAT], 3_000, mix.repeat)


def test_only_junk_has_no_intent_and_only_a_launch_brings_new_ones() -> None:
    intents: dict[Kind, set[str | None]] = {kind: set() for kind in Kind}
    for message in draw(4_000, DRIFTED):
        intents[message.kind].add(message.intent)
    assert intents[Kind.USUAL] == set(known_intents())
    assert intents[Kind.LAUNCH] == set(launched_intents())
    assert intents[Kind.SURGE] == set(SURGING)
    assert intents[Kind.JUNK] == {None}
    assert None not in intents[Kind.REPEAT]


def test_there_are_many_intents_and_their_frequencies_fall_like_zipfs() -> None:
    names = known_intents()
    assert len(names) == len(set(names)) >= 24
    assert not set(names) & set(launched_intents())
    counts = Counter(m.intent for m in draw(6_000, CLEAN))
    expected = np.arange(1, len(names) + 1) ** -0.8
    for name, share in zip(names, expected / expected.sum(), strict=True):
        assert within(counts[name], 6_000, float(share)), name


@pytest.mark.parametrize("domain", [*DOMAINS, LAUNCH])
def test_every_intent_is_worded_in_several_hundred_ways(domain: str) -> None:
    rng = np.random.default_rng(11)
    for intent in read(domain):
        texts = {Customer(LOCALES[i % 3], "kitchen", rng).write(intent).lower() for i in range(500)}
        assert len(texts) > 450, intent.name


def test_every_alternative_of_the_grammar_comes_out_clean() -> None:
    for message in draw(5_000, DRIFTED):
        assert not set(message.text) & set("[]{}|~"), message.text
        assert message.text.strip()
        assert len(message.text) < 500


def test_locales_spell_and_pay_their_own_way() -> None:
    texts: dict[str, str] = {}
    for message in draw(6_000, CLEAN):
        locale = message.segments["locale"]
        texts[locale] = texts.get(locale, "") + "\n" + message.text.lower()
    assert set(texts) == {"en-US", "en-GB", "en-IN"}
    assert texts["en-US"].count("color ") > 10 * texts["en-US"].count("colour")
    assert texts["en-GB"].count("colour") > 10 * texts["en-GB"].count("color ")
    assert "£" in texts["en-GB"]
    assert "£" not in texts["en-US"]
    assert "kindly do the needful" in texts["en-IN"]


def test_a_launch_is_felt_most_where_the_product_belongs() -> None:
    messages = draw(3_000, Mix(launch=0.5))
    launch = Counter(m.segments["product"] for m in messages if m.kind is Kind.LAUNCH)
    usual = Counter(m.segments["product"] for m in messages if m.kind is Kind.USUAL)
    assert launch["electronics"] > 0.7 * launch.total()
    assert usual["electronics"] < 0.35 * usual.total()
    assert set(launch) == set(usual)


def test_repeats_are_near_duplicates_and_form_storms() -> None:
    messages = draw(3_000, Mix(repeat=0.3))
    copies: Counter[str] = Counter()
    originals: list[str] = []
    for message in messages:
        if message.kind is Kind.REPEAT:
            source = next(
                text for text in reversed(originals) if abs(len(text) - len(message.text)) <= 3 and shares_letters(text, message.text)
            )
            copies[source] += 1
        else:
            originals.append(message.text)
    assert max(copies.values()) >= 4


def shares_letters(one: str, other: str) -> bool:
    return (Counter(one.lower()) - Counter(other.lower())).total() <= 1


def test_a_sample_tells_nothing_of_the_truth() -> None:
    message = draw(1, CLEAN)[0]
    sample = message.sample("support-chat")
    assert isinstance(sample, Sample)
    assert (sample.monitor, sample.id, sample.time, sample.payload) == ("support-chat", message.id, message.time, message.text)
    assert sample.segments == message.segments
    assert sample.label is None
    assert sample.output is None


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"junk": -0.1}, "junk: a share"), ({"launch": 1.1}, "launch: a share"), ({"launch": 0.7, "surge": 0.4}, "sum to 1.1")],
)
def test_impossible_shares_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(**shares)


def test_shares_may_leave_nothing_usual() -> None:
    assert {m.kind for m in draw(200, Mix(launch=0.7, surge=0.2, junk=0.1))} == {Kind.LAUNCH, Kind.SURGE, Kind.JUNK}
