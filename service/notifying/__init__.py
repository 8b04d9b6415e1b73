"""Telling people of alarms, once: route → look → silence → de-duplicate → send → record.

*Route* is part of the decision: which destinations hear of a step is written with the step, in one transaction, as items of the outbox.
All that follows happens when an item leaves, since only then is it known what else has happened meanwhile: the stages of `pipeline` are
tried in order, and `rules.decide`, a pure function, names the reason for what becomes of it. What a destination was told last is kept
as a `Notice`, so that nobody is told twice, whoever leads.
"""
