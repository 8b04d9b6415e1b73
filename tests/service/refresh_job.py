"""A template of a refresh Job, and a request for one."""

from __future__ import annotations

from dataclasses import replace

from service.records import OutboxItem

TEMPLATE = """
apiVersion: batch/v1
kind: Job
metadata:
  generateName: retrain-
  labels: {team: support}
spec:
  backoffLimit: 2
  ttlSecondsAfterFinished: 3600
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: train
          image: registry.example.com/train:1.4.0
          env: [{name: EPOCHS, value: "20"}, {name: DRIFTGATE_CYCLE, value: stale}]
"""


def asked(cycle: str, receipt: str = "") -> OutboxItem:
    event = {"specversion": "1.0", "id": cycle, "type": "io.driftgate.refresh.requested", "data": {"cycle": cycle, "monitor": "chat"}}
    return replace(OutboxItem(f"item-{cycle}", "refresh.requested", "jobs", event, created=0.0), receipt=receipt)
