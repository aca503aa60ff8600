"""original_way.py URL FIELDS COMMAND…: one board in the original tool's way, over a network port.

COMMAND is esptool, which writes the images and restarts the board. Then this script does what the original
firmware asks for: it waits for "Provisioning", sends the line FIELDS, waits for "Provisioned" and reads the
fields back. It adds no wait of its own, and is loaded before the clock starts.

Prints how many seconds COMMAND took, and how many all took.
"""
import subprocess
import sys
import time

import serial

PATIENCE = 30  # seconds


def line(port, end):
    """The next line that is not empty."""
    while time.monotonic() < end:
        text = port.readline().decode(errors="replace").strip()
        if text:
            return text
    raise SystemExit("the board says nothing more")


def hand_over(url, fields):
    end = time.monotonic() + PATIENCE
    port = serial.serial_for_url(url, baudrate=115200, timeout=1, do_not_open=True)
    port.dtr = port.rts = False  # the board goes on running
    port.open()
    while line(port, end) != "Provisioning":
        pass
    port.write((",".join(fields) + "\n").encode())
    shown = []
    while len(shown) < len(fields):
        text = line(port, end)
        if text.startswith("Key"):
            shown.append(text.split(": ", 1)[1])
    port.close()
    if shown != fields:
        raise SystemExit("the board read other fields back")


def main():
    url, fields, command = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr)
    flashed = time.monotonic()
    hand_over(url, fields)
    print(f"{flashed - begun:.2f} {time.monotonic() - begun:.2f}")


main()
