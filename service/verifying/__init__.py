"""New model against old: what a refresh has to prove, judged on golden and challenge rows, and the report of it.

`answers` (what both say), `gate` (what is asked, and how many rows it takes), `checks` (each test), `verdict` (all of them), `judging`
(from models and rows to a verdict), `usable` (models that can't be judged).
"""

from service.verifying.answers import Answers, Model
from service.verifying.gate import VERDICTS, Gate, promise
from service.verifying.judging import Judged, decisive, judge, look_at, next_look
from service.verifying.usable import usable
from service.verifying.verdict import verify

__all__ = ["VERDICTS", "Answers", "Gate", "Judged", "Model", "decisive", "judge", "look_at", "next_look", "promise", "usable", "verify"]
