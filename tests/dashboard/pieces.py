"""pieces.py EVENTS COMMAND...: text and random bytes, in pieces, into every screen of a
dashboard on a terminal of its own. No board may change, nothing may be answered.

Without Ctrl-C, Ctrl-Z and Ctrl-\\: the terminal makes signals of them, wherever they come from, and the dashboard
leaves as it should. The station does not notice.
"""
import json
import os
import pty
import random
import select
import sys
import time

SCREENS = [b"", b"\r", b"l", b"K", b"?", b"i", b"w", b"e", b"q", b"n", b"/", b"b", b"x"]
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm-256color"
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b""


def take(seconds):
    """False if the dashboard is gone."""
    global seen
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                seen = (seen + os.read(terminal, 65536))[-200000:]
            except OSError:
                return False
    return True


def send(data, largest):
    """No piece is so short that, after and before a pause of this machine, hands could have typed it: tests/unit/test_input.c
    has those, with times handed in."""
    least = largest // 2
    while data:
        size = random.randint(least, largest)
        if len(data) - size < least:
            size = len(data)
        os.write(terminal, data[:size])
        data = data[size:]
        if not take(0.001):
            sys.exit("FAILED: the dashboard ended")


def deeds():
    """What happened on the bench, without what boards print, and what the station says of a slow disk."""
    return [line for line in open(sys.argv[1]) if json.loads(line)["event"] not in ("log", "station")]


while b"KEYS LEFT" not in seen:
    if not take(0.1):
        sys.exit("FAILED: no dashboard")
before = len(deeds())
seed = random.randrange(1 << 32)
print("seed", seed)
random.seed(seed)
text = (b"keyline keys status e3 y stop\rR r s p x 1 2 3\n" * 300)[:10000]
for screen in SCREENS:
    for data, largest in ((text, 400), (random.randbytes(10000).translate(None, b"\x03\x1a\x1c"), 200)):
        os.write(terminal, screen)
        take(0.25)
        send(data, largest)
        take(0.3)
        os.write(terminal, b"\x1b")
        take(0.25)
        os.write(terminal, b"\x1b")
        take(0.25)
    if deeds()[before:]:
        sys.exit("FAILED on screen %r:\n%s" % (screen, "".join(deeds()[before:])))
os.write(terminal, b"\x03")
while b"The station goes on, 0 boards at work" not in seen and take(0.1):
    pass
if b"The station goes on, 0 boards at work" not in seen:
    sys.exit("FAILED: no last words")
