"""hooks.py FOLDER [POSTGRESQL-BIN]: each recipe for --on-result with every kind of result, against the real
counterpart where it is installed."""
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading

hooks = sys.argv[1]
folder = tempfile.mkdtemp(prefix="keyline-hooks-")
path = folder + "/bin:" + os.environ["PATH"]
os.mkdir(folder + "/bin")

DONE = {"time": "2026-05-01T12:30:45.123Z", "event": "result", "slot": "A1", "port": "/dev/ttyUSB0",
        "mac": "24:6f:28:01:02:03", "result": "done", "label": "sensor-0001", "seconds": 7.2, "tries": 1}
AGAIN = dict(DONE, already=True, time="2026-05-01T12:31:45.123Z")
FAILED = {"time": "2026-05-01T12:32:45.123Z", "event": "result", "slot": "1-1.4/+#", "result": "failed",
          "reason": "no_sync", "what": "the chip does not answer", "detail": "it's \"quiet\"; $(x) `y` \\ %s", "tries": 6}
SKIPPED = {"time": "2026-05-01T12:33:45.123Z", "event": "result", "slot": "A2", "result": "skipped"}
ODD = dict(DONE, label="a^XZ^XA~\"'$(x)_é,1", time="2026-05-01T12:34:45.123Z")


def check(good, text):
    if not good:
        sys.exit("FAILED: " + text)


def run(hook, event, *words, status=0, **more):
    got = subprocess.run([hooks + "/" + hook, *words], input=json.dumps(event) + "\n", text=True,
                         capture_output=True, env=dict(os.environ, PATH=path), timeout=600, **more)
    check(got.returncode == status, "%s %s ends with %d: %s" % (hook, words, got.returncode, got.stderr))
    return got.stdout


def stand_in(name, script):
    """A program of this name that writes down how it was called."""
    with open(folder + "/bin/" + name, "w") as file:
        file.write("#!/bin/sh\n" + script)
    os.chmod(folder + "/bin/" + name, 0o755)


def said(name):
    try:
        with open(folder + "/" + name) as file:
            text = file.read()
        os.unlink(folder + "/" + name)
        return text
    except FileNotFoundError:
        return ""


def label_printer():
    """Port 9100: what one connection sends."""
    listener = socket.create_server(("127.0.0.1", 0))
    got = []

    def serve():
        peer, _ = listener.accept()
        while True:
            data = peer.recv(4096)
            if not data:
                break
            got.append(data)
        peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], thread, got


def zpl():
    for event, words in ((DONE, ()), (AGAIN, ("--again",)), (ODD, ())):
        port, thread, got = label_printer()
        run("zpl-label", event, "--printer", "127.0.0.1:%d" % port, *words)
        thread.join(60)
        text = b"".join(got).decode()
        check(text.startswith("^XA") and text.endswith("^XZ\n") and text.count("^XA") == 1 and text.count("^XZ") == 1,
              "no label: " + text)
        check("24:6f:28:01:02:03" in text, "no MAC: " + text)
        check(event is ODD or "QA,sensor-0001^FS" in text, "no label: " + text)
    check("a_5EXZ_5EXA_7E_22_27_24_28x_29_5F?_2C1" in text, "the label is not quoted: " + text)
    # Nothing is printed, and no printer is asked, for what is not a new board that passed.
    for event in (FAILED, SKIPPED, AGAIN):
        run("zpl-label", event, "--printer", "127.0.0.1:1")
    run("zpl-label", DONE, "--printer", "127.0.0.1:1", status=1)
    stand_in("lp", 'echo "$@" >%s/lp.words; cat >%s/lp.input\n' % (folder, folder))
    run("zpl-label", DONE, "--lp", "labels")
    check(said("lp.words") == "-s -d labels -o raw -\n", "lp is called otherwise")
    check("sensor-0001" in said("lp.input"), "lp is given no label")
    run("zpl-label", DONE, status=2)


def gpio():
    for version, expected in (("gpioset (libgpiod) v1.6.3", "--mode=time --sec=2 gpiochip0 %d=1\n"),
                              ("gpioset (libgpiod) v2.2", "--chip gpiochip0 --toggle 2s,0 %d=1\n")):
        stand_in("gpioset", 'if [ "$1" = --version ]; then echo "%s"; else echo "$@" >%s/gpio; fi\n' % (version, folder))
        for event, pin in ((DONE, 17), (FAILED, 27), (SKIPPED, 0)):
            run("gpio-lights", event, "--green", "17", "--red", "27")
            check(said("gpio") == (expected % pin if pin else ""), "gpioset is called otherwise")
    real = shutil.which("gpioset")
    if real:  # the options that are used exist
        version = subprocess.run([real, "--version"], capture_output=True, text=True).stdout
        help_text = subprocess.run([real, "--help"], capture_output=True, text=True).stdout
        wanted = ("--mode", "--sec") if " v1." in version else ("--chip", "--toggle")
        check(all(word in help_text for word in wanted), "gpioset has other options")


