"""A raw TCP port that sends what a board must not be able to do to a terminal, in lines of the kind
that is shown whoever says them (src/core/harmless.c)."""
import socket
import threading
import time

RUBBISH = (
    b"I (1) boot: gotcha \x1b[2J\x1b[H\x1b[?1049l\x1b[31;45m red\r\n"
    b"I (2) boot: \x1b]0;pwned\x07\x1b]2;pwned\x1b\\ title \x9b2J\x9d0;pwned\x9c\r\n"
    b"I (3) boot: \x1b[?25h\x1bc\x07\x07\x0e shifted \x0f\x08\x08\x08\x7f\r\n"
    + "I (4) boot: 日本語 wide é combining e\u0301 \u202e turned \u200b gotcha\r\n".encode()
    + b"I (5) boot: \xff\xfe\xc0\x80\xf4\x90\x80\x80 not UTF-8 \x00\x01\x02 gotcha\r\n"
    + b"I (6) boot: " + b"no end " * 400
    + b"\r\n"
)


def serve(peer):
    try:
        while True:
            peer.sendall(RUBBISH)
            time.sleep(0.2)
    except OSError:
        peer.close()


listener = socket.create_server(("127.0.0.1", 0))
print("socket://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
