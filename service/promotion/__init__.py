"""New models, from coming back to serving: taken in, proven, promoted, followed by the reference, watched, and taken back.

`registering` and `unpacking` take a model in, `serving` chooses what would be served, `judging` holds it against what is in force,
`rebasing` makes the reference follow, `watching` looks at production, `steps` are what a cycle goes through; `carrying` is the
controller's side of it, and `promoting` has the acts of people.
"""

from service.promotion.promoting import Promotion
from service.promotion.rebasing import shortfall
from service.promotion.registering import Given, Shelf, run_of

__all__ = ["Given", "Promotion", "Shelf", "run_of", "shortfall"]
