"""stalled.py FLAG COMMAND…: runs it on a terminal, reads a little, then nothing more."""
import fcntl
import os
import pty
import signal
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm-256color"
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
seen = b""
while b"KEYS LEFT" not in seen:
    seen += os.read(terminal, 256)
open(sys.argv[1], "w").close()
signal.pause()
