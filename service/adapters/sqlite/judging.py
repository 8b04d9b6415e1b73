"""What is known of answers, and what turned out to be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.adapters.sqlite import panes, truth
from service.adapters.sqlite.database import Database
from service.records import Answer, Event, Judgement, Truths, Untold


class Judging:
    """The part of the store that truth comes to."""

    _database: Database

    def answers(self, monitor: str, samples: Collection[str]) -> Mapping[str, Answer]:
        """What the model answered to these samples, as far as it is kept; of one that came twice the newest."""
        with self._database.read() as connection:
            return truth.find_answers(connection, monitor, samples)

    def known_truth(self, monitor: str, samples: Collection[str]) -> Mapping[str, Judgement | None]:
        """What is known of these samples; None where only that they were judged is remembered."""
        with self._database.read() as connection:
            return truth.known(connection, monitor, samples)

    def judge(self, truths: Truths) -> Collection[str]:
        """Keeps what became known; returns the samples of which something else is known by now than it was made for."""
        with self._database.write() as connection:
            return truth.judge(connection, panes.monitor_id(connection, truths.monitor), truths)

    def judgements(self, monitor: str, *, since: float = 0.0, limit: int = 100_000) -> Sequence[Judgement]:
        """The newest of those told since then, in order of arrival."""
        with self._database.read() as connection:
            return truth.read(connection, monitor, since, limit)

    def untold(self, monitor: str, limit: int) -> Untold:
        """The next that the monitor's log does not tell of."""
        with self._database.read() as connection:
            return truth.untold(connection, monitor, limit)

    def tell(self, event: Event, *, after: int, until: int) -> Event:
        """Records the event that tells of these; ConflictError where the log tells of more or fewer already."""
        with self._database.write() as connection:
            return truth.tell(connection, event, after, until)
