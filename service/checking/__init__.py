"""Sets of samples looked over before anything is built on them: what is missing, repeated, contradicted, badly written or in two roles."""

from service.checking.checks import check, overlaps, shared_rows, within
from service.checking.findings import KINDS, Check, Limit, Outcome, limits_of, worst
from service.checking.likeness import Likeness
from service.checking.sets import Rows, of_set, rows_of
from service.checking.thumbnails import readable

__all__ = [
    "KINDS",
    "Check",
    "Likeness",
    "Limit",
    "Outcome",
    "Rows",
    "check",
    "limits_of",
    "of_set",
    "overlaps",
    "readable",
    "rows_of",
    "shared_rows",
    "within",
    "worst",
]
