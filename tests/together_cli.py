#!/usr/bin/env python3
"""Walks Together's own CLI and SDK through a running daemon.

    python tests/together_cli.py http://127.0.0.1:9720 --post-alert DmesgGpuFallenOffBus [--token T] [--cluster train-a]

Run it with the Python that has the package `together` (3.1.1): the CLI beside that Python is used. It needs a cluster
with at least six free instances on hosts of their own. With `--post-alert` it makes its proposals itself, by webhook
messages with that alert name; without, it takes proposals that wait already. Every answer is read with the SDK's
strict validation, and every refusal has to reach the person at the CLI in words. Exit 0: all steps held.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import uuid

import httpx
import together

BIN = pathlib.Path(sys.executable).parent
WAIT_S = 15.0


class Walk:
    """One daemon, seen by the SDK, the CLI and plain HTTP."""

    def __init__(self, options):
        self.base = options.base_url.rstrip("/")
        self.token = options.token or "local"
        self.webhook_token = options.webhook_token or options.token
        self.alert_name = options.post_alert
        self.http = httpx.Client(base_url=self.base, headers={"authorization": f"Bearer {self.token}"}, timeout=30)
        self.sdk = self.client()
        self.remediations = self.sdk.clusters.remediations
        self.steps = 0

    def client(self, token=None, base=None):
        return together.Together(
            api_key=token or self.token,
            base_url=base or self.base,
            max_retries=0,
            _strict_response_validation=True,
        )

    def step(self, said):
        self.steps += 1
        print(f"ok {self.steps:2} {said}", flush=True)

    # What a person types.

    def cli(self, *arguments, as_json=True):
        """Runs one command; gives its exit code and everything that it printed."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": os.environ.get("HOME", "/"),
            "COLUMNS": "240",
            "NO_COLOR": "1",
            "TOGETHER_API_KEY": self.token,
            "TOGETHER_BASE_URL": self.base,
            "TOGETHER_TELEMETRY_DISABLED": "1",
            "TOGETHER_DISABLE_VERSION_CHECK": "1",
        }
        command = [str(BIN / "together"), "clusters", "remediations", *arguments]
        command += ["--json" if as_json else "--no-json", "--project", "remedyd"] if as_json else ["--no-json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def answered(self, *arguments):
        code, text = self.cli(*arguments)
        check(code == 0, f"{arguments} exits {code}: {text}")
        return json.loads(text)

    def refused(self, words, *arguments):
        """Both output forms carry `words`, and no traceback."""
        for as_json in (True, False):
            code, text = self.cli(*arguments, as_json=as_json)
            check(code == 1, f"{arguments} exits {code}: {text}")
            check("Traceback" not in text, f"{arguments} ends in a traceback: {text}")
            flat = " ".join(text.split()).lower()
            for word in words:
                check(word.lower() in flat, f"{arguments} does not say `{word}`: {text}")

    # What an Alertmanager sends.

    def post_alert(self, cluster, node):
        labels = {
            "alertname": self.alert_name,
            "cluster": cluster,
            "instance": f"{node.host_name}:9400",
            "severity": "critical",
            "walk": uuid.uuid4().hex,
        }
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        alert = {
            "status": "firing",
            "labels": labels,
            "annotations": {"summary": f"{self.alert_name} on {node.host_name}", "description": "posted by a test"},
            "startsAt": now,
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": uuid.uuid4().hex[:16],
        }
        body = {"version": "4", "status": "firing", "receiver": "remedyd", "groupKey": "{}", "alerts": [alert]}
        headers = {"authorization": f"Bearer {self.webhook_token}"} if self.webhook_token else {}
        answer = httpx.post(f"{self.base}/api/v1/webhooks/alertmanager", json=body, headers=headers, timeout=30)
        check(answer.status_code == 200, f"the webhook answers {answer.status_code}: {answer.text}")
        check(answer.json()["stored"] == 1, f"the alert was not stored: {answer.text}")

    def proposals(self, cluster, instance="-"):
        return self.remediations.list(instance, cluster_id=cluster, state=["PENDING_APPROVAL"], page_size=1000).remediations

    def proposal(self, cluster, node):
        """The proposal that waits for this node; made where we may make it."""
        if self.alert_name:
            self.post_alert(cluster, node)
        until = time.monotonic() + WAIT_S
        while True:
            waiting = self.proposals(cluster, node.instance_id)
            if waiting or time.monotonic() > until:
                break
            time.sleep(0.02)
        check(len(waiting) == 1, f"{len(waiting)} proposals wait for {node.instance_id}, not one")
        return waiting[0]


def check(holds, otherwise):
    if not holds:
        sys.exit(f"FAILED: {otherwise}")


def raises(kind, call, rpc):
    """The call is refused with this exception, and its body has both error forms."""
    try:
        call()
    except kind as error:
        body = error.body
        # The SDK hands over the `error` object where there is one, else the whole body.
        inner = body.get("error", body)
        check(inner.get("message") and inner.get("type") and "param" in inner, f"error object is incomplete: {body}")
        whole = error.response.json()
        check(whole["code"] == rpc and whole["message"] and whole["details"] == [], f"status is incomplete: {whole}")
        return whole["message"]
    sys.exit(f"FAILED: {kind.__name__} was expected")


def free_nodes(walk, cluster, wanted):
    nodes = walk.sdk.clusters.retrieve(cluster).gpu_worker_nodes
    if not walk.alert_name:
        waiting = {row.instance_id for row in walk.proposals(cluster)}
        with_proposal = [node for node in nodes if node.instance_id in waiting]
        check(len(with_proposal) >= 4, "four proposals have to wait, or give --post-alert")
        free = [node for node in nodes if node.latest_remediation is None]
        check(len(free) >= 2, "two instances that never had a remediation are needed")
        return with_proposal[:4] + free[:2]
    free = [node for node in nodes if node.latest_remediation is None and node.auto_remediation_enabled]
    check(len(free) >= wanted, f"{wanted} instances that never had a remediation are needed; there are {len(free)}")
    return free[:wanted]


def read_side(walk, cluster):
    whoami = walk.sdk.whoami()
    check(whoami.type == "project_api_key", whoami)
    for path in ("/v3/whoami", "/v1/v3/whoami", "/v1/v1/compute/clusters"):
        check(walk.http.get(path).status_code == 200, path)
    clusters = walk.sdk.clusters.list().clusters
    check(cluster in [known.cluster_id for known in clusters], f"{cluster} is not among {clusters}")
    walk.step("whoami and clusters pass strict validation, under both bases")


def lists(walk, cluster, nodes, waiting):
    ids = {row.id for row in waiting}
    newest_first = [row["id"] for row in walk.answered("list", cluster)["remediations"]]
    check(ids <= set(newest_first), "the CLI's list lacks a proposal")
    node = nodes[0]
    of_one = walk.answered("list", cluster, node.instance_id)["remediations"]
    check({row["instance_id"] for row in of_one} == {node.instance_id}, of_one)
    mode = waiting[0].mode.removeprefix("REMEDIATION_MODE_")
    arguments = ["--state", "PENDING_APPROVAL", "--state", "FAILED", "--mode", mode, "--trigger", "AUTOMATED"]
    check(ids <= {row["id"] for row in walk.answered("list", cluster, *arguments)["remediations"]}, "filters lose rows")
    check(walk.answered("list", cluster, "--trigger", "MANUAL", "--state", "QUARANTINED")["remediations"] == [], "filter")
    code, table = walk.cli("list", cluster, as_json=False)
    check(code == 0 and waiting[0].id[:8] in table, table)
    walk.step("the CLI lists by cluster, instance, state, mode and trigger")

    whole = [row.id for row in walk.remediations.list("-", cluster_id=cluster, page_size=1000).remediations]
    paged, token = [], together.omit
    while True:
        page = walk.remediations.list("-", cluster_id=cluster, page_size=2, page_token=token)
        paged += [row.id for row in page.remediations]
        if not page.has_next:
            check(page.next_page_token == "", page)
            break
        token = page.next_page_token
    check(paged == whole, f"pages differ from the list: {paged} {whole}")
    ascending = walk.remediations.list("-", cluster_id=cluster, page_size=1000, order_by="create_time asc").remediations
    check([row.id for row in ascending] == whole[::-1], "create_time asc is not the reverse of the default")
    walk.step("pages of two make the same list, and its order can be turned")

    bad = together.BadRequestError
    ask = walk.remediations.list
    first = ask("-", cluster_id=cluster, page_size=1)
    check(first.has_next, "a second page is needed")
    for wrong in (
        {"page_token": "nonsense"},
        {"page_token": first.next_page_token, "state": ["RUNNING"]},
        {"page_size": -1},
        {"order_by": "mood"},
        {"state": ["SLEEPING"]},
        {"mode": ["VM_ONLY"]},
        {"trigger": ["MANUAL"]},
    ):
        raises(bad, lambda: ask("-", cluster_id=cluster, **wrong), 3)
    walk.step("bad tokens, sizes, orders and enums are refused in words")


def unknown(walk, cluster, nodes, waiting):
    nobody = str(uuid.uuid4())
    walk.refused([f"Remediation not found: {nobody}"], "get", nobody)
    walk.refused(["not found", "no-such-cluster"], "list", "no-such-cluster")
    walk.refused(["not found", "no-such-node"], "create", cluster, "no-such-node", "--mode", "VM_ONLY")
    missing, get = together.NotFoundError, walk.remediations.retrieve
    raises(missing, lambda: get(nobody, cluster_id=cluster, instance_id="-"), 5)
    elsewhere = nodes[1].instance_id
    raises(missing, lambda: get(waiting[0].id, cluster_id=cluster, instance_id=elsewhere), 5)
    raises(missing, lambda: get(waiting[0].id, cluster_id="x/../y%", instance_id="-"), 5)
    anywhere = get(waiting[0].id, cluster_id=cluster, instance_id="-")
    check(anywhere.id == waiting[0].id, anywhere)
    walk.step("unknown and foreign ids are not found, and say so")


def approve(walk, cluster, row):
    shown = walk.answered("get", row.id)
    check(shown["state"] == "PENDING_APPROVAL" and shown["requested_by"] == "remedyd", shown)
    check(shown["trigger"] == "REMEDIATION_TRIGGER_AUTOMATED", shown)
    if walk.alert_name:
        alerts = shown["linked_alerts"]
        check([alert["alert_name"] for alert in alerts] == [walk.alert_name], alerts)
        check(alerts[0]["annotation"]["title"].startswith(walk.alert_name), alerts)
        check(shown["passive_health_check_event_id"] == alerts[0]["passive_health_check_alert_id"], shown)
    walk.step("get shows the proposal with its alert linked")

    walk.refused(["HOST_POWER_CYCLE"], "approve", row.id, "--mode", "HOST_POWER_CYCLE")
    check(walk.answered("get", row.id) == shown, "a refused approval changed the record")
    walk.step("an override with a power cycle is refused and changes nothing")

    done = walk.answered("approve", row.id, "looks right", "--mode", "REBOOT_VM")
    check(done["mode"] == "REMEDIATION_MODE_REBOOT_VM" and done["review_comment"] == "looks right", done)
    check(done["reviewed_by"] and done["review_time"] and done["state"] != "PENDING_APPROVAL", done)
    walk.step(f"approve with a comment and another mode: {done['state']}, by {done['reviewed_by']}")

    walk.refused([row.id, "only PENDING_APPROVAL can be approved"], "approve", row.id, "again")
    walk.refused([row.id, "only PENDING_APPROVAL can be rejected"], "reject", row.id, "no")
    again = lambda: walk.remediations.approve(row.id, cluster_id=cluster, instance_id=row.instance_id)
    raises(together.BadRequestError, again, 9)
    walk.step("a second approval and a late rejection are refused, naming the state")


def reject_and_cancel(walk, rejected, cancelled):
    done = walk.answered("reject", rejected.id, "not tonight")
    check(done["state"] == "CANCELLED" and done["review_comment"] == "not tonight" and done["end_time"], done)
    walk.refused([rejected.id, "CANCELLED"], "cancel", rejected.id)
    walk.refused([rejected.id, "CANCELLED"], "approve", rejected.id)
    walk.step("reject cancels with its comment, and nothing follows it")
    done = walk.answered("cancel", cancelled.id)
    check(done["state"] == "CANCELLED" and "reviewed_by" not in done, done)
    walk.refused([cancelled.id, "CANCELLED"], "cancel", cancelled.id)
    walk.step("cancel ends a proposal without a review")


def race(walk, cluster, row, racers=8):
    start, won, lost, other = threading.Barrier(racers), [], [], []

    def run(n):
        with walk.client() as client:
            start.wait()
            try:
                place = {"cluster_id": cluster, "instance_id": row.instance_id}
                won.append((n, client.clusters.remediations.approve(row.id, comment=f"racer {n}", **place)))
            except together.BadRequestError as error:
                lost.append(error.response.json()["code"])
            except Exception as error:  # noqa: BLE001 - whatever else it is, it is a failure that is shown below
                other.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not other and len(won) == 1 and lost == [9] * (racers - 1), f"won {won}, lost {lost}, other {other}")
    n, _ = won[0]
    kept = walk.remediations.retrieve(row.id, cluster_id=cluster, instance_id=row.instance_id)
    check(kept.review_comment == f"racer {n}", kept)
    walk.step(f"of {racers} racing approvals one won")


