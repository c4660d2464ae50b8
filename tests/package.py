"""Starts an installed package as its unit says, where no systemd runs.

package.py ROOT ADDRESS: reads the unit below ROOT, and runs its ExecStart in that root, as its user, with its environment
file, resource limits, system call filter, address families and without executable memory, under a NOTIFY_SOCKET and a
watchdog. Waits for READY=1 and the writer's WATCHDOG=1, does one repair, scrapes http://ADDRESS/metrics, reloads, and
stops it. Prints the scrape; exits with something else than 0 where anything is not as it has to be. Needs root, and
Debian's python3-seccomp.
"""

import json
import os
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import seccomp

SOON = 60  # seconds; how long anything may take that takes a moment
UNIT = "usr/lib/systemd/system/remedyd.service"
PROT_EXEC, PROT_WRITE = 4, 2


def settings(text):
    """The unit's keys, each with all of its values."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def system_calls(filters):
    """Which system calls the unit allows, and which error number the others get."""
    def members(group):
        said = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, text=True, capture_output=True)
        calls = set()
        for line in said.stdout.splitlines()[1:]:
            name = line.split("#")[0].strip()
            if name.startswith("@"):
                calls |= members(name)
            elif name:
                calls.add(name)
        return calls

    allowed = members("@default")
    for line in filters:
        calls = set().union(*(members(word) if word.startswith("@") else {word} for word in line.lstrip("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def walls(unit):
    """The unit's system call filter, as one seccomp filter."""
    errno = getattr(__import__("errno"), unit["SystemCallErrorNumber"][0])
    wall = seccomp.SyscallFilter(defaction=seccomp.ERRNO(errno))
    for name in sorted(system_calls(unit["SystemCallFilter"])):
        if name in ("mmap", "mprotect", "pkey_mprotect", "shmat", "socket"):
            continue
        try:
            wall.add_rule(seccomp.ALLOW, name)
        except (RuntimeError, ValueError):
            pass  # not of this architecture
    # MemoryDenyWriteExecute=
    assert unit["MemoryDenyWriteExecute"] == ["yes"]
    wall.add_rule(seccomp.ALLOW, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
    wall.add_rule(seccomp.ALLOW, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC))
    for name in ("mprotect", "pkey_mprotect"):
        wall.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
    # RestrictAddressFamilies=
    for family in unit["RestrictAddressFamilies"][0].split():
        wall.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, getattr(socket, family)))
    return wall


def environment(root, unit):
    """The variables of the unit's EnvironmentFile=."""
    with open(os.path.join(root, unit["EnvironmentFile"][0].lstrip("-/")), encoding="utf-8") as file:
        pairs = (line.strip().partition("=") for line in file if line.strip() and not line.startswith("#"))
        return {key: shlex.split(value)[0] if shlex.split(value) else "" for key, _, value in pairs}


