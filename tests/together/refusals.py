"""Every refusal that a client can run into: what it raises, what it says, and that it asks only once."""

import json
import types
import uuid

import faces
import together
from faces import WIRE, Cli, Refused, Sdk, lose
from world import check, same

NOBODY = str(uuid.UUID(int=0))
INVALID = (together.BadRequestError, 3)
PRECONDITION = (together.BadRequestError, 9)
MISSING = (together.NotFoundError, 5)
TAKEN = (together.ConflictError, 6)
DENIED = (together.PermissionDeniedError, 7)
STRANGER = (together.AuthenticationError, 16)


class Rows:
    """Remediations to be refused with; nothing that is refused changes them."""

    def __init__(self, site):
        sdk = site.sdk
        self.waiting = site.proposal(site.instance("train-b"))
        self.pending = sdk.create("train-b", site.instance("train-b"), "REBOOT_VM", "waits its turn", key="key-1")
        self.running = sdk.list("train-b", state=["RUNNING"]).remediations[0]
        self.ended = sdk.cancel(sdk.create("train-b", site.instance("train-b"), "REBOOT_VM"))
        on_host = site.stage["instances"] - 2
        self.on_host = sdk.create("train-b", f"train-b-{on_host}", "REBOOT_VM", "on a host that two share")
        self.other_on_host = f"train-b-{on_host + 1}"
        self.held = site.instance("train-b")
        hold = {"instance_id": self.held, "reason": "fan is out", "for": "1h"}
        site.post("/api/v1/holds", hold, "operator")
        self.all = [self.waiting, self.pending, self.running, self.ended, self.on_host]
        self.free = site.instance("train-b")

    def elsewhere(self, **where):
        given = {"id": self.waiting.id, "cluster_id": "train-b", "instance_id": self.waiting.instance_id}
        return types.SimpleNamespace(**{**given, **where})


def everywhere(rows):
    """Refusals that all clients can provoke: what is done, what is raised, which words reach the person."""
    only = "only PENDING_APPROVAL can be"
    early = "only PENDING_APPROVAL or PENDING can be cancelled"
    waiting, pending, running, ended = rows.waiting, rows.pending, rows.running, rows.ended
    return [
        ("list of an unknown cluster", lambda c: c.list("train-x"), MISSING, ["cluster `train-x` not found"]),
        ("list of an unknown instance", lambda c: c.list("train-b", "i-x"), MISSING, ["instance `i-x` not found"]),
        ("create in an unknown cluster", lambda c: c.create("train-x", "i-x", "VM_ONLY"), MISSING, ["train-x"]),
        ("create on an unknown instance", lambda c: c.create("train-b", "i-x", "VM_ONLY"), MISSING, ["i-x"]),
        ("create on another cluster's", lambda c: c.create("train-b", "train-a-1", "VM_ONLY"), MISSING, ["train-a-1"]),
        ("approve what is PENDING", lambda c: c.approve(pending), PRECONDITION, [pending.id, "PENDING", only]),
        ("approve what is RUNNING", lambda c: c.approve(running, "now"), PRECONDITION, [running.id, "RUNNING", only]),
        ("approve what ended", lambda c: c.approve(ended, mode="VM_ONLY"), PRECONDITION, [ended.id, "CANCELLED", only]),
        ("reject what is PENDING", lambda c: c.reject(pending, "no"), PRECONDITION, [pending.id, "PENDING", only]),
        ("reject what is RUNNING", lambda c: c.reject(running), PRECONDITION, [running.id, "RUNNING", only]),
        ("reject what ended", lambda c: c.reject(ended, "no"), PRECONDITION, [ended.id, "CANCELLED", only]),
        ("cancel what is RUNNING", lambda c: c.cancel(running), PRECONDITION, [running.id, "RUNNING", early]),
        ("cancel what ended", lambda c: c.cancel(ended), PRECONDITION, [ended.id, "CANCELLED", early]),
        (
            "approve with a power cycle instead",
            lambda c: c.approve(waiting, "go", "HOST_POWER_CYCLE"),
            INVALID,
            ["HOST_POWER_CYCLE"],
        ),
        (
            "create where one is queued",
            lambda c: c.create("train-b", pending.instance_id, "VM_ONLY", "another"),
            PRECONDITION,
            [pending.id, "PENDING", f"instance {pending.instance_id}"],
        ),
        (
            "create the same once more",
            lambda c: c.create("train-b", pending.instance_id, "REBOOT_VM", "waits its turn"),
            PRECONDITION,
            [pending.id, "PENDING"],
        ),
        (
            "create where one runs",
            lambda c: c.create("train-b", running.instance_id, "VM_ONLY", "another"),
            PRECONDITION,
            [running.id, "RUNNING"],
        ),
        (
            "create on a busy host",
            lambda c: c.create("train-b", rows.other_on_host, "VM_ONLY"),
            PRECONDITION,
            [rows.on_host.id, "host h-train-b-"],
        ),
        ("create on a held one", lambda c: c.create("train-b", rows.held, "VM_ONLY"), PRECONDITION, ["held", "fan is out"]),
    ]


