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
from faces import AsyncSdk, Cli, Sdk
from world import Site, step


def play(site, rows, face):
    began = time.monotonic()
    for live in lives.ALL:
        live(site, face)
        step(f"{face.name}: a remediation {live.__name__.replace('_', ' ')}")
    if not isinstance(face, Cli):
        refusals.answers_get_lost(site, face)
        step(f"{face.name}: a lost answer makes no second remediation")
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
