from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.once import Once


def test_many_who_ask_at_once_wait_for_one_call() -> None:
    begun, go = threading.Event(), threading.Event()
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        begun.set()
        assert go.wait(20)
        return key.upper()

    once = Once(make, keep=2)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(once, "a") for _ in range(8)]
        assert begun.wait(20)
        go.set()
        assert [each.result() for each in asked] == ["A"] * 8
    assert made == ["a"]


def test_another_key_is_not_kept_waiting() -> None:
    begun, go = threading.Event(), threading.Event()

    def make(key: str) -> str:
        if key == "slow":
            begun.set()
            assert go.wait(20)
        return key

    once = Once(make, keep=2)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(once, "slow")
        assert begun.wait(20)
        assert once("quick") == "quick"
        go.set()
        assert slow.result() == "slow"


def test_what_was_asked_for_longest_ago_goes() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key

    once = Once(make, keep=2)
    for key in "abacab":
        once(key)
    assert made == ["a", "b", "c", "b"]


def test_a_failure_is_tried_again() -> None:
    failures = [ValueError("damaged")]

    def make(key: str) -> str:
        if failures:
            raise failures.pop()
        return key

    once = Once(make, keep=1)
    with pytest.raises(ValueError, match="damaged"):
        once("a")
    assert once("a") == "a"
