"""Runs a program on a terminal of its own, presses keys, and prints what the screen showed.

    tests/demo/record.py --do '5:show,your approval:a,31:q' --clock-from TEXT -- target/debug/remedyd demo

Each step waits for a number of seconds after TEXT was seen first (without it: after the start), or for words on the
screen, then shows the screen or presses the key. The screen understands what the demo says: text, carriage return,
newline, cursor up, erase line and erase below; colours are taken out.
"""

import argparse
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


class Screen:
    """Lines, of which the last `rows` are what a terminal shows."""

    def __init__(self, columns, rows):
        self.columns, self.rows, self.lines, self.row, self.column, self.rest = columns, rows, [""], 0, 0, ""

    def feed(self, text):
        text = self.rest + text
        cut = re.search(r"\x1b(\[[0-9;]*)?$", text)
        self.rest, text = (text[cut.start():], text[:cut.start()]) if cut else ("", text)
        for escape, code, letter, plain in re.findall(r"(\x1b\[([0-9;]*)([A-Za-z]))|([^\x1b])", text):
            if plain == "\r":
                self.column = 0
            elif plain == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif plain:
                if self.column == self.columns:
                    self.row, self.column = self.row + 1, 0
                    self.lines[self.row:] = self.lines[self.row:] or [""]
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[:self.column] + plain + line[self.column + 1:]
                self.column += 1
            elif letter == "A":
                assert int(code) <= self.rows, "it moves above the top of the screen"
                self.row -= int(code)
            elif letter == "K":
                self.lines[self.row] = self.lines[self.row][:self.column]
            elif letter == "J":
                del self.lines[self.row + 1:]
                self.lines[self.row] = self.lines[self.row][:self.column]
            else:
                assert letter == "m", f"unknown sequence {escape!r}"

    def shown(self):
        return "\n".join(line.rstrip() for line in self.lines[-self.rows:]).rstrip()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--size", default="100x32")
    options.add_argument("--do", default="")
    options.add_argument("--within", type=float, default=180.0)
    options.add_argument("--clock-from", default="")
    options.add_argument("program", nargs="+")
    options = options.parse_args()
    columns, rows = map(int, options.size.split("x"))
    todo = [step.rsplit(":", 1) for step in options.do.split(",") if step]

    def is_due(when):
        if not re.fullmatch(r"[0-9.]+", when):
            return when in screen.shown()
        return since is not None and time.monotonic() - since >= float(when)

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.login_tty(slave)
        os.environ["TERM"] = "xterm"
        os.execvp(options.program[0], options.program)
    screen, decoder, since = Screen(columns, rows), codecs.getincrementaldecoder("utf-8")(), None
    begun = time.monotonic()
    while True:
        ready, _, _ = select.select([master], [], [], 0.05)
        if ready:
            screen.feed(decoder.decode(os.read(master, 65536)))
        else:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
        if since is None and options.clock_from in "\n".join(screen.lines):
            since = time.monotonic()
        if time.monotonic() - begun > options.within:
            os.kill(child, signal.SIGTERM)
            sys.exit(f"not within {options.within:g} s: {todo}; the screen:\n{screen.shown()}")
        while todo and is_due(todo[0][0]):
            when, what = todo.pop(0)
            if what == "show":
                title = f"after {when} s" if when[0].isdigit() else f"with {when}"
                print(f"----- {title} ".ljust(columns, "-"))
                print(screen.shown(), flush=True)
            else:
                os.write(master, what.encode())
    print("----- at the end ".ljust(columns, "-"))
    print(screen.shown())
    print("-" * columns)
    restored = termios.tcgetattr(slave) == before
    print(f"exit status {os.waitstatus_to_exitcode(status)}, the terminal is {'as it was' if restored else 'CHANGED'}")


main()
