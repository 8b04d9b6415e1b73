"""Gauges measure what is wrong with inputs, the same alone and in company."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.quality import LOOK, ImageGauge, TextGauge, exposure, gauge_of, learn, surface

WORDS = [
    "please",
    "where",
    "is",
    "my",
    "parcel",
    "it",
    "has",
    "not",
    "arrived",
    "since",
    "monday",
    "can",
    "you",
    "change",
    "the",
    "delivery",
    "address",
    "for",
    "order",
]


def texts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(4, 12))) for _ in range(n)]


@pytest.fixture(scope="module")
def gauge() -> TextGauge:
    return TextGauge.learn(texts(400, 1))


def measured(gauge: TextGauge, payloads: list[str]) -> dict[str, float]:
    return dict(zip(gauge.names, gauge.measure(payloads).mean(0).tolist(), strict=True))


def test_typos_symbols_and_length_show_in_their_own_measure(gauge: TextGauge) -> None:
    fresh = texts(200, 2)
    usual = measured(gauge, fresh)
    assert measured(gauge, [text.replace("e", "q") for text in fresh])["spelling"] > usual["spelling"] + 0.3
    assert measured(gauge, [text.replace(" ", " # ") for text in fresh])["symbols"] > usual["symbols"] + 0.1
    assert measured(gauge, [text[:5] for text in fresh])["length"] < usual["length"] - 1


def test_rows_are_measured_as_if_they_had_not_been_learned_from() -> None:
    rng = np.random.default_rng(0)
    invented = ["".join(rng.choice(list("abcdefghij"), 30)) for _ in range(400)]
    gauge, own = learn(invented[:200], surface(invented[:200]))
    assert gauge is not None
    assert own is not None
    fresh, learned = gauge.measure(invented[200:])[:, 2], gauge.measure(invented[:200])[:, 2]
    error = float(fresh.std()) * (2 / 200) ** 0.5
    assert abs(own[:, 2].mean() - fresh.mean()) < 4 * error
    assert fresh.mean() - learned.mean() > 4 * error  # what leaving them in would have cost


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=8))
def test_a_text_measures_the_same_alone_and_in_company(gauge: TextGauge, payloads: list[str]) -> None:
    together = gauge.measure(payloads)
    assert np.isfinite(together).all()
    alone = np.concatenate([gauge.measure([payload]) for payload in payloads])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_only_the_start_of_a_long_text_is_looked_at_but_its_length_is_its_own(gauge: TextGauge) -> None:
    text = " ".join(texts(60, 3))
    whole, cut = gauge.measure([text])[0], gauge.measure([text[:LOOK]])[0]
    np.testing.assert_array_equal(whole[1:], cut[1:])
    assert whole[0] > cut[0]


def test_payloads_of_another_type_are_not_known(gauge: TextGauge) -> None:
    assert np.isnan(gauge.measure([np.zeros(3, np.float32)])).all()
    assert np.isnan(ImageGauge().measure(["text"])).all()
    assert learn([""], surface([np.zeros(3, np.float32)])) == (None, None)


def test_a_text_that_was_withheld_is_not_known(gauge: TextGauge) -> None:
    alone = gauge.measure(["my card is lost"])
    beside = gauge.measure(["", "my card is lost"])
    assert np.isnan(beside[0]).all()
    np.testing.assert_array_equal(beside[1:], alone)


def test_arrays_restore_the_same_gauge(gauge: TextGauge) -> None:
    again = gauge_of(gauge.to_arrays())
    assert again is not None
    np.testing.assert_array_equal(again.measure(texts(5, 4)), gauge.measure(texts(5, 4)))
    assert isinstance(gauge_of(ImageGauge().to_arrays()), ImageGauge)
    assert gauge_of({}) is None


def test_images() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 200, (28, 28)).astype(np.uint8)
    plain, bright = exposure(grey.astype(np.float32) / np.float32(255)), exposure(np.full((28, 28), 0.5, np.float32))
    assert bright[1] == 0
    assert bright[3] == 1
    assert plain[2] > bright[2]
    buffer = io.BytesIO()
    Image.fromarray(np.kron(grey, np.ones((10, 10), np.uint8))).save(buffer, "PNG")
    large = ImageGauge().measure([buffer.getvalue()])[0]
    assert large[0] == pytest.approx(float(plain[0]), abs=0.01)


def test_covered_parts_show_and_backdrops_do_not() -> None:
    rng = np.random.default_rng(0)
    photo = rng.random((40, 40)).astype(np.float32)
    photo[:12] = 0.9
    covered = photo.copy()
    covered[20:30, 10:20] = 0.0
    assert exposure(photo)[4] == 0
    assert exposure(covered)[4] == pytest.approx(8 * 8 / 1600)  # but for the rim, which is like only some of its neighbours
