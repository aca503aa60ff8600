"""A network port made of pyserial's own RFC 2217 server side, over the device named.

A pseudo-terminal has no modem lines, so they are kept here; every change is printed, as is the TCP
port at the start.
"""
import select
import socket
import sys

import serial
import serial.rfc2217


class Device(serial.Serial):
    cts = dsr = ri = cd = property(lambda self: False)

    def _update_dtr_state(self):
        print("dtr", int(self._dtr_state), flush=True)

    def _update_rts_state(self):
        print("rts", int(self._rts_state), flush=True)


class Connection:
    def __init__(self, sock):
        self.write = sock.sendall


def serve(device, sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    manager = serial.rfc2217.PortManager(device, Connection(sock))
    while True:
        ready, _, _ = select.select([sock, device.fd], [], [])
        if device.fd in ready:
            sock.sendall(b"".join(manager.escape(device.read(device.in_waiting or 1))))
        if sock in ready:
            data = sock.recv(4096)
            if not data:
                return
            device.write(b"".join(manager.filter(data)))


def main():
    device = Device()
    device.port = sys.argv[1]
    device.timeout = 0
    device.open()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("port", listener.getsockname()[1], flush=True)
        while True:
            sock, _ = listener.accept()
            with sock:
                try:
                    serve(device, sock)
                except ConnectionError:
                    pass


main()
