"""Installed rivals on the grid's streams: false alarms with the thresholds they come with, and their statistic for the grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.figures import Figure, Progress, Skipped
from benchmarks.grid import worlds
from benchmarks.rivals import environments, tables
from benchmarks.rivals.budget import Purse, Share
from benchmarks.rivals.conversation import Conversation, RivalError
from benchmarks.rivals.following import Following
from benchmarks.rivals.pieces import Pieces
from benchmarks.rivals.roster import ROSTER, Rival


def run(progress: Progress) -> Sequence[Figure]:
    """Fills the grid's cache with what the rivals show; what is there already counts as spent, so that a larger budget adds to it.

    RIVALS_SECONDS (1,200: CPU seconds that the rationed ones share on a set), RIVALS_STREAMS (100), RIVALS (all, by name) and
    GRID_SETS (all), the last two separated by commas, in the environment make it smaller or larger.
    """
    seconds, streams = float(os.environ.get("RIVALS_SECONDS", "1200")), int(os.environ.get("RIVALS_STREAMS", "100"))
    sets = os.environ.get("GRID_SETS", ",".join(worlds.SETS)).split(",")
    names = os.environ.get("RIVALS", ",".join(rival.name for rival in ROSTER)).split(",")
    rivals = [rival for rival in ROSTER if rival.name in names]
    figures = []
    with Followers(progress) as followers:
        for name in sets:
            worlds.prepare(name, progress)
            purse = Purse(seconds, [rival.weight for rival in rivals if rival.weight])
            for rival in rivals:
                pieces, share = Pieces(name, rival), purse.share(rival.weight)
                followers.follow(pieces, share, range(streams))
                purse.settle(share, rival.weight)
                figures.append(tables.figure(pieces))
    return figures


class Followers(ExitStack):
    """One process for each environment, which all its rivals share."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._conversations: dict[str, Conversation] = {}

    def follow(self, pieces: Pieces, share: Share, seeds: range) -> None:
        """A rival that can't run leaves its reason, and its time to the others."""
        pieces.folder.mkdir(parents=True, exist_ok=True)
        try:
            Following(pieces, self._conversation(pieces.rival), share, self._progress).follow(seeds)
            pieces.reason.unlink(missing_ok=True)
        except (RivalError, Skipped) as reason:
            pieces.reason.write_text(str(reason), encoding="utf-8")

    def _conversation(self, rival: Rival) -> Conversation:
        if rival.environment not in self._conversations:
            python = environments.interpreter(rival.environment, self._progress)
            log = (environments.FOLDER / "found" / f"{rival.environment}.txt").resolve()
            self._conversations[rival.environment] = self.enter_context(Conversation(python, rival.module, log))
        return self._conversations[rival.environment]
