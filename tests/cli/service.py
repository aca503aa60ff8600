"""service.py KEYLINE: a station as a service manager runs it: what it is told, what the journal gets,
who may attach. Nothing here waits for a time; what does not come within 60 seconds is a failure."""
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

keyline = sys.argv[1]
folder = tempfile.mkdtemp(prefix="keyline-service-")
os.chdir(folder)
os.environ["KEYLINE_CONFIG"] = "none"
os.environ["XDG_STATE_HOME"] = folder + "/state"  # journals of keys: not those of other tests
PATIENCE = 60
children = []


def fail(text):
    for child in children:
        child.kill()
    sys.exit("FAILED: " + text)


def check(good, text):
    if not good:
        fail(text)


def until(what, look):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    fail("not seen: " + what)


def start_boards(count):
    boards = subprocess.Popen([keyline, "virtual", "--boards", str(count), "--listen", "127.0.0.1:0",
                               "--fault", "3:no_readback", "--control"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(boards)
    urls = []
    for line in boards.stdout:
        if line == "ready\n":
            return urls, boards
        urls.append(line.split()[2])
    fail("the virtual boards do not start")


def start_manager():
    """What the service manager is told, in order. It takes every word at once, as systemd does: a queue that is full
    makes the station drop what it says."""
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(folder + "/notify")
    said = []

    def take():
        while True:
            said.append(notify.recv(4096).decode())

    threading.Thread(target=take, daemon=True).start()
    return said


def start_station(urls):
    """The station and its journal."""
    journal = open("journal", "wb")
    at = os.fstat(journal.fileno())
    environment = dict(os.environ, NOTIFY_SOCKET=folder + "/notify", WATCHDOG_USEC="200000",
                       JOURNAL_STREAM="%d:%d" % (at.st_dev, at.st_ino))
    with open("bench.conf", "w") as config:
        config.write("csv-file = keys.csv\nfirmware = firmware.bin\nstub = none\nwarn-keys = 0\nretries = 0\nack-timeout = 1\n"
                     "on-result = env >hook.env\n")
        for url in urls:
            config.write("port = %s\n" % url)
    subprocess.run(["cp", keyline, "program"], check=True)
    station = subprocess.Popen(["./program", "--headless", "--config", "bench.conf", "--socket", folder + "/bench.socket"],
                               stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, env=environment)
    children.append(station)
    return station


def journal():
    with open("journal") as file:
        return file.read()


def complete(*words):
    return subprocess.run([keyline, "complete", "--", *words], capture_output=True, text=True, check=True).stdout


def can_attach(as_user):
    """Whether this user is sent the bench."""
    script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(60)\n"
              "s.connect(sys.argv[1])\nsys.exit(0 if b'hello' in s.recv(4096) else 1)")
    command = [sys.executable, "-c", script, folder + "/bench.socket"]
    return subprocess.run(as_user + command, stderr=subprocess.DEVNULL).returncode == 0


def main():
    with open("keys.csv", "w") as csv:
        csv.write("".join("dev-%d,aa0%d,bb0%d\n" % (n, n, n) for n in range(1, 5)))
    subprocess.run([keyline, "virtual", "--images", "."], check=True, stdout=subprocess.DEVNULL)
    urls, boards = start_boards(3)
    said = start_manager()
    station = start_station(urls)

    until("a word", lambda: said)
    check(said[0] == "READY=1", "the first word is " + said[0])
    until("the bench's status", lambda: "STATUS=3 slots, 3 with a board, 1 keys left, 1 FAIL" in said)
    until("both boards", lambda: journal().count("PASS") == 2)
    before = said.count("WATCHDOG=1")
    until("that they go on while the bench rests", lambda: said.count("WATCHDOG=1") >= before + 3)

    # The group may attach, and commands that know only the CSV get there too.
    mode = stat.S_IMODE(os.stat("bench.socket").st_mode)
    check(mode == 0o660, "the socket's mode is %o" % mode)
    check(os.readlink("keys.csv.socket") == folder + "/bench.socket", "no link beside the CSV")
    boards.stdin.write("unplug 3\n")
    boards.stdin.flush()
    until("the key in doubt", lambda: re.match("dev-[1-3]\t", complete("keys", "release", "")))
    # A person who waits for a completion waits no longer than half a second for the station.
    until("a label that is begun", lambda: re.match("dev-[1-3]\t", complete("keys", "release", "dev-")))
    check(complete("keys", "release", "x") == "", "a label that there is not")
    until("the MAC of a key in doubt", lambda: re.match("(..:){5}..\tdev-", complete("keys", "history", "--mac", "")))
    until("the station's ports", lambda: urls[0] in complete("--exclude", "rfc"))
    check(can_attach([]), "its own user can't attach")
    if os.geteuid() == 0:
        os.chmod(folder, 0o711)
        os.chown("bench.socket", 0, 65534)
        nobody = ["setpriv", "--reuid", "65534", "--clear-groups", "--regid"]
        check(can_attach(nobody + ["65534"]), "a member of the group can't attach")
        check(not can_attach(nobody + ["65533"]), "somebody else can attach")

    # An upgrade: the file is another one, the station goes on and says so, once.
    subprocess.run(["cp", keyline, "program.new"], check=True)
    os.rename("program.new", "program")
    until("that it is older", lambda: "was replaced by another version" in journal())
    os.utime("program")

    station.send_signal(signal.SIGTERM)
    until("that it stops", lambda: "STOPPING=1" in said)
    check(station.wait(PATIENCE) == 0, "it ends with %s" % station.returncode)
    lines = journal().splitlines()
    check(sum("was replaced" in line for line in lines) == 1, "it says more than once that it is older")
    for line in lines:
        check(line.startswith("<") or line.startswith("keys.csv") or line.startswith("firmware.bin") or
              line.startswith("flasher stubs") or line.startswith("  "), "no level: " + line)
    check(any(line.startswith("<6>") and "PASS" in line for line in lines), "PASS is no information")
    broken = subprocess.run([keyline, "--headless", "--config", "bench.conf", "--csv-file", "none.csv"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=open("journal", "r+b"),
                            env=dict(os.environ, JOURNAL_STREAM="%d:%d" % (os.stat("journal").st_dev,
                                                                           os.stat("journal").st_ino)))
    check(broken.returncode == 3, "it ends with %s" % broken.returncode)
    check(journal().startswith("<3>keyline: none.csv"), "no level of an error: " + journal()[:80])
    with open("hook.env") as file:
        environment = file.read()
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        check(name not in environment, "hooks are given " + name)


try:
    main()
finally:
    for child in children:
        child.kill()
    subprocess.run(["rm", "-rf", folder])
