"""Rows of one set that are copies of rows of another: texts by their words, images by their pixels, vectors by distance.

What counts as a copy is read off the set that is searched: hardly any of its own rows is called a copy of another, and copies that are
forged of its rows say how much is lost by that.
"""

from detectors.copies.duplicates import FALSE_FLAGS, Copies, Twins, near_rows
from detectors.copies.pictures import SIDE, Pictures, Thumbnails
from detectors.copies.wording import Wording
from detectors.copies.words import content_of, words_of

__all__ = [
    "FALSE_FLAGS",
    "SIDE",
    "Copies",
    "Pictures",
    "Thumbnails",
    "Twins",
    "Wording",
    "content_of",
    "near_rows",
    "words_of",
]
