"""Together's Python clients behind one face: the SDK, the async SDK, and the CLI with and without `--json`.

Every answer is read with the SDK's strict validation, the CLI's too, and every request is counted. A CLI command runs
as a process of its own that is forked from this one, where the CLI is loaded and has come to the point at which it reads
its arguments: that is half a second less for each.
"""

import asyncio
import functools
import json
import os
import pathlib
import sys
import tempfile
import traceback
import types
import unittest.mock

import httpx
import together
import together.lib.cli as together_cli
from together.types.clusters import Remediation
from world import check

IS_3 = together.__version__.startswith("3.")
MODE = "REMEDIATION_MODE_"


class Wire:
    """What went over the wire: each request as `(method, target)`. And, once, what happens to an answer."""

    def __init__(self):
        self.requests = []
        self.spoil = None
        for transport, name in ((httpx.HTTPTransport, "handle_request"), (httpx.AsyncHTTPTransport, "handle_async_request")):
            setattr(transport, name, self.watched(getattr(transport, name)))

    def watched(self, send):
        def note(request):
            self.requests.append((request.method, request.url.raw_path.decode()))
            spoil, self.spoil = self.spoil, None
            return spoil

        if asyncio.iscoroutinefunction(send):

            async def handle(transport, request):
                spoil = note(request)
                response = await send(transport, request)
                if spoil:
                    await response.aread()
                    return spoil(response)
                return response
        else:

            def handle(transport, request):
                spoil = note(request)
                response = send(transport, request)
                if spoil:
                    response.read()
                    return spoil(response)
                return response

        return handle

    def since(self, mark):
        return self.requests[mark:]


WIRE = Wire()


def lose(response):
    """The answer does not arrive."""
    raise httpx.ReadError("the connection broke")


def without(*path):
    """The answer arrives without one key."""

    def spoil(response):
        body = inner = json.loads(response.content)
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return httpx.Response(200, json=body)

    return spoil


class Refused(Exception):
    """What a person sees of a refusal, and the status in it if there is one."""


class Sdk:
    name = "SDK"

    def __init__(self, stage, token="approver", base=None):
        self.stage = stage
        base = base or stage["base"] + ("" if IS_3 else "/v1")
        key = stage["tokens"].get(token, token)
        self.client = self.make(api_key=key, base_url=base, _strict_response_validation=True)
        self.rows = self.client.clusters.remediations

    make = together.Together

    def call(self, answer):
        return answer

    def close(self):
        self.call(self.client.close())

    def create(self, cluster, instance, mode, reason=together.omit, key=None):
        named = {}
        if key is not None:
            named = {"extra_query": {"remediation_id": key}} if IS_3 else {"remediation_id": key}
        return self.call(self.rows.create(instance, cluster_id=cluster, mode=MODE + mode, reason=reason, **named))

    def list(self, cluster, instance="-", **filters):
        return self.call(self.rows.list(instance, cluster_id=cluster, **filters))

    def get(self, row):
        return self.call(self.rows.retrieve(row.id, cluster_id=row.cluster_id, instance_id=row.instance_id))

    def approve(self, row, comment=together.omit, mode=None):
        mode = together.omit if mode is None else MODE + mode
        where = {"cluster_id": row.cluster_id, "instance_id": row.instance_id}
        return self.call(self.rows.approve(row.id, comment=comment, mode=mode, **where))

    def reject(self, row, comment=together.omit):
        where = {"cluster_id": row.cluster_id, "instance_id": row.instance_id}
        return self.call(self.rows.reject(row.id, comment=comment, **where))

    def cancel(self, row):
        return self.call(self.rows.cancel(row.id, cluster_id=row.cluster_id, instance_id=row.instance_id))

    def cluster(self, cluster):
        return self.call(self.client.clusters.retrieve(cluster))

    def clusters(self):
        return self.call(self.client.clusters.list()).clusters


class AsyncSdk(Sdk):
    name = "async SDK"
    make = together.AsyncTogether

    def __init__(self, stage, token="approver", base=None):
        self.runner = asyncio.Runner()
        super().__init__(stage, token, base)

    def call(self, answer):
        async def wait():
            return await answer

        return self.runner.run(wait())

    def close(self):
        super().close()
        self.runner.close()


