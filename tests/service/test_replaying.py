"""Dead letters sent again: as they were, without the headers that say why, and only where the whole of them is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.decoding.envelope import CONTENT_TYPE, encode
from service.errors import ConflictError
from service.ports import Bounds
from service.records import DeadLetter, Original, Partition, Rejected, Sample
from service.replaying import replay

PLACE = Partition("chats", "1", 0)
SAMPLE = encode(Sample("chat", "a", 1.0, "hello"))
REFUSED = encode(Rejected("unrouted", "no monitor", b"{}"))


class Written:
    """Topics and a log that keep what they are given."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Original]] = []
        self.entries: list[bytes] = []

    def write(self, topic: str, original: Original) -> None:
        self.records.append((topic, original))

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> None:  # noqa: ARG002 - the port's signature
        self.entries += bodies

    def find(self, topic: str, number: int) -> Partition:
        raise NotImplementedError

    def bounds(self, partition: Partition) -> Bounds:
        raise NotImplementedError

    def at(self, partition: Partition, moment: float) -> int:
        raise NotImplementedError

    def close(self) -> None:
        pass


def letter(original: Original | None, kept: bytes = b"") -> DeadLetter:
    return DeadLetter(PLACE, 7, 1.0, Rejected("json", "broken", kept), original)


def test_a_record_goes_back_to_its_topic_as_it_was() -> None:
    there = Written()
    original = Original(b"k", b"v", (("trace", b"1"), ("__connect.errors.stage", b"DECODE")), 5.0)
    assert replay(letter(original), there, lambda: there, now=9.0) == "chats"
    assert there.records == [("chats", Original(b"k", b"v", (("trace", b"1"),), 5.0))]


def test_what_came_over_http_goes_to_the_log_behind_it() -> None:
    there = Written()
    assert replay(letter(None, SAMPLE), None, lambda: there, now=9.0) == "ingest"
    assert there.entries == [SAMPLE]


@pytest.mark.parametrize("kept", [SAMPLE[:-3], b"{}", b"", REFUSED])
def test_what_is_not_whole_is_not_sent(kept: bytes) -> None:
    there = Written()
    with pytest.raises(ConflictError, match="only the beginning is kept"):
        replay(letter(None, kept), None, lambda: there, now=9.0)
    assert not there.entries


def test_what_ingest_refused_is_not_sent_to_its_topic_again() -> None:
    there = Written()
    headers = (("content-type", CONTENT_TYPE.encode()),)
    with pytest.raises(ConflictError, match="unrouted"):
        replay(letter(Original(None, REFUSED, headers)), there, lambda: there, now=9.0)
    assert replay(letter(Original(None, SAMPLE, headers)), there, lambda: there, now=9.0) == "chats"
