"""A thousand remediations, page by page, while others are created: none comes twice, none is missing."""

import os
import re
import threading
import types

from faces import WIRE, Cli, Sdk
from world import check

PAGE = 100
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Creator:
    """Somebody else who creates remediations in `train-c` and calls them off again."""

    def __init__(self, site, instance):
        self.sdk = Sdk(site.stage)
        self.instance = instance
        self.made = []
        self.grew = threading.Condition()
        self.ends = False

    def one(self):
        row = self.sdk.create("train-c", self.instance, "VM_ONLY", "created meanwhile")
        self.sdk.cancel(row)
        with self.grew:
            self.made.append(row.id)
            self.grew.notify_all()

    def run(self):
        while not self.ends:
            self.one()

    def another(self):
        """Waits until one more was created."""
        with self.grew:
            before = len(self.made)
            check(self.grew.wait_for(lambda: len(self.made) > before, timeout=30), "nobody creates any more")


def everything(sdk):
    """The ids of all that are there, newest first."""
    page = sdk.list("train-c", page_size=1000)
    read = [row.id for row in page.remediations]
    while page.has_next:
        page = sdk.list("train-c", page_size=1000, page_token=page.next_page_token)
        read += [row.id for row in page.remediations]
    return read


def once_each(read, before, name):
    check(len(set(read)) == len(read), f"{name}: {len(read) - len(set(read))} came twice")
    missing = set(before) - set(read)
    check(not missing, f"{name}: {len(missing)} are missing: {sorted(missing)[:3]}")


def by_sdk(site, face):
    """Pages of 100, in both orders, beside a creator that never stops."""
    creator = Creator(site, "train-c-20")
    told = []
    for order in ("create_time desc", "create_time asc"):
        before = everything(site.sdk)
        check(len(before) > site.stage["past"], len(before))
        creator.ends = False
        thread = threading.Thread(target=creator.run)
        thread.start()
        made = len(creator.made)
        read, token, pages = [], {}, 0
        while True:
            page = face.list("train-c", page_size=PAGE, order_by=order, **token)
            check(len(page.remediations) == PAGE or not page.has_next, "a page is not full")
            read += [row.id for row in page.remediations]
            pages += 1
            if not page.has_next:
                check(page.next_page_token == "", page)
                break
            token = {"page_token": page.next_page_token}
            creator.another()
        creator.ends = True
        thread.join()
        once_each(read, before, f"{face.name}, {order}")
        check(pages > site.stage["past"] // PAGE, f"only {pages} pages")
        told.append(f"{len(read)} on {pages} pages while {len(creator.made) - made} were created")
    return "; ".join(told)


def by_lookup(site, cli):
    """`get` of the oldest finds it at the very end of its pages of 100."""
    creator = Creator(site, "train-c-20")
    oldest = everything(site.sdk)[-1]
    child = cli.start("get", oldest)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        creator.one()
    mark = len(WIRE.requests)
    check(cli.end(child) == 0 and oldest in cli.printed, cli.printed)
    targets = [target for _, target in WIRE.since(mark) if "train-c/instances/-/" in target]
    check(len(targets) > site.stage["past"] // PAGE, targets)
    check(all(f"page_size={PAGE}" in target for target in targets) and len(set(targets)) == len(targets), targets)
    return f"{len(targets)} pages of {PAGE} for the oldest while {len(creator.made)} were created"


def by_hand(site, cli):
    """`list`, and then each time the command that it prints for the next page."""
    creator = Creator(site, "train-c-20")
    before = everything(site.sdk)
    read, after, pages = [], None, 0
    while pages == 0 or after:
        table, _, hint = cli.list("train-c", after=after).partition("To display the next page, run:")
        read += ID.findall(table)
        after = hint.split("--after", 1)[1].strip() if hint else None
        creator.one()
        pages += 1
    once_each(read, before, cli.name)
    return f"{len(read)} on {pages} pages while {len(creator.made)} were created"


def page(site, face):
    if not isinstance(face, Cli):
        return by_sdk(site, face)
    return by_lookup(site, face) if face.as_json else by_hand(site, face)