def by_key(rows):
    """Those about a client's own id."""
    mode, why = "REBOOT_VM", "waits its turn"
    there = rows.pending.instance_id
    named = ["key-1", rows.pending.id]
    return [
        ("another mode under a key", lambda c: c.create("train-b", there, "VM_ONLY", why, key="key-1"), TAKEN, named),
        ("another reason under a key", lambda c: c.create("train-b", there, mode, "x", key="key-1"), TAKEN, named),
        ("another instance under a key", lambda c: c.create("train-b", rows.free, mode, why, key="key-1"), TAKEN, named),
        ("a key with a space", lambda c: c.create("train-b", rows.free, mode, key="a b"), INVALID, ["remediation_id"]),
        ("a key that is too long", lambda c: c.create("train-b", rows.free, mode, key="x" * 129), INVALID, ["128"]),
    ]


def by_sdk(rows):
    """Those that only an SDK can provoke: the CLI looks up ids itself and knows the enums."""
    waiting = rows.waiting
    wrong = rows.elsewhere
    token = lambda c: c.list("train-c", page_size=2).next_page_token
    return [
        ("get from an unknown cluster", lambda c: c.get(wrong(cluster_id="train-x")), MISSING, ["train-x"]),
        ("get of a name that needs escapes", lambda c: c.get(wrong(cluster_id="x/../y% z")), MISSING, ["x/../y% z"]),
        ("get from an unknown instance", lambda c: c.get(wrong(instance_id="i-x")), MISSING, ["i-x"]),
        ("get of an unknown one", lambda c: c.get(wrong(id=NOBODY)), MISSING, [NOBODY]),
        ("get from another's instance", lambda c: c.get(wrong(instance_id=rows.free)), MISSING, [waiting.id]),
        ("get from another cluster", lambda c: c.get(wrong(cluster_id="train-a", instance_id="-")), MISSING, [waiting.id]),
        ("approve an unknown one", lambda c: c.approve(wrong(id=NOBODY)), MISSING, [NOBODY]),
        ("approve at another's instance", lambda c: c.approve(wrong(instance_id=rows.free)), MISSING, [waiting.id]),
        ("reject in an unknown cluster", lambda c: c.reject(wrong(cluster_id="train-x")), MISSING, ["train-x"]),
        ("cancel at an unknown instance", lambda c: c.cancel(wrong(instance_id="i-x")), MISSING, [waiting.id]),
        ("create on `-`", lambda c: c.create("train-b", "-", "VM_ONLY"), INVALID, ["instance_id", "created for one"]),
        ("create in no known mode", lambda c: c.create("train-b", rows.free, "FASTER"), INVALID, ["FASTER"]),
        ("approve in no known mode", lambda c: c.approve(waiting, mode="FASTER"), INVALID, ["FASTER"]),
        ("a comment like a book", lambda c: c.reject(waiting, "x" * 5000), INVALID, ["comment", "4096"]),
        ("a reason like a book", lambda c: c.create("train-b", rows.free, "VM_ONLY", "x" * 5000), INVALID, ["reason"]),
        ("list with no such state", lambda c: c.list("train-b", state=["PENDING", "ASLEEP"]), INVALID, ["ASLEEP"]),
        ("list with no such mode", lambda c: c.list("train-b", mode=["VM_ONLY"]), INVALID, ["VM_ONLY"]),
        ("list with no such trigger", lambda c: c.list("train-b", trigger=["CRON"]), INVALID, ["CRON"]),
        ("list in no known order", lambda c: c.list("train-b", order_by="order_by"), INVALID, ["order_by"]),
        ("list with a page below zero", lambda c: c.list("train-b", page_size=-1), INVALID, ["page_size"]),
        ("list from a made-up token", lambda c: c.list("train-b", page_token="page_token"), INVALID, ["page_token"]),
    ], [
        ("a token of another list", token, lambda c, token: c.list("train-b", page_token=token)),
        ("a token of other filters", token, lambda c, token: c.list("train-c", page_token=token, state=["PENDING"])),
        ("a token of another order", token, lambda c, token: c.list("train-c", page_token=token, order_by="update_time")),
    ]


