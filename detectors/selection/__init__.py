"""Which few of many production samples to annotate.

- `base`: what every method takes and gives
- `kernel`, `duplicates`: how alike two rows are, and which say the same
- `random_choice`, `uncertainty`, `coreset`, `typiclust`, `dcd`: ways of others, to hold ours against
- `whitening`, `coverage`, `evidence`: where classes lie apart, which rows stand for many, what answers say about the rows near them
- `weak`: which rows of a pool with noisy labels to train on, and with which label
- `usefulness`, `probe_expand`: how likely an answer will teach; rounds that ask about new masses and cover those that fail
- `junk`, `contested`, `harm`: what speaks against asking, on a `ground` of what is known; `assessment` of rows before their labels are
  known and after, `gate` (which labels to believe), `doubts` (how likely an answer is wrong), `risk` (calibrated),
  `balance` (what holding rows back spares and costs)
"""

from detectors.selection.base import ONCE, REJECTED, UNKNOWN, Known, Pick, Pool, Selector, Turn, Why

__all__ = ["ONCE", "REJECTED", "UNKNOWN", "Known", "Pick", "Pool", "Selector", "Turn", "Why"]
