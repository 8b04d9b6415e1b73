"""Which few of many production samples to annotate.

- `base`: what every method takes and gives
- `kernel`, `duplicates`: how alike two rows are, and which say the same
- `random_choice`, `uncertainty`, `coreset`, `typiclust`, `dcd`: ways of others, to hold ours against
- `novel`: what is new and in company, without labels
"""

from detectors.selection.base import ONCE, REJECTED, UNKNOWN, Known, Pick, Pool, Selector, Turn, Why

__all__ = ["ONCE", "REJECTED", "UNKNOWN", "Known", "Pick", "Pool", "Selector", "Turn", "Why"]
