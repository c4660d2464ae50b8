"""Answers when cron expressions fire, for tests/cron.rs: one JSON object a line in, one a line out.

In: {"expression", "zone", "start" (seconds since 1970), "n"}. Out: {"times": [seconds, ...]} or {"refused": why}.
"""

import json
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter

for line in sys.stdin:
    asked = json.loads(line)
    start = datetime.fromtimestamp(asked["start"], ZoneInfo(asked["zone"]))
    try:
        # crontab's own rule, which croniter calls a bug: a day field that begins with `*` does not count as restricted.
        found = croniter(asked["expression"], start, ret_type=float, implement_cron_bug=True)
        answer = {"times": [int(found.get_next()) for _ in range(asked["n"])]}
    except ValueError as why:
        answer = {"refused": str(why)}
    print(json.dumps(answer), flush=True)
