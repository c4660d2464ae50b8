"""The daemon's other side: the alerts that it hears of and the machines that it acts on (see `stage.rs`)."""

import datetime
import itertools
import json
import pathlib
import time
import urllib.request

WAIT_S = 30.0
STEPS = itertools.count(1)


def step(said):
    print(f"ok {next(STEPS):2} {said}", flush=True)


def check(holds, otherwise):
    if not holds:
        raise SystemExit(f"FAILED: {otherwise}")


def eventually(what, look):
    until = time.monotonic() + WAIT_S
    while True:
        found = look()
        if found:
            return found
        check(time.monotonic() < until, f"not in time: {what}")
        time.sleep(0.01)


def same(one, other):
    """Whether two answers tell the same of a remediation; what it waits for may have changed its `update_time`."""
    return one.model_copy(update={"update_time": None}) == other.model_copy(update={"update_time": None})


class Site:
    def __init__(self, stage, sdk):
        self.stage = stage
        self.sdk = sdk
        self.free = {name: iter(range(1, stage["instances"] - 2)) for name in ("train-a", "train-b")}
        self.begun = {}

    def instance(self, cluster="train-a"):
        """One that nobody used yet."""
        return f"{cluster}-{next(self.free[cluster])}"

    def machine(self, instance, manner):
        """How the machine takes it: `wait`, `refuse`, `done`."""
        fresh = pathlib.Path(self.stage["manners"], f".{instance}")
        fresh.write_text(manner)
        fresh.rename(pathlib.Path(self.stage["manners"], instance))

    def alert(self, instance, name="DmesgGpuFallenOffBus", fires=True, annotations=None):
        """A message of an Alertmanager."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        start = self.begun.setdefault((instance, name), now)
        alert = {
            "status": "firing" if fires else "resolved",
            "labels": {
                "alertname": name,
                "cluster": instance.rsplit("-", 1)[0],
                "node": f"node-{instance}",
                "severity": "critical",
            },
            "annotations": annotations or {"summary": f"{name} on {instance}", "description": "by a test"},
            "startsAt": start,
            "endsAt": "0001-01-01T00:00:00Z" if fires else now,
            "fingerprint": f"{name}-{instance}",
        }
        body = {"version": "4", "status": alert["status"], "receiver": "r", "groupKey": "{}", "alerts": [alert]}
        self.post("/api/v1/webhooks/alertmanager", body, "webhook")

    def post(self, path, body, token):
        headers = {"authorization": f"Bearer {self.stage['tokens'][token]}", "content-type": "application/json"}
        request = urllib.request.Request(self.stage["base"] + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def proposal(self, instance, **alert):
        """The proposal that an alert opens."""
        self.alert(instance, **alert)
        cluster = instance.rsplit("-", 1)[0]
        ask = lambda: self.sdk.list(cluster, instance, state=["PENDING_APPROVAL"]).remediations
        waiting = eventually(f"a proposal for {instance}", ask)
        check(len(waiting) == 1, waiting)
        return waiting[0]

    def until_it(self, row, holds):
        """The remediation once that holds of it."""

        def look():
            now = self.sdk.get(row)
            return now if holds(now) else None

        return eventually(f"{row.id} is as wanted", look)

    def until(self, row, state):
        """The remediation once it is in that state."""

        def look():
            now = self.sdk.get(row)
            ended = now.state in ("SUCCEEDED", "FAILED", "CANCELLED", "AUTO_RESOLVED")
            check(now.state == state or not ended, f"{now.id} ended {now.state}, not {state}: {now.error_message}")
            return now if now.state == state else None

        return eventually(f"{row.id} is {state}", look)

