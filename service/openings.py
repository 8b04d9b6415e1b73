"""What signed links open: a sample, the list of a batch, the data sets of a cycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service import annotation
from service.annotation.schemes import version
from service.datasets import DataSets, Role
from service.exhibits import Exhibits
from service.links import Kind, Link, Links
from service.parcel import Parcel, Parcels
from service.ports import Store
from service.records import AnnotationBatch, Sample


class Openings:
    """Every link opens the one thing that it names, and nothing beside it."""

    def __init__(self, store: Store, data_sets: DataSets, links: Links, exhibits: Exhibits) -> None:
        self._store = store
        self._links = links
        self._exhibits = exhibits
        self._parcels = Parcels(store, data_sets)

    def link(self, token: str, *, now: float) -> Link:
        """InputError where it opens nothing, or does so no longer."""
        return self._links.opened(token, now=now)

    def sample(self, link: Link) -> Sample:
        """NotFoundError where it is not kept any more."""
        batch, shown = link.subject
        return self._exhibits.sample(batch, shown)

    def batch(self, link: Link) -> dict[str, Any]:
        """As its annotators got it or would have got it, with a link to each sample beside its text."""
        batch = self._store.get(AnnotationBatch, link.subject[0])
        scheme = version(self._store, batch.monitor, batch.scheme) if batch.scheme else None
        sent = annotation.outgoing(batch, destination=batch.destination, price=None, now=batch.created, scheme=scheme)
        rows = [{**row, "link": self._sample(batch.id, row["driftgate_id"], link)} for row in sent.payload["candidates"]]
        return {**sent.payload, "candidates": rows}

    def manifest(self, link: Link) -> dict[str, Any]:
        """Of the data sets that a cycle's new model learns from."""
        return self._parcels.manifest(link.subject[0], _sets(link))

    def parcel(self, link: Link) -> Parcel:
        """The data sets themselves."""
        return self._parcels.pack(link.subject[0], _sets(link))

    def _sample(self, batch: str, shown: str, link: Link) -> str | None:
        return self._links.url(Kind.SAMPLE, batch, shown, expires=link.expires)


def _sets(link: Link) -> Mapping[Role, int]:
    roles: Mapping[str, Role] = {"train": "train", "challenge": "challenge"}
    named = (each.partition("=") for each in link.subject[1:])
    return {roles[role]: int(version) for role, _, version in named if role in roles}