class Cli:
    """One command a call. Without `--json` what it prints is for people: the record is then read by the SDK."""

    def __init__(self, stage, as_json, token="approver"):
        self.stage = stage
        self.as_json = as_json
        self.token = stage["tokens"].get(token, token)
        self.name = "CLI --json" if as_json else "CLI --no-json"
        self.sdk = Sdk(stage)
        self.printed = ""
        self.folder = tempfile.TemporaryDirectory()

    def start(self, *arguments):
        """Starts a command; `end` waits for it."""
        out = pathlib.Path(self.folder.name)
        child = os.fork()
        if child == 0:
            self.become(out, [*arguments, "--json" if self.as_json else "--no-json"])
        return child

    def become(self, out, arguments):
        code = 70
        try:
            del WIRE.requests[:]
            with open(out / "printed", "w") as printed:
                os.dup2(printed.fileno(), 1)
                os.dup2(printed.fileno(), 2)
            base = self.stage["base"] + ("" if IS_3 else "/v1")
            os.environ.update(TOGETHER_API_KEY=self.token, TOGETHER_BASE_URL=base)
            sys.argv = ["together", "clusters", "remediations", *arguments]
            try:
                together_cli.app.meta()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except Exception:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            (out / "wire").write_text(json.dumps(WIRE.requests))
        finally:
            os._exit(code)

    def end(self, child):
        """The exit code. What it printed and asked is in `printed` and on the wire."""
        _, status = os.waitpid(child, 0)
        self.printed = pathlib.Path(self.folder.name, "printed").read_text()
        wire = json.loads(pathlib.Path(self.folder.name, "wire").read_text())
        WIRE.requests += [tuple(request) for request in wire]
        return os.waitstatus_to_exitcode(status)

    def run(self, *arguments):
        code = self.end(self.start(*arguments))
        check("Traceback" not in self.printed and code in (0, 1), f"{arguments} exits {code}: {self.printed}")
        if code == 1:
            raise Refused(self.printed)

    def create(self, cluster, instance, mode, reason=None, key=None):
        more = ["--reason", reason] if reason else []
        more += ["--remediation-id", key] if key else []
        self.run("create", cluster, instance, "--mode", mode, *more)
        if self.as_json:
            return Remediation.model_validate_json(self.printed)
        row_id = self.printed.split("(", 1)[1].split(")", 1)[0]
        return self.sdk.get(types.SimpleNamespace(id=row_id, cluster_id=cluster, instance_id=instance))

    def done(self, row, words, *arguments):
        self.run(*arguments)
        if self.as_json:
            return Remediation.model_validate_json(self.printed)
        check(f"{words} ({row.id})" in " ".join(self.printed.split()), f"{arguments} does not say `{words}`: {self.printed}")
        return self.sdk.get(row)

    def get(self, row):
        self.run("get", row.id)
        if self.as_json:
            return Remediation.model_validate_json(self.printed)
        seen = self.sdk.get(row)
        check(row.id in self.printed, f"get does not show {row.id}: {self.printed}")
        return seen

    def approve(self, row, comment=None, mode=None):
        more = ([comment] if comment else []) + (["--mode", mode] if mode else [])
        return self.done(row, "Remediation approved.", "approve", row.id, *more)

    def reject(self, row, comment=None):
        return self.done(row, "Remediation rejected.", "reject", row.id, *([comment] if comment else []))

    def cancel(self, row):
        return self.done(row, "Remediation cancelled.", "cancel", row.id)

    def list(self, cluster, instance=None, after=None, **filters):
        arguments = [cluster] + ([instance] if instance else []) + (["--after", after] if after else [])
        for key, values in filters.items():
            for value in values:
                arguments += [f"--{key}", value.removeprefix(MODE).removeprefix("REMEDIATION_TRIGGER_")]
        self.run("list", *arguments)
        return json.loads(self.printed) if self.as_json else self.printed


def quiet_surroundings():
    """A home and a wide terminal of its own, and nothing that the CLI does on the side."""
    for name in [name for name in os.environ if name.startswith("TOGETHER_")]:
        del os.environ[name]
    home = tempfile.TemporaryDirectory()
    os.environ.update(
        HOME=home.name,
        COLUMNS="400",
        NO_COLOR="1",
        CI="1",  # or the CLI writes completions for the shell first
        TOGETHER_TELEMETRY_DISABLED="1",
        TOGETHER_DISABLE_VERSION_CHECK="1",
    )
    return home


class Loaded(Exception):
    pass


def load_cli():
    """Goes through the CLI's `main` until it would read its arguments."""
    together_cli.AsyncTogether = functools.partial(together.AsyncTogether, _strict_response_validation=True)
    with unittest.mock.patch.object(type(together_cli.app), "__call__", side_effect=Loaded):
        try:
            together_cli.main()
        except Loaded:
            return
    check(False, "the CLI's main does something else than to call its app")
