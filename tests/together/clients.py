#!/usr/bin/env python3
"""Plays all that Together's Python clients know against a daemon: `clients.py STAGE.json`, which `stage.rs` writes.

Which version it is depends on the Python that runs it. Exit 0: everything held.
"""

import json
import pathlib
import sys
import time

import faces
import lives
import paging
import refusals
import strictness
import together
from faces import WIRE, AsyncSdk, Cli, Sdk
from world import Site, check, step


def arrives(stage, face):
    """Who asks is told by name, and the base URL of the other line of SDKs leads here too."""
    whoami = face.call(face.client.whoami())
    check((whoami.api_key.id if faces.IS_3 else whoami.api_key_id) == "approver", whoami)
    check(WIRE.requests[-1] == ("GET", "/v3/whoami" if faces.IS_3 else "/v1/whoami"), WIRE.requests[-1])
    check([cluster.cluster_id for cluster in face.clusters()] == ["train-a", "train-b", "train-c"], "clusters")
    if faces.IS_3:
        other = type(face)(stage, base=stage["base"] + "/v1")
        check(other.call(other.client.whoami()) == whoami and len(other.clusters()) == 3, "the other base")
        check(WIRE.requests[-2:] == [("GET", "/v1/v3/whoami"), ("GET", "/v1/v1/compute/clusters")], WIRE.requests[-2:])
        other.close()


def play(site, rows, face):
    began = time.monotonic()
    if not isinstance(face, Cli):
        arrives(site.stage, face)
        step(f"{face.name}: whoami names the token, and clusters are there")
    for live in lives.ALL:
        live(site, face)
        step(f"{face.name}: a remediation {live.__name__.replace('_', ' ')}")
    if not isinstance(face, Cli):
        refusals.answers_get_lost(site, face)
        step(f"{face.name}: lost answers are given again, and nothing is done twice")
        step(f"{face.name}: {strictness.breaks(site, face)} broken answers are noticed")
    if not isinstance(face, Cli) or not faces.IS_3:
        refusals.keys(site, face)
        step(f"{face.name}: a client's own id makes one remediation")
    step(f"{face.name}: {refusals.refuse(site, rows, face)} refusals, each in words")
    step(f"{face.name}: {paging.page(site, face)}")
    print(f"   {face.name}: {time.monotonic() - began:.2f} s")


def main():
    stage = json.loads(pathlib.Path(sys.argv[1]).read_text())
    home = faces.quiet_surroundings()
    faces.load_cli()
    print(f"together {together.__version__}")
    site = Site(stage, Sdk(stage))
    rows = refusals.Rows(site)
    for face in [site.sdk, AsyncSdk(stage), Cli(stage, True), Cli(stage, False)]:
        play(site, rows, face)
        if isinstance(face, AsyncSdk):
            face.close()
    home.cleanup()


if __name__ == "__main__":
    main()