def by_token(rows):
    """Those about who asks: the token, and then as above."""
    waiting, free = rows.waiting, rows.free
    power = "HOST_POWER_CYCLE"
    return [
        ("nobody", "a token that nobody made", lambda c: c.list("train-b"), STRANGER, ["token"]),
        ("a viewer approves", "viewer", lambda c: c.approve(waiting), DENIED, ["approver"]),
        ("a viewer rejects", "viewer", lambda c: c.reject(waiting), DENIED, ["approver"]),
        ("a viewer cancels", "viewer", lambda c: c.cancel(waiting), DENIED, ["operator"]),
        ("a viewer creates", "viewer", lambda c: c.create("train-b", free, "VM_ONLY"), DENIED, ["operator"]),
        ("an operator approves", "operator", lambda c: c.approve(waiting), DENIED, ["approver"]),
        ("an operator cuts the power", "operator", lambda c: c.create("train-b", free, power), DENIED, ["approver"]),
        ("an Alertmanager reads", "webhook", lambda c: c.list("train-b"), DENIED, ["viewer"]),
        ("one of train-c reads train-b", "narrow", lambda c: c.list("train-b"), MISSING, ["train-b"]),
        ("one of train-c approves in train-b", "narrow", lambda c: c.approve(waiting), MISSING, ["train-b"]),
    ]


def sdk_is_refused(name, face, do, raised, words):
    """One request, the right exception, both forms of the body, and the words in what the exception says."""
    kind, code = raised
    mark = len(WIRE.requests)
    try:
        answer = do(face)
    except together.APIStatusError as error:
        check(type(error) is kind, f"{name}: {type(error).__name__} and not {kind.__name__}: {error}")
        asked = WIRE.since(mark)
        check(len(asked) == 1, f"{name}: {len(asked)} requests: {asked}")
        body = error.response.json()
        check(body["code"] == code and body["details"] == [], f"{name}: {body}")
        shown = body["error"]
        check(shown["message"] == body["message"] and shown["type"] and shown["param"] is None, f"{name}: {body}")
        check(shown["code"] == shown["type"].upper(), f"{name}: {body}")
        for word in words:
            check(word.lower() in str(error).lower(), f"{name}: `{word}` is not in: {error}")
        return
    check(False, f"{name}: not refused: {answer}")


def cli_is_refused(name, cli, do, words):
    """Exit code 1, the words for a person, and the refused request only once."""
    mark = len(WIRE.requests)
    try:
        do(cli)
    except Refused:
        asked = WIRE.since(mark)
        paths = [target.split("?")[0] for _, target in asked]
        check(asked[0][1].endswith("/v3/whoami") and asked.count(asked[-1]) == 1, f"{name}: {asked}")
        check(len(set(asked)) == len(asked), f"{name}: something was asked twice: {asked}")
        check(asked[-1][0] == "POST" or paths[-1].endswith("/remediations"), f"{name}: {asked}")
        text = " ".join(cli.printed.split())
        if cli.as_json:
            error = json.loads(cli.printed)["error"]
            check(error["type"], f"{name}: {error}")
            text = error["message"]
        for word in words:
            check(word.lower() in text.lower(), f"{name}: `{word}` is not in: {cli.printed}")
        return
    check(False, f"{name}: not refused: {cli.printed}")


def cli_with_token_is_refused(name, cli, do, raised, words):
    """The same for those whose token is the trouble: some do not get as far as the request itself."""
    mark = len(WIRE.requests)
    if raised is STRANGER or "an Alertmanager" in name:
        # Whoever may not even ask who he is: the CLI ends there, in a traceback whose last line has our words.
        code = cli.end(cli.start("list", "train-b"))
        check(code == 1 and len(WIRE.since(mark)) == 1, f"{name}: {WIRE.since(mark)}")
        cli.printed = cli.printed.strip().splitlines()[-1]
    else:
        try:
            do(cli)
            check(False, f"{name}: not refused: {cli.printed}")
        except Refused:
            pass
    if raised is MISSING and "approves" in name:
        # The CLI looks for the id in the clusters that this token sees.
        words = ["Remediation not found"]
    for word in words:
        check(word.lower() in cli.printed.lower(), f"{name}: `{word}` is not in: {cli.printed}")


