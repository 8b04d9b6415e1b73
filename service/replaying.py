"""Dead letters sent again, once what was wrong with them or with us is mended. Samples that arrive twice are recognised by their ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from service.decoding import envelope
from service.errors import ConflictError
from service.ports import Sink, Topics
from service.records import DeadLetter, Original, Rejected

REASONS = ("__connect.errors.", "__driftgate.errors.")
"""How headers begin that say why a record could not be used before."""


def replay(letter: DeadLetter, topics: Topics | None, sink: Callable[[], Sink], *, now: float) -> str:
    """Where it went: its own topic, or the log behind HTTP ingest. ConflictError where nothing whole is left of it to be sent."""
    original = letter.original
    if original is not None and topics is not None:
        _refuse_refused(letter, original)
        kept = tuple(header for header in original.headers if not header[0].startswith(REASONS))
        topics.write(letter.partition.topic, replace(original, headers=kept))
        return letter.partition.topic
    item = envelope.decode(letter.rejected.original)
    if isinstance(item, Rejected):
        raise ConflictError(
            f"dead letter {letter.id}: of itself only the beginning is kept, or it was refused as it came; replay the first letter of "
            f"{letter.partition.topic}/{letter.partition.number} at offset {letter.offset}, which has the whole record, or send it again"
        )
    sink().append([letter.rejected.original], now=now)
    return "ingest"


def _refuse_refused(letter: DeadLetter, original: Original) -> None:
    """What ingest itself has refused lies in its topic as a refusal: sent again it would be one again."""
    if dict(original.headers).get("content-type") != envelope.CONTENT_TYPE.encode():
        return
    item = envelope.decode(original.value or b"")
    if isinstance(item, Rejected):
        raise ConflictError(f"dead letter {letter.id}: ingest refused it as it came ({item.reason}); send it again from its source")
