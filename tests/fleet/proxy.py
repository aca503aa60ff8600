"""proxy.py LISTEN TO [DELAY]: passes PostgreSQL's protocol on, and stops at a message.

LISTEN and TO are socket paths. Lines on stdin: "N": the next connection is cut when N messages have passed since
the server first said that it is ready, in either direction; "0" = never. The answer to each is a line on
stdout when that connection has ended: "cut PID", PID being the server's process, or "whole". DELAY: seconds that each
answer of the server takes longer.
"""
import os
import select
import socket
import struct
import sys
import time


class Side:
    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def frames(self, first):
        while True:
            head = 4 if first else 5
            if len(self.data) < head:
                return
            size = struct.unpack("!I", self.data[head - 4 : head])[0] + head - 4
            if len(self.data) < size:
                return
            frame, self.data = self.data[:size], self.data[size:]
            yield frame
            if first:
                return


def serve(client, server, limit, delay):
    sides = {client: Side(client), server: Side(server)}
    pid, ready, count, started = 0, False, 0, False
    while True:
        for sock in select.select([client, server], [], [])[0]:
            data = sock.recv(65536)
            if not data:
                return "whole"
            sides[sock].data += data
            other = server if sock is client else client
            if sock is server and delay and ready:
                time.sleep(delay)
            for frame in sides[sock].frames(sock is client and not started):
                started = started or sock is client
                if sock is server and frame[:1] == b"K":
                    pid = struct.unpack("!I", frame[5:9])[0]
                other.sendall(frame)
                if ready:
                    count += 1
                    if count == limit:
                        return f"cut {pid}"
                if sock is server and frame[:1] == b"Z":
                    ready = True


def main():
    listen, to = sys.argv[1:3]
    delay = float(sys.argv[3]) if len(sys.argv) > 3 else 0
    door = socket.socket(socket.AF_UNIX)
    door.bind(listen)
    os.chmod(listen, 0o777)
    door.listen(8)
    for line in sys.stdin:
        client, _ = door.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(to)
            print(serve(client, server, int(line), delay), flush=True)
        except OSError:
            print("whole", flush=True)
        # What the other end hears is an end without a word, once the script has done what it wants.
        if int(line) > 0:
            sys.stdin.readline()
        client.close()
        server.close()


main()
