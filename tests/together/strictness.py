"""The strict validation that every answer passes, tried with answers that must not pass."""

import together
from faces import WIRE, without
from world import check

BROKEN = [
    *[("get", key) for key in ("id", "cluster_id", "instance_id", "mode", "state", "trigger")],
    *[("list", key) for key in ("remediations", "has_next", "next_page_token")],
    ("cluster", "status"),
    ("cluster", "kube_config"),
    ("cluster", "gpu_worker_nodes", 0, "networks"),
    *[("get", "linked_alerts", 0, key) for key in ("annotation", "severity", "started_at", "target_vm")],
    ("get", "linked_alerts", 0, "annotation", "summary_line"),
]


def breaks(site, face):
    """Takes a required key out of an answer on its way; the client has to refuse each."""
    row = face.list("train-a", trigger=["REMEDIATION_TRIGGER_AUTOMATED"]).remediations[0]
    asks = {
        "get": lambda: face.get(row),
        "list": lambda: face.list("train-a", page_size=2),
        "cluster": lambda: face.cluster("train-a"),
    }
    for ask, *path in BROKEN:
        WIRE.spoil = without(*path)
        try:
            asks[ask]()
        except together.APIResponseValidationError:
            continue
        check(False, f"{ask} without {path} passes")
    return len(BROKEN)
