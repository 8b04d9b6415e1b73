"""How well blind spots are found: what an alarm shows, annotation errors, coverage, late truth, leakage, and what a report costs."""
