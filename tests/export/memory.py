#!/usr/bin/env python3
"""memory.py KEYLINE: an export that is stopped while it holds keys, with its station not answering.

What a core image of it would hold has no key; killed in that instant, it leaves no file and no record."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

keyline = os.path.abspath(sys.argv[1])
SECRET = b"5ec4e7000102030405060708"
PATIENCE = 60
work = tempfile.mkdtemp(prefix="keyline-export-")
os.chdir(work)
os.environ.update(HOME=work, XDG_STATE_HOME=work + "/state")
started = []


def start(*words, **more):
    process = subprocess.Popen([keyline, *words], stdin=subprocess.DEVNULL, **more)
    started.append(process)
    return process


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("FAILED: " + what)
        time.sleep(0.02)


def maps_of(pid):
    """Ranges that a core image would hold: readable, and not marked as left out ("dd")."""
    with open("/proc/%d/smaps" % pid) as file:
        for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", file.read()):
            first = block.split("\n")[0]
            flags = re.search(r"^VmFlags: (.*)$", block, re.M)
            if " r" in first and "[vvar" not in first and "[vsyscall]" not in first:
                begin, end = first.split()[0].split("-")
                yield int(begin, 16), int(end, 16), flags and " dd" in " " + flags.group(1), first


def found_in(pid):
    shown, hidden = [], 0
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for begin, end, left_out, name in maps_of(pid):
            try:
                memory.seek(begin)
                text = memory.read(end - begin).lower()
            except (OSError, OverflowError, ValueError):
                continue
            if SECRET in text and left_out:
                hidden += 1
            elif SECRET in text:
                shown.append(name)
    return shown, hidden


def run():
    subprocess.run([keyline, "virtual", "--images", "."], check=True, stdout=subprocess.DEVNULL)
    with open("keys.csv", "w") as file:
        file.write("label,DevEUI,JoinEUI,AppKey\n")
        for n in range(1, 4):
            file.write("node-%d,70B3D57ED000000%d,70B3D57ED0000000,%s090A0B0%d\n" % (n, n, SECRET.decode(), n))
    boards = start("virtual", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, text=True)
    port = None
    for line in boards.stdout:
        port = port or next(iter(re.findall(r"rfc2217://\S+", line)), None)
        if line == "ready\n":
            break
    with open("station.txt", "w") as said:
        station = start("--headless", "--firmware", "firmware.bin", "--csv-header", "--volatile", "--port", port,
                        stdout=said, stderr=said)
    until("no board passes", lambda: "PASS" in open("station.txt").read())
    station.send_signal(signal.SIGSTOP)
    export = start("keys", "export", "--csv-header", "--as", "tts", "--secrets", "-o", "out.csv",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def has_its_file():
        """It waits for the station once the text is written, and the socket is open."""
        if export.poll() is not None:
            sys.exit("FAILED: the export did not wait for its station")
        try:
            links = [os.readlink("/proc/%d/fd/%s" % (export.pid, fd)) for fd in os.listdir("/proc/%d/fd" % export.pid)]
        except PermissionError:
            print("SKIPPED: this user may not look into a process")
            sys.exit(77)
        except FileNotFoundError:
            return False
        return any(link.startswith(work) and ("deleted" in link or link.endswith(".new")) for link in links) and any(
            link.startswith("socket:") for link in links)

    until("the export does not come to its station", has_its_file)
    export.send_signal(signal.SIGSTOP)
    named = any(name.endswith(".new") for name in os.listdir("."))  # a file system where every file has a name
    if os.path.lexists("out.csv"):
        sys.exit("FAILED: the file has its name before the export is recorded")
    try:
        shown, hidden = found_in(export.pid)
    except PermissionError:
        print("SKIPPED: this user may not look into a process")
        sys.exit(77)
    if not hidden:
        sys.exit("FAILED: it holds no key at all: this test proves nothing")
    if shown:
        sys.exit("FAILED: a core image would hold keys:\n" + "\n".join(shown))
    export.send_signal(signal.SIGKILL)
    export.wait()
    left = [name for name in os.listdir(".") if name.startswith("out.csv") and not (named and name.endswith(".new"))]
    if left:
        sys.exit("FAILED: it leaves %s" % left)
    station.send_signal(signal.SIGCONT)
    print("a key was in %d places, all of them left out of core images" % hidden)


try:
    run()
finally:
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()
    os.chdir("/")
    shutil.rmtree(work, ignore_errors=True)