def start(root, unit, notify):
    """A process as the unit says; the program's own log goes to our standard error."""
    variables = environment(root, unit)
    line = re.sub(r"\$(\w+)", lambda found: variables.get(found.group(1), ""), unit["ExecStart"][0])
    arguments = shlex.split(line)
    with open(os.path.join(root, "etc/passwd"), encoding="utf-8") as file:
        user = next(row for row in (line.split(":") for line in file) if row[0] == unit["User"][0])
    wall = walls(unit)
    seconds = int(unit["WatchdogSec"][0])
    child = os.fork()
    if child:
        return child, seconds
    try:
        os.chroot(root)
        os.chdir("/")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        files = min(int(unit["LimitNOFILE"][0]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        os.setgroups([])
        os.setgid(int(user[3]))
        os.setuid(int(user[2]))
        os.umask(int(unit["UMask"][0], 8))
        # Where standard error is said to be the journal, that is written to by its own protocol.
        about = os.fstat(2)
        given = {"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}", "NOTIFY_SOCKET": notify, "WATCHDOG_USEC": str(seconds * 1_000_000), "WATCHDOG_PID": str(os.getpid())}
        wall.load()
        os.execve(arguments[0], arguments, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **variables, **given})
    except BaseException as error:  # whatever it was: this is not the parent
        print(f"package.py: cannot start {arguments}: {error!r}", file=sys.stderr)
    os._exit(1)


class Socket:
    """A socket of systemd's, in the root, that is always read: who writes to one that is full waits."""

    def __init__(self, root, path, lines=lambda message: message.decode().splitlines()):
        self.path, self.lines = path, lines
        outside = os.path.join(root, path.lstrip("/"))
        os.makedirs(os.path.dirname(outside), exist_ok=True)
        if os.path.exists(outside):
            os.unlink(outside)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(outside)
        os.chmod(outside, 0o666)
        self.messages = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            message = self.socket.recv(1 << 20)
            if message:
                self.messages.append(self.lines(message))

    def wait(self, line, within=SOON, after=0):
        """Waits for a message with that line, the first `after` messages aside; says how many there were up to it."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            for n, message in enumerate(self.messages[after:], after + 1):
                if line in message:
                    return n
            time.sleep(0.02)
        raise SystemExit(f"package.py: no {line} within {within} s, only {self.messages[after:][-5:]}")


def entry(message):
    """The fields of an entry of the journal, as NAME=value (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""
    fields = []
    while message:
        name, _, message = message.partition(b"\n")
        if b"=" not in name:
            size = int.from_bytes(message[:8], "little")
            name, message = name + b"=" + message[8 : 8 + size], message[9 + size :]
        fields.append(name.decode())
    return fields


def ask(address, method, path, body=None):
    """One request; answers outside 200 to 299 are errors."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=SOON) as answer:
        return answer.read().decode()


def eventually(what, look):
    """Waits until `look` finds something."""
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"package.py: not within {SOON} s: {what}")


def repair(address):
    """One repair of the node that tests/package configures: a driver program runs within the same walls."""
    made = ask(address, "POST", "/v1/compute/clusters/lab/instances/i-1/remediations", {
        "mode": "REMEDIATION_MODE_REBOOT_VM", "reason": "tests/package"})
    made = json.loads(made)
    return eventually("the repair ends", lambda: next(
        (row for row in json.loads(ask(address, "GET", "/api/v1/remediations"))["remediations"]
         if row["id"] == made["id"] and row["state"] in ("SUCCEEDED", "FAILED")), None))


def main():
    root, address = sys.argv[1:]
    with open(os.path.join(root, UNIT), encoding="utf-8") as file:
        unit = settings(file.read())
    said, journal = Socket(root, "/run/notify-of-the-test"), Socket(root, "/run/systemd/journal/socket", entry)
    child, watchdog = start(root, unit, said.path)
    try:
        said.wait("READY=1")
        eventually("it is ready", lambda: ready(address))
        said.wait("WATCHDOG=1", watchdog)
        row = repair(address)
        if row["state"] != "SUCCEEDED":
            raise SystemExit(f"package.py: the repair ended {row}")
        for line in (f"REMEDIATION_ID={row['id']}", "INSTANCE_ID=i-1", "CLUSTER_ID=lab", "STATE=SUCCEEDED",
                     "SYSLOG_IDENTIFIER=remedyd", "PRIORITY=6"):
            journal.wait(line)
        before = len(said.messages)
        os.kill(child, signal.SIGHUP)
        reloading = said.wait("RELOADING=1", after=before)
        said.wait("READY=1", after=reloading)
        print(ask(address, "GET", "/metrics"))
        os.kill(child, signal.SIGTERM)
        said.wait("STOPPING=1")
        _, status = os.waitpid(child, 0)
        child = None
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"package.py: it ended with {os.waitstatus_to_exitcode(status)}")
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


def ready(address):
    try:
        return ask(address, "GET", "/-/ready")
    except (urllib.error.URLError, ConnectionError):
        return None


if __name__ == "__main__":
    main()
