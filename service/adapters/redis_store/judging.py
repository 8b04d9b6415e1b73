"""What is known of answers, and what turned out to be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.adapters.redis_store import truth
from service.adapters.redis_store.server import Server
from service.records import Answer, Event, Judgement, Truths, Untold


class Judging:
    """The part of the store that truth comes to."""

    _server: Server

    def answers(self, monitor: str, samples: Collection[str]) -> Mapping[str, Answer]:
        """What the model answered to these samples, as far as it is kept; of one that came twice the newest."""
        return truth.find_answers(self._server, monitor, samples)

    def known_truth(self, monitor: str, samples: Collection[str]) -> Mapping[str, Judgement | None]:
        """What is known of these samples; None where only that they were judged is remembered."""
        return truth.known(self._server, monitor, samples)

    def judge(self, truths: Truths) -> Collection[str]:
        """Keeps what became known; returns the samples of which something else is known by now than it was made for."""
        return truth.judge(self._server, truths)

    def judgements(self, monitor: str, *, since: float = 0.0, limit: int = 100_000) -> Sequence[Judgement]:
        """The newest of those told since then, in order of arrival."""
        return truth.read(self._server, monitor, since, limit)

    def untold(self, monitor: str, limit: int) -> Untold:
        """The next that the monitor's log does not tell of."""
        return truth.untold(self._server, monitor, limit)

    def tell(self, event: Event, *, after: int, until: int) -> Event:
        """Records the event that tells of these; ConflictError where the log tells of more or fewer already."""
        return truth.tell(self._server, event, after, until)
