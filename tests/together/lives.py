"""Every life that a remediation can have, lived through one client."""

from world import check, same


def succeeds(site, face):
    """Proposed by an alert, approved as it stands with a comment, repaired, verified."""
    instance = site.instance()
    xid = {"summary": "Xid 79", "description": "GPU left the bus", "evidence": "xid 79 x1"}
    opened = site.proposal(instance, name="DmesgXidError", annotations=xid)
    site.machine(instance, "wait")
    shown = face.get(opened)
    check(same(shown, opened), f"{shown} is not {opened}")
    check(shown.trigger == "REMEDIATION_TRIGGER_AUTOMATED" and shown.requested_by == "remedyd", shown)
    alert = shown.linked_alerts[0]
    check(alert.annotation.title == "Xid 79" and alert.target_vm == f"node-{instance}", alert)
    check(shown.passive_health_check_event_id == alert.passive_health_check_alert_id, shown)
    approved = face.approve(shown, "go ahead")
    check(approved.mode == opened.mode and approved.review_comment == "go ahead", approved)
    check(approved.reviewed_by == "approver" and approved.review_time, approved)
    running = site.until(approved, "RUNNING")
    check(running.start_time and not running.end_time, running)
    cluster = site.sdk.cluster("train-a")
    node = next(node for node in cluster.gpu_worker_nodes if node.instance_id == instance)
    check(cluster.status == "Degraded" and node.latest_remediation.id == opened.id, cluster.status)
    check(node.latest_remediation.state == "RUNNING" and node.auto_remediation_enabled, node)
    site.alert(instance, name="DmesgXidError", fires=False)
    site.machine(instance, "done")
    ended = site.until(approved, "SUCCEEDED")
    check(ended.end_time >= ended.start_time and ended.linked_alerts[0].resolved_at, ended)
    told = [event.reason for event in site.sdk.cluster("train-a").node_lifecycle_events if event.node_id == instance]
    check(told == ["RemediationProposed", "RemediationApproved", "RemediationStarted", "RemediationSucceeded"], told)


def fails(site, face):
    """Approved in another mode without a word, and the machine refuses."""
    instance = site.instance()
    site.machine(instance, "refuse")
    opened = site.proposal(instance)
    approved = face.approve(opened, mode="VM_ONLY")
    check(approved.mode == "REMEDIATION_MODE_VM_ONLY" and approved.review_comment is None, approved)
    ended = site.until(approved, "FAILED")
    check("the machine says no" in ended.error_message and ended.end_time, ended)


def is_rejected(site, face):
    ended = face.reject(site.proposal(site.instance()), "not tonight")
    check(ended.state == "CANCELLED" and ended.review_comment == "not tonight" and ended.reviewed_by, ended)
    ended = face.reject(site.proposal(site.instance()))
    check(ended.state == "CANCELLED" and ended.review_comment is None and ended.end_time, ended)


def is_cancelled(site, face):
    ended = face.cancel(site.proposal(site.instance()))
    check(ended.state == "CANCELLED" and ended.reviewed_by is None and ended.end_time, ended)
    queued = face.create("train-b", site.instance("train-b"), "REBOOT_VM", "called off")
    check(queued.state == "PENDING", queued)
    check(face.cancel(queued).state == "CANCELLED", queued)


def resolves_itself(site, face):
    instance = site.instance()
    opened = site.proposal(instance)
    site.alert(instance, fires=False)
    ended = site.until(face.get(opened), "AUTO_RESOLVED")
    check(ended.end_time and ended.linked_alerts[0].resolved_at and not ended.start_time, ended)
    check(same(face.get(ended), ended), ended)


def is_manual(site, face):
    instance = site.instance()
    made = face.create("train-a", instance, "REBOOT_VM", "slow disk")
    check(made.trigger == "REMEDIATION_TRIGGER_MANUAL" and made.state in ("PENDING", "RUNNING", "SUCCEEDED"), made)
    check(made.requested_by == "approver" and made.reason == "slow disk" and made.linked_alerts == [], made)
    check(site.until(made, "SUCCEEDED").end_time, made)
    again = face.create("train-a", instance, "VM_ONLY")
    check(again.id != made.id and again.reason is None, again)
    check(site.until(again, "SUCCEEDED").end_time, again)


def supersedes(site, face):
    """A person's own remediation takes the place of a proposal, with its alerts."""
    opened = site.proposal(site.instance("train-b"))
    made = face.create("train-b", opened.instance_id, "HOST_POWER_CYCLE", "I know better")
    check(made.state == "PENDING" and made.mode == "REMEDIATION_MODE_HOST_POWER_CYCLE", made)
    check([alert.alert_name for alert in made.linked_alerts] == ["DmesgGpuFallenOffBus"], made)
    check(site.sdk.get(opened).state == "CANCELLED", opened)
    face.cancel(made)


ALL = [succeeds, fails, is_rejected, is_cancelled, resolves_itself, is_manual, supersedes]