def mqtt():
    stand_in("mosquitto_pub", 'echo "$@" >%s/mqtt.words; cat >%s/mqtt.input\n' % (folder, folder))
    run("mqtt", FAILED, "--host", "broker", "--", "-u", "me")
    check(said("mqtt.words") == "-h broker -p 1883 -q 1 -t keyline/results/1-1.4___ -s -u me\n", "mosquitto_pub is called otherwise")
    check(json.loads(said("mqtt.input")) == FAILED, "the event is changed")
    os.unlink(folder + "/bin/mosquitto_pub")
    broker, subscriber = shutil.which("mosquitto") or "/usr/sbin/mosquitto", shutil.which("mosquitto_sub")
    if not (os.path.exists(broker) and subscriber):
        print("mosquitto is not installed: tried with a stand-in only")
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    server = subprocess.Popen([broker, "-p", port], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if subprocess.run([hooks + "/mqtt", "--host", "127.0.0.1", "--port", port, "--", "-r"], text=True,
                              input=json.dumps(ODD), stderr=subprocess.DEVNULL).returncode == 0:
                break
        got = subprocess.run([subscriber, "-h", "127.0.0.1", "-p", port, "-t", "keyline/results/+", "-C", "1"],
                             capture_output=True, timeout=600)
        check(json.loads(got.stdout) == ODD, "the broker has something else")
    finally:
        server.kill()
        server.wait()


def postgresql():
    binaries = sys.argv[2] if len(sys.argv) > 2 else ""
    if not binaries:
        print("PostgreSQL is not installed: not tried")
        return
    os.chmod(folder, 0o755)
    data = folder + "/data"
    os.mkdir(data)
    prefix = []
    if os.geteuid() == 0:
        shutil.chown(data, "nobody")
        prefix = ["setpriv", "--reuid", "nobody", "--clear-groups"]
    subprocess.run(prefix + [binaries + "/initdb", "-D", data, "-U", "bench", "-A", "trust", "-N"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(prefix + [binaries + "/pg_ctl", "-D", data, "-w", "-l", data + "/log", "-o",
                             "-c listen_addresses='' -c unix_socket_directories=%s -c fsync=off" % data, "start"],
                   check=True, stdout=subprocess.DEVNULL)
    where = "host=%s user=bench dbname=postgres" % data
    try:
        run("postgresql", {}, "--create", where)
        run("postgresql", {}, "--create", where)
        events = (DONE, AGAIN, FAILED, SKIPPED, ODD, DONE)
        for event in events:
            run("postgresql", event, where)
        rows = subprocess.run(["psql", "-At", where, "-c", "SELECT event FROM keyline_results ORDER BY time"],
                              capture_output=True, text=True, check=True).stdout.splitlines()
        check([json.loads(row) for row in rows] == list(events[:5]), "the table holds something else")
        labels = subprocess.run(["psql", "-At", where, "-c", "SELECT label FROM keyline_results WHERE result = 'failed'"],
                                capture_output=True, text=True, check=True).stdout
        check(labels == "\n", "a failed board has a label")
        run("postgresql", DONE, "--table", "x; drop", where, status=2)
    finally:
        subprocess.run(prefix + [binaries + "/pg_ctl", "-D", data, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL)


def usb_power():
    stand_in("uhubctl", 'echo "$@" >>%s/uhubctl\n' % folder)
    silent = {"event": "power", "slot": "1-1.4.2", "port": "/dev/ttyUSB0", "text": "silent"}

    def asked(event, *words, **expected):
        run("usb-power", event, *words, **expected)
        return said("uhubctl")

    check(asked(silent) == "-l 1-1.4 -p 2 -a cycle -d 2\n", "uhubctl is called otherwise")
    check(asked(dict(silent, slot="2-3"), "--seconds", "1") == "-l 2 -p 3 -a cycle -d 1\n", "a socket of the root hub")
    check(asked(silent) != "", "the second time")
    for event in (FAILED, DONE, SKIPPED):
        check(asked(event) == "", "for what is no silent board: %s" % event)
    check(asked(dict(silent, slot="127.0.0.1:4000"), status=1) == "", "for a network port")
    real = shutil.which("uhubctl", path=os.environ["PATH"] + ":/usr/sbin")
    if real:
        help_text = subprocess.run([real, "-h"], capture_output=True, text=True)
        help_text = help_text.stdout + help_text.stderr
        check(all(word in help_text for word in ("-l", "-p", "-a", "-d", "cycle")), "uhubctl has other options")


try:
    for name in sorted(os.listdir(hooks)):
        if not name.endswith(".md"):
            check(os.stat(hooks + "/" + name).st_mode & stat.S_IXUSR, name + " can't be run")
            check("usage: " + name in run(name, {}, "--help"), name + " has no help")
            run(name, DONE, "--nonsense", status=2)
    zpl()
    gpio()
    usb_power()
    mqtt()
    postgresql()
finally:
    shutil.rmtree(folder, ignore_errors=True)
