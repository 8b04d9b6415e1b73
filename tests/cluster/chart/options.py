"""Options of the chart, in combinations in which every two of them meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, TypeAlias

from tests.cluster.chart.rendering import EXAMPLES, Rendered, loaded, merged, rendered

Values: TypeAlias = Mapping[str, Any]

DIGEST = "sha256:" + "0" * 64
DESTINATIONS: Sequence[Values] = (
    {"name": "on-call", "type": "webhook", "url": "http://hooks.example.com:8443/x", "secret_file": "/etc/driftgate/secrets/on-call"},
    {"name": "slack", "type": "slack", "url_file": "/etc/driftgate/secrets/slack"},
)
EVENTS: Values = {"name": "events", "type": "kafka", "topic": "events"}
JOB: Values = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "train",
                        "image": "train:1",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
                    }
                ],
            }
        }
    },
}
MONITOR: Values = {
    "name": "chat",
    "topic": {"name": "chat", "start": "latest"},
    "embedder": {"model": "/var/lib/driftgate/embedders/minilm/model.onnx"},
}


def refresh(**options: str) -> Values:
    """A destination that makes Jobs."""
    return {"name": "training", "type": "kubernetes_job", "template": "/etc/driftgate/jobs/train.yaml", **options}


def _destinations(*extra: Values) -> Values:
    return {"config": {"destinations": [*DESTINATIONS, *extra]}, "jobTemplates": {"train": JOB}}


ANY: dict[str, Sequence[Values]] = {
    "image": (
        {},
        {"image": {"repository": "registry.example.com/driftgate", "digest": DIGEST}, "imagePullSecrets": [{"name": "registry"}]},
    ),
    "names": ({}, {"fullnameOverride": "watch"}, {"nameOverride": "watch"}),
    "models": (
        {},
        {"models": {"build": "minilm"}},
        {"models": {"existingClaim": "embedders"}},
        {"models": {"image": {"repository": "models", "tag": "1"}}},
        {"models": {"image": {"repository": "models", "digest": DIGEST, "volume": True}}},
    ),
    "ca": ({}, {"caBundle": {"configMap": "company-ca"}}, {"caBundle": {"secret": "company-ca", "key": "bundle.pem"}}),
    "proxy": (
        {},
        {"proxy": {"url": "http://proxy.example.com:3128"}},
        {"proxy": {"url": "http://proxy.example.com:3128", "credentialsKey": "proxy", "noProxy": ["minio.storage.svc"]}},
    ),
    "doctor": ({}, {"doctor": {"enabled": False}}, {"doctor": {"strict": True}}),
    "service": ({}, {"service": {"type": "NodePort", "nodePort": 30080, "annotations": {"a": "b"}}}, {"service": {"port": 8080}}),
    "ingress": (
        {},
        {"ingress": {"enabled": True, "host": "drift.example.com", "extraHosts": ["drift.example.org"], "className": "nginx"}},
        {
            "ingress": {
                "enabled": True,
                "host": "drift.example.com",
                "paths": ["/v1/links/", "/v1/annotations"],
                "tls": {"enabled": False},
            }
        },
    ),
    "policies": (
        {},
        {"networkPolicy": {"enabled": True}},
        {
            "networkPolicy": {
                "enabled": True,
                "http": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
                "egress": {
                    "redis": {"ports": [6380]},
                    "kubernetes": {"to": [{"ipBlock": {"cidr": "10.1.0.1/32"}}]},
                    "extra": {"serve": [{"to": [{"podSelector": {}}]}], "worker": [{"to": [{"podSelector": {}}]}]},
                },
            }
        },
    ),
    "accounts": (
        {},
        {"serviceAccount": {"create": False, "name": "watcher"}},
        {"serviceAccount": {"name": "watcher", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/driftgate"}}},
    ),
    "refresh": (
        {},
        _destinations(refresh()),
        _destinations(refresh(namespace="training"), refresh(name="second")),
        _destinations(refresh(token_file="/etc/driftgate/secrets/cluster", server="https://k8s.example.com")),
        merged(_destinations(refresh()), {"rbac": {"create": False}}),
    ),
    "monitoring": (
        {},
        {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}, "prometheusRule": {"enabled": True}}},
        {"monitoring": {"podMonitor": {"enabled": True, "interval": "30s"}, "dashboards": {"enabled": True, "annotations": {"a": "b"}}}},
    ),
    "tests": ({}, {"tests": {"enabled": False}}, {"tests": {"monitor": "chat", "sample": {"text": 'it\'s "here"'}}}),
    "pods": (
        {},
        {
            "podLabels": {"cost-centre": "ml"},
            "podAnnotations": {"a": "b"},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "ml", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "ml",
            "env": [{"name": "DRIFTGATE__SERVER__MAX_ITEMS", "value": "100"}],
            "envFrom": [{"secretRef": {"name": "driftgate-env"}}],
            "extraVolumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}],
            "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        },
    ),
}
_SERVERS: Values = {
    "config": {
        "kafka": {"brokers": ["kafka-1:9092", "kafka-2:9094"]},
        "redis": {"url": "redis://redis:6379/0"},
        "monitors": [MONITOR],
    }
}
_SECURED: Values = {
    "config": {
        "kafka": {
            "brokers": ["kafka-1:9093"],
            "tls": {"ca_file": "/etc/driftgate/secrets/kafka-ca"},
            "sasl": {"mechanism": "SCRAM-SHA-512", "user": "driftgate", "password_file": "/etc/driftgate/secrets/kafka-password"},
        },
        "redis": {"sentinels": ["s-1:26379", "s-2:26379"], "service": "driftgate"},
        "monitors": [MONITOR],
    }
}
SERVE: dict[str, Sequence[Values]] = ANY | {
    "mode": ({"mode": "serve", "existingSecret": "driftgate"},),
    "servers": ({}, _SERVERS, {"config": {"kafka": None, "redis": None}}),
    "volume": (
        {},
        {"persistence": {"retain": False, "storageClassName": "fast", "size": "1Ti"}},
        {"persistence": {"existingClaim": "state"}},
    ),
}
ROLES: dict[str, Sequence[Values]] = ANY | {
    "mode": ({"mode": "roles", "existingSecret": "driftgate", "config": {"destinations": []}},),
    "servers": (_SERVERS, _SECURED, merged(_SERVERS, {"config": {"kafka": {"tls": None, "sasl": None}, "redis": {"tls": None}}})),
    "volume": (
        {"persistence": {"accessModes": ["ReadWriteMany"]}},
        {"persistence": {"accessModes": ["ReadWriteMany"], "retain": False}},
        {"persistence": {"existingClaim": "shared"}},
        {
            "config": {
                "storage": {"type": "s3", "bucket": "drift", "endpoint": "http://minio.storage.svc:9000"},
                "server": {"link_secret_file": "/etc/driftgate/secrets/link-secret"},
            }
        },
    ),
    "worker": ({}, {"worker": {"kind": "Deployment", "replicas": 1}}),
    "scaling": (
        {},
        {"worker": {"keda": {"enabled": True, "maxReplicas": 3}}, "api": {"autoscaling": {"enabled": True}}},
    ),
    "budgets": (
        {},
        {role: {"podDisruptionBudget": {"enabled": False}} for role in ("worker", "controller", "api")},
        {role: {"replicas": 1, "podDisruptionBudget": {"maxUnavailable": "50%"}} for role in ("controller", "api")},
    ),
    "spread": (
        {},
        {"worker": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]}},
    ),
    "migrate": ({}, {"migrate": {"enabled": True}}, {"worker": {"updateStrategy": {"type": "OnDelete"}}}),
    "users": (
        {},
        {
            role: {"existingSecret": f"driftgate-{role}", "env": [{"name": "DRIFTGATE__REDIS__USER", "value": f"driftgate-{role}"}]}
            for role in ("worker", "controller", "api")
        },
    ),
    "refresh": (*ANY["refresh"], {"config": {"destinations": [*DESTINATIONS, EVENTS]}}),
}


def pairwise(options: Mapping[str, Sequence[Values]]) -> Iterator[Values]:
    """Few combinations in which every two options of different kinds meet: the next takes, kind by kind, what meets most that is new."""
    names = sorted(options, key=lambda name: -len(options[name]))
    left = {
        ((one, i), (other, j))
        for one, other in combinations(names, 2)
        for i, j in product(range(len(options[one])), range(len(options[other])))
    }
    while left:
        first = min(left)
        chosen = dict(first)
        for name in names:
            if name not in chosen:
                meets = [_met(left, chosen, (name, at)) for at in range(len(options[name]))]
                chosen[name] = meets.index(max(meets))
        met = {pair for pair in left if all(chosen[name] == at for name, at in pair)}
        left -= met
        yield merged(*(options[name][at] for name, at in sorted(chosen.items())))


def _met(left: set[tuple[tuple[str, int], tuple[str, int]]], chosen: Mapping[str, int], option: tuple[str, int]) -> int:
    return sum(((other, option) in left) + ((option, other) in left) for other in chosen.items())


def combined() -> Sequence[Values]:
    """The examples, then the combinations of each mode."""
    return [*map(loaded, EXAMPLES), *pairwise(SERVE), *pairwise(ROLES)]


def every() -> Sequence[Rendered]:
    """All of them, as Helm renders them."""
    return [rendered(values) for values in combined()]
