"""Which few of many production samples to annotate.

- `base`: what every method takes and gives
- `kernel`, `duplicates`: how alike two rows are, and which say the same
- `random_choice`, `uncertainty`, `coreset`, `typiclust`, `dcd`: ways of others, to hold ours against
- `whitening`, `coverage`, `evidence`: where classes lie apart, which rows stand for many, what answers say about the rows near them
- `probe_expand`: new masses first asked about, then covered if they fail
- `novel`: what is new and in company, without labels
"""

from detectors.selection.base import ONCE, REJECTED, UNKNOWN, Known, Pick, Pool, Selector, Turn, Why

__all__ = ["ONCE", "REJECTED", "UNKNOWN", "Known", "Pick", "Pool", "Selector", "Turn", "Why"]