def create(walk, cluster, by_cli, by_name):
    made = walk.answered("create", cluster, by_cli.instance_id, "--mode", "VM_ONLY", "--reason", "slow disk")
    check(made["trigger"] == "REMEDIATION_TRIGGER_MANUAL" and made["reason"] == "slow disk", made)
    check(made["state"] not in ("PENDING_APPROVAL", "FAILED") and made["linked_alerts"] == [], made)
    code, text = walk.cli("cancel", made["id"])
    check(code == 0 or (code == 1 and "only" in text and "can be cancelled" in text), text)
    walk.step("create makes a manual one; cancel ends it, or says why it is too late")

    place = f"/v1/compute/clusters/{cluster}/instances"
    path = f"{place}/{by_name.instance_id}/remediations?remediation_id=walk-{uuid.uuid4()}"
    body = {"mode": "REMEDIATION_MODE_REBOOT_VM", "reason": "named", "state": "IGNORED", "id": "IGNORED"}
    first, second = walk.http.post(path, json=body), walk.http.post(path, json=body)
    check(first.status_code == second.status_code == 200, f"{first.text} {second.text}")
    check(first.json()["id"] == second.json()["id"], "the same name made two remediations")
    alias = path.rsplit("=", 1)[1]
    found = walk.http.get(f"{place}/-/remediations/{alias}")
    check(found.status_code == 200 and found.json()["id"] == first.json()["id"], found.text)
    other = walk.http.post(path, json={"mode": "REMEDIATION_MODE_VM_ONLY", "reason": "another"})
    check(other.status_code == 409 and other.json()["code"] == 6, other.text)
    check(other.headers["x-should-retry"] == "false", other.headers)
    walk.step("a client's own name makes one remediation, finds it, and is not lent to another")

    raises(together.BadRequestError, lambda: walk.remediations.create("-", cluster_id=cluster, mode="REMEDIATION_MODE_VM_ONLY"), 3)
    raises(together.BadRequestError, lambda: walk.remediations.create(by_name.instance_id, cluster_id=cluster, mode="FASTER"), 3)
    broken = walk.http.post(path, content=b'{"mode":', headers={"content-type": "application/json"})
    check(broken.status_code == 400 and broken.json()["code"] == 3, broken.text)
    walk.step("creates that can never be right are refused")


