"""What is asked for: a sample, a text, a failure cluster or a set, as rows to be near to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from service.datasets import ROLES, DataSet, DataSets, Role
from service.errors import InputError
from service.explaining.finding import Found, find
from service.failures.clusters import FailureCluster
from service.ports import Embedder
from service.records import Payload, Sample
from service.reference import Reference
from service.report.material import Material

MOST_QUERIES = 256
"""Rows of a set that are asked for: evenly spread, where it has more."""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """q rows to be near to."""

    what: str
    """How people read it: `sample m-17`."""
    ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    """(q, d) under the reference in force."""
    payloads: tuple[Payload | None, ...]
    """None where it is not kept."""
    apart: frozenset[str]
    """Ids that are no answer: the queries' own."""
    label: str | None = None
    """Of a failure cluster: the right class."""
    cluster: str = ""
    """Its id."""


def of_sample(material: Material, id: str, embedder: Embedder) -> Query:
    """One that is kept somewhere; NotFoundError says where was looked."""
    found = find(material, id)
    vector = found.embedding if found.embedding is not None else _embedded(found, embedder)
    return Query(f"sample {id}", (id,), vector[None], (found.payload,), frozenset({id}))


def of_given(sample: Sample, embedder: Embedder) -> Query:
    """One from outside. InputError where the model can't take it."""
    embedder.check(sample.payload)
    vectors = np.asarray(embedder.embed([sample.payload]).embedding, np.float32)
    what = f"“{sample.payload:.60}”" if isinstance(sample.payload, str) else f"sample {sample.id}"
    return Query(what, (sample.id,), vectors, (sample.payload,), frozenset({sample.id}))


def of_cluster(cluster: FailureCluster) -> Query:
    """All of its failures."""
    at = evenly(len(cluster.failures), MOST_QUERIES).tolist()
    rows = [cluster.failures[i].row for i in at]
    vectors = np.stack([row.embedding for row in rows]).astype(np.float32)
    ids, payloads = tuple(row.id for row in rows), tuple(row.payload for row in rows)
    apart = frozenset(each.row.id for each in cluster.failures)
    return Query(f"failure cluster {cluster.id} ({cluster.name})", ids, vectors, payloads, apart, cluster.label, cluster.id)


def of_set(data_sets: DataSets, reference: Reference, named: str) -> Query:
    """`ROLE` or `ROLE:VERSION`; of golden rows those for choosing by. InputError where the model in force did not embed it."""
    whole = _data_set(data_sets, reference.monitor, named)
    found = whole.part("select") if whole.manifest["role"] == "golden" else whole
    if found.manifest["fingerprint"] != reference.fingerprint:
        raise InputError(
            "fingerprint",
            f"monitor {reference.monitor}: the {named} set was embedded by another model than the reference in force; "
            f"add it again: driftgate dataset add --role {found.manifest['role']} --input FILE",
        )
    if not found.rows:
        raise InputError("set", f"monitor {reference.monitor}: the {named} set has no rows in its part select, which is there to choose by")
    at = evenly(len(found.rows), MOST_QUERIES).tolist()
    samples = [found.samples[i] for i in at]
    what = f"{found.manifest['role']} set version {found.version}"
    apart = frozenset(sample.id for sample in whole.samples)
    return Query(what, tuple(s.id for s in samples), found.embeddings[at], tuple(s.payload for s in samples), apart)


def _data_set(data_sets: DataSets, monitor: str, named: str) -> DataSet:
    name, _, number = named.partition(":")
    roles: Mapping[str, Role] = {role: role for role in ROLES}
    if name not in roles or (number and not number.isdecimal()):
        raise InputError("set", f"set {named!r:.80}: write ROLE or ROLE:VERSION, like train or golden:2; roles are {', '.join(ROLES)}")
    return data_sets.load(monitor, roles[name], int(number) if number else None)


def _embedded(found: Found, embedder: Embedder) -> NDArray[np.float32]:
    if found.bare is not None:
        raise InputError(
            "payload", f"sample {found.sample.id}: {found.bare.why}, and it was embedded by another model; send it with --input FILE"
        )
    embedder.check(found.sample.payload)
    return np.asarray(embedder.embed([found.sample.payload]).embedding[0], np.float32)
