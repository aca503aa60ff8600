"""traffic.py FOLDER COMMAND…: runs a dashboard on a terminal of 60x200 and counts what it is sent.

Busy: 16 places, in which each board that has its key is replaced, until 40 have theirs; the
mean has to stay under 20 KB/s. At rest: a span of three seconds without a byte and without the
dashboard's process using any time has to come.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

LIMIT = 20000
ENOUGH = 40  # a machine with much else to do may fail one
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm-256color"
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
seen = b""


def take(seconds):
    """Bytes that came within that time."""
    global seen
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            data = os.read(terminal, 65536)
            count += len(data)
            seen = (seen + data)[-200000:]
    return count


def used(of):
    """Ticks of processor time of a process and its children, without the station."""
    total = 0
    for each in os.listdir("/proc"):
        try:
            fields = open("/proc/%s/stat" % each).read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == of:  # the session
            total += int(fields[11]) + int(fields[12])
    return total


def expect(text):
    while text not in seen:
        take(0.1)


expect(b"KEYS LEFT")
seconds = []
control = open(sys.argv[1] + "/control", "w", buffering=1)
told = open(sys.argv[1] + "/boards")
stored = 0
while stored < ENOUGH and len(seconds) < 200:
    seconds.append(take(1))
    for line in told:
        words = line.split()
        if words[0] == "event" and words[2] == "stored":
            stored += 1
            if stored <= 32:
                control.write("replace %s\n" % words[1])
if stored < ENOUGH:
    sys.exit("FAILED: only %d boards got their keys" % stored)
mean = sum(seconds) / len(seconds)
print("busy: %.0f bytes/s; second by second: %s" % (mean, seconds))
if mean >= LIMIT:
    sys.exit("FAILED: more than %d bytes/s" % LIMIT)
for _ in range(10):
    ticks, count = used(pid), take(3)
    ticks = used(pid) - ticks
    print("at rest: %d bytes, %d ticks in 3 s" % (count, ticks))
    if count == 0 and ticks <= 1:
        sys.exit(0)
sys.exit("FAILED: a bench at rest costs something")