def tokens(walk, options):
    if not options.token:
        return
    stranger = walk.client(token="nobody")
    raises(together.AuthenticationError, stranger.whoami, 16)
    walk.step("an unknown token is refused in words")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url")
    parser.add_argument("--token", help="a token with the role approver or admin; none where none are configured")
    parser.add_argument("--webhook-token", help="a token with the role webhook or admin, for --post-alert")
    parser.add_argument("--cluster", help="default: the first one")
    parser.add_argument("--post-alert", metavar="NAME", help="make proposals by posting alerts of this name")
    options = parser.parse_args()
    walk = Walk(options)
    cluster = options.cluster or walk.sdk.clusters.list().clusters[0].cluster_id

    tokens(walk, options)
    read_side(walk, cluster)
    nodes = free_nodes(walk, cluster, 6)
    began = time.monotonic()
    waiting = [walk.proposal(cluster, node) for node in nodes[:4]]
    walk.step(f"four alerts are four proposals after {time.monotonic() - began:.2f} s")
    lists(walk, cluster, nodes, waiting)
    unknown(walk, cluster, nodes, waiting)
    approve(walk, cluster, waiting[0])
    reject_and_cancel(walk, waiting[1], waiting[2])
    race(walk, cluster, waiting[3])
    create(walk, cluster, nodes[4], nodes[5])
    print(f"all {walk.steps} steps held")


if __name__ == "__main__":
    main()