def refuse(site, rows, face):
    """Lets one client run into all of them; how many that were."""
    met = 0
    if isinstance(face, Cli):
        table = everywhere(rows) + ([] if faces.IS_3 else by_key(rows))
        for name, do, _, words in table:
            cli_is_refused(name, face, do, words)
            met += 1
        try:
            face.get(types.SimpleNamespace(id=NOBODY))
        except Refused:
            check(f"Remediation not found: {NOBODY}" in face.printed, face.printed)
            met += 1
        for name, token, do, raised, words in by_token(rows):
            cli_with_token_is_refused(name, Cli(site.stage, face.as_json, token), do, raised, words)
            met += 1
    else:
        plain, with_token = by_sdk(rows)
        for name, do, raised, words in everywhere(rows) + by_key(rows) + plain:
            sdk_is_refused(name, face, do, raised, words)
            met += 1
        for name, token, do in with_token:
            page = token(face)
            sdk_is_refused(name, face, lambda c: do(c, page), INVALID, ["page_token"])
            met += 1
        for name, token, do, raised, words in by_token(rows):
            asker = type(face)(site.stage, token)
            sdk_is_refused(name, asker, do, raised, words)
            asker.close()
            met += 1
    raised_meanwhile(site, face)
    for row in rows.all:
        check(same(site.sdk.get(row), row), f"a refusal changed {row}")
    check(site.sdk.list("train-b", rows.free).remediations == [], "a refused create created")
    return met + 1


def raised_meanwhile(site, face):
    """Who approves without a mode right after the mode was raised is told the new one, and may then approve it."""
    opened = site.proposal(site.instance("train-b"), name="NpdKernelDeadlock")
    check(opened.mode == "REMEDIATION_MODE_REBOOT_VM", opened)
    site.alert(opened.instance_id)
    heavier = site.until_it(opened, lambda now: now.mode == "REMEDIATION_MODE_HOST_AWARE")
    check(heavier.id == opened.id and len(heavier.linked_alerts) == 2, heavier)
    do = lambda c: c.approve(opened, "as I read it")
    if isinstance(face, Cli):
        cli_is_refused("approve what was raised", face, do, ["HOST_AWARE", opened.id])
    else:
        sdk_is_refused("approve what was raised", face, do, PRECONDITION, ["HOST_AWARE", opened.id])
    approved = face.approve(opened, "as it is", "HOST_AWARE")
    check(approved.state == "PENDING" and approved.mode == "REMEDIATION_MODE_HOST_AWARE", approved)
    face.cancel(approved)


def keys(site, face):
    """A client's own id makes one remediation, finds it, and still does so when it ended."""
    instance, key = site.instance("train-b"), f"walk.{uuid.uuid4()}"
    first = face.create("train-b", instance, "REBOOT_VM", "named", key=key)
    again = face.create("train-b", instance, "REBOOT_VM", "named", key=key)
    check(same(first, again), f"{first} is not {again}")
    named = types.SimpleNamespace(id=key, cluster_id="train-b", instance_id=instance)
    check(same(site.sdk.get(named), first), first)
    ended = site.sdk.cancel(named)
    check(ended.id == first.id and ended.state == "CANCELLED", ended)
    check(same(face.create("train-b", instance, "REBOOT_VM", "named", key=key), ended), "it opened a second time")


def answers_get_lost(site, face):
    """The SDK repeats what it had no answer to: nothing is done twice, and the answer is that of the first time."""
    instance = site.instance("train-b")
    made = told_at_last(lambda: face.create("train-b", instance, "REBOOT_VM", "the answer was lost"))
    found = face.list("train-b", instance).remediations
    check([row.id for row in found] == [made.id], f"two were created: {found}")
    # A repeat of somebody else's request is another request.
    other = Sdk(site.stage, "operator")
    where = {"cluster_id": "train-b", "mode": faces.MODE + "REBOOT_VM", "reason": "the answer was lost"}
    repeated = {"x-stainless-retry-count": "1"}
    do = lambda c: c.rows.create(instance, **where, extra_headers=repeated)
    sdk_is_refused("somebody else's repeat", other, do, PRECONDITION, [made.id])
    other.close()
    ended = told_at_last(lambda: face.cancel(made))
    check(ended.id == made.id and ended.state == "CANCELLED", ended)

    opened = site.proposal(site.instance("train-b"))
    approved = told_at_last(lambda: face.approve(opened, "go", "VM_ONLY"))
    check(approved.state == "PENDING" and approved.mode == "REMEDIATION_MODE_VM_ONLY", approved)
    face.cancel(approved)
    opened = site.proposal(site.instance("train-b"))
    ended = told_at_last(lambda: face.reject(opened, "no"))
    check(ended.state == "CANCELLED" and ended.review_comment == "no", ended)


def told_at_last(do):
    """The answer to a request whose first answer gets lost."""
    mark = len(WIRE.requests)
    WIRE.spoil = lose
    answer = do()
    asked = WIRE.since(mark)
    check(len(asked) == 2 and len(set(asked)) == 1, asked)
    return answer
