"""What `make servers-cluster` has built: Helm, and the programs of a Kubernetes cluster."""

from __future__ import annotations

from pathlib import Path

BUILT = Path(__file__).parents[2] / ".cache" / "servers" / "cluster"
CRDS = BUILT / "crds"
"""The definitions of KEDA's and the Prometheus operator's objects that the chart can make, as YAML files."""
PROGRAMS = frozenset({"helm", "helm-unittest", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"})


def program(name: str) -> Path | None:
    """Where it is, if it was built."""
    path = BUILT / name
    return path if path.is_file() else None
