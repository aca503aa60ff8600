"""blocks.py KEYLINE: every command block of every document is run as it stands there.

In a folder with what a reader would have: keys, images, events, a ledger. The station and its ports are
virtual; what needs other people's tools, root or minutes has a stand-in that knows what may be asked of it."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

keyline = os.path.abspath(sys.argv[1])
top = os.path.abspath(os.path.dirname(__file__) + "/../..")
work = tempfile.mkdtemp(prefix="keyline-docs-")
os.environ["XDG_STATE_HOME"] = work + "/here/state"
PATIENCE = 120
COMMANDS = (r"\$? ?(sudo |\./run |keyline(?!:)|build/release/keyline|jq |idf\.py |pio |arduino-cli |systemctl |install |"
            r"apt|cmake |git |printf |cat |cd |cp |mkdir |adduser |sqlite3 |journalctl |mosquitto|uhubctl |tests/|\.ci/)")
NOT_OURS = {"docs/esp-serial-protocol.md"}  # facts about others' programs


def documents():
    if os.path.exists(top + "/.git"):
        names = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard", "*.md", "*.scd"],
                               capture_output=True, text=True, check=True).stdout.split()
    else:
        names = [os.path.relpath(os.path.join(folder, name), top) for folder, _, files in os.walk(top)
                 for name in files if name.endswith((".md", ".scd")) and "/build" not in folder]
    return sorted(set(names) - NOT_OURS)


def blocks(name):
    """The blocks of code of a document: line number and lines."""
    block, fenced, number = [], False, 0
    for at, line in enumerate(open(top + "/" + name, encoding="utf-8"), 1):
        fence = re.match(r"\s*```", line)
        inside = (fenced and not fence) or (not fenced and name.endswith(".md") and re.match(r" {4}\S", line))
        if inside:
            number = number or at
            block.append(line.rstrip("\n"))
        elif block:
            yield number, block
            block, number = [], 0
        if fence:
            fenced = not fenced
    if block:
        yield number, block


def stand_in(name, script):
    path = work + "/bin/" + name
    with open(path, "w") as file:
        file.write("#!/bin/bash\n" + script)
    os.chmod(path, 0o755)


def free_ports(count):
    """Below those that the kernel gives to whoever asks for any: no other test takes them meanwhile."""
    ports = set()
    while len(ports) < count:
        port = random.randrange(12000, 30000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
            ports.add(port)
        except OSError:
            pass
    return list(ports)


def make_stand_ins():
    """What a reader has, or what would take too long, or the rights of root."""
    verbs = subprocess.run([top + "/run", "help"], capture_output=True, text=True, check=True).stdout
    known = " ".join(re.findall(r"^  ([a-z-]+)  ", verbs, re.M))
    # A station without a network port works on a virtual board, once; whatever else it is told stays.
    stand_in("keyline", r"""
for word; do case $word in attach) exec "%(k)s" "$@" --help ;; esac; done
case $* in
"nvs "*" --port /dev/ttyUSB0"*) # a board that has been keyed
    "%(k)s" --firmware bins --deliver nvs --headless --once --port "$KEYLINE_TEST_PORT" >/dev/null 2>&1 || exit
    for at in $(seq $#); do
        word=$1
        shift
        set -- "$@" "${word/#\/dev\/ttyUSB0/$KEYLINE_TEST_PORT}"
    done
    exec "%(k)s" "$@"
    ;;
"nvs "*) exec "%(k)s" "$@" ;;
"pool "* | "fleet "*) # no database is here: what is typed is understood, and then it is not reached
    "%(k)s" "$@"
    status=$?
    [ $status = 3 ] && status=0
    exit $status
    ;;
esac
for word; do
    case $word in
    keys | ports | check | chip | config | doctor | demo | virtual | verify | complete | help | --help | --version | --list-faults | -V)
        "%(k)s" "$@"
        status=$?
        [ "$word$status" = doctor1 ] && status=0 # what it says depends on this machine
        exit $status
        ;;
    esac
done
case " $* " in
*" --prompt "*) exec "%(k)s" check "$@" ;; # for firmware with words of its own: no virtual board has it
*" rfc2217://"*) exec "%(k)s" "$@" ;;
*) exec "%(k)s" "$@" --headless --once --port "$KEYLINE_TEST_PORT" ;;
esac
""" % {"k": keyline})
    stand_in("run", r"""
verb=$1
case " %s " in *" $verb "*) ;; *) echo "./run has no verb $verb" >&2; exit 1 ;; esac
for word; do case $word in unit.test_pool) [ -e %s/tests/unit/test_pool.c ] || exit 1 ;; esac; done
""" % (known, top))
    stand_in("sudo", 'exec "$@"\n')
    stand_in("systemctl", 'for word; do :; done; case $word in keyline@*) ;; *) exit 1 ;; esac\n')
    stand_in("adduser", '[ $# = 2 ] && [ "$2" = keyline ]\n')
    stand_in("apt", '[ "$1" = install ] && [ -e %s/src/packaging/debian/control ]\n' % top)
    stand_in("install", 'words=("$@"); grep -q "^u keyline" %s/src/packaging/systemd/keyline.sysusers && case "$*" in '
                        '*"-o keyline -g keyline"*" /var/lib/keyline/bench") ;; *) exec /usr/bin/install "$@" ;; esac\n' % top)
    # What is sent to networks has to be JSON, with the keys in their place.
    stand_in("curl", 'case "$*" in */api/devices) jq -e .device.devEui ;; */api/devices/????????????????/keys) '
                     'jq -e .deviceKeys.nwkKey ;; *) exit 1 ;; esac >/dev/null\n')
    stand_in("aws", '[ "$1 $2" = "iotwireless create-wireless-device" ] && jq -e .LoRaWAN.OtaaV1_0_x.AppKey >/dev/null\n')
    stand_in("lp", 'cat >>lp.printed\n')
    # Toolchains: what they leave, by the names that they give.
    stand_in("pio", '[ "$1 $2" = "run -e" ] && grep -q "^\\[env:$3\\]" %s/firmware/arduino/platformio.ini && '
                    'mkdir -p ".pio/build/$3" && cp bins/*.bin ".pio/build/$3"\n' % top)
    stand_in("arduino-cli", r"""
for sketch; do :; done
[ "$1" = compile ] && [ -e %s/firmware/arduino/$sketch/$sketch.ino ] || exit 1
out=$sketch/build/esp32.esp32.esp32
mkdir -p "$out" && cp bins/firmware.bin "$out/$sketch.ino.bin" && cp bins/bootloader.bin "$out/$sketch.ino.bootloader.bin" &&
    cp bins/partitions.bin "$out/$sketch.ino.partitions.bin"
""" % top)
    stand_in("idf.py", r"""
[ "$1" = set-target ] && exit 0
[ "$1" = build ] || exit 1
mkdir -p build/bootloader build/partition_table
cp bins/firmware.bin build/app.bin && cp bins/bootloader.bin build/bootloader && cp bins/partitions.bin build/partition_table/partition-table.bin
cat >build/flasher_args.json <<'END'
{"flash_settings": {"flash_mode": "dio", "flash_size": "4MB", "flash_freq": "40m"},
 "flash_files": {"0x1000": "bootloader/bootloader.bin", "0x10000": "app.bin", "0x8000": "partition_table/partition-table.bin"},
 "extra_esptool_args": {"chip": "esp32"}}
END
""")


def make_reader():
    """The folder of somebody who has read on: one key is spent, one is reserved, others are free."""
    folder = work + "/here"
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    os.chdir(folder)
    os.mkdir("bins")
    for where in (".", "bins"):
        subprocess.run([keyline, "virtual", "--images", where], check=True, stdout=subprocess.DEVNULL)
    with open("keys.csv", "w") as file:
        file.write("".join("sensor-%04d,%032x,%032x\n" % (n, n, n + 999) for n in range(1, 40)))
    for faults, status, patience in (("no_readback", 1, "1"), ("slow=1", 0, "60")):
        (port,) = free_ports(1)
        boards = start_boards(port, "--fault", faults, "--mac", "24:6f:28:00:0%d:01" % status)
        subprocess.run([keyline, "--headless", "--once", "--retries", "0", "--stub", "none", "--ack-timeout", patience, "--events",
                        "events.json", "--port", "rfc2217://127.0.0.1:%d" % port], stdout=subprocess.DEVNULL)
        stop(boards)
    os.makedirs("build/release")
    os.symlink(work + "/bin/keyline", "build/release/keyline")
    os.symlink(work + "/bin/run", "run")
    os.chdir(work)
    return set(os.listdir(folder))


def make_lorawan(folder):
    """A list of LoRaWAN devices in place of the reader's; one board has its key. And a pair of keys to sign with."""
    with open(folder + "/keys.csv", "w") as file:
        file.write("label,DevEUI,JoinEUI,AppKey\n")
        file.write("".join("node-%d,%016X,70B3D57ED0000000,%032X\n" % (n, n + 2 ** 62, n + 99) for n in range(1, 9)))
    (port,) = free_ports(1)
    boards = start_boards(port, "--mac", "24:6f:28:00:aa:01")
    subprocess.run([keyline, "--headless", "--once", "--csv-header", "--volatile", "--port", "rfc2217://127.0.0.1:%d" % port],
                   cwd=folder, stdout=subprocess.DEVNULL)
    stop(boards)
    subprocess.run([keyline, "keys", "sign-key", "-o", "maker", "--no-password"], cwd=folder, stdout=subprocess.DEVNULL)


def start_boards(port, *more):
    boards = subprocess.Popen([keyline, "virtual", "--listen", "127.0.0.1:%d" % port, *more], stdout=subprocess.PIPE, text=True)
    while boards.stdout.readline() != "ready\n":
        if boards.poll() is not None:
            raise SystemExit("FAILED: the virtual boards do not start")
    return boards


def stop(process):
    process.terminate()
    process.wait()


def as_script(lines):
    text = "\n".join(re.sub(r"^\s*\$ ", "", line) for line in lines)
    return text.replace("LABEL", "sensor-0001").replace("/var/lib/prometheus/node-exporter/", "").replace(
        "/usr/share/keyline/hooks", top + "/src/packaging/hooks")


def run(name, number, lines):
    """A ledger knows its file, so the folder is no copy: it is cleared of what a block built, and made anew after a
    block that says something about the keys."""
    folder = work + "/here"
    if not os.path.exists(folder):
        run.names = make_reader()
    for name_here in set(os.listdir(folder)) - run.names:
        shutil.rmtree(folder + "/" + name_here, ignore_errors=True)
        if os.path.lexists(folder + "/" + name_here):
            os.unlink(folder + "/" + name_here)
    for_nvs = any("--deliver nvs" in line or "keyline nvs" in line for line in lines)
    for_lorawan = any("keys export" in line or "keys lint --csv-header" in line for line in lines)
    if for_nvs or for_lorawan or any(">keys.csv" in line for line in lines):  # new keys: no ledger of others beside them
        for name_here in os.listdir(folder):
            if name_here.startswith("keys.csv"):
                os.unlink(folder + "/" + name_here)
    if for_nvs:
        with open(folder + "/keys.csv", "w") as file:
            file.write("label,provision/key1:string,provision/done:u8=1\ndev-1,correct horse\ndev-2,battery staple\n")
    if for_lorawan:
        make_lorawan(folder)
    own, first, second = free_ports(3)
    script = as_script(lines).replace("127.0.0.1:4000", "127.0.0.1:%d" % first).replace("127.0.0.1:4001", "127.0.0.1:%d" % second)
    # Boards are served on one port after the other.
    if "virtual --boards" in script:
        script = re.sub(r"virtual --boards \d+ --listen 127.0.0.1:%d" % first,
                        "virtual --boards 1 --listen 127.0.0.1:%d & keyline virtual --boards 1 --mac 24:6f:28:aa:00:01 --listen 127.0.0.1:%d"
                        % (first, second), script)
        script = script.replace("keyline --headless", "wait_for_boards; keyline --headless", 1)
    wait = ("wait_for_boards() { for p in %d %d; do until (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null; do sleep 0.05; done; done; }\n"
            % (first, second))
    boards = start_boards(own, "--mac", "24:6f:28:bb:00:01")
    environment = dict(os.environ, PATH=work + "/bin:" + os.environ["PATH"], HOME=folder, USER="me",
                       KEYLINE_TEST_PORT="rfc2217://127.0.0.1:%d" % own, KEYLINE_STUB="none", KEYLINE_WARN_KEYS="0")
    environment.pop("KEYLINE_CONFIG", None)
    with open(work + "/said", "w+") as said:
        shell = subprocess.Popen(["bash", "-euo", "pipefail", "-c", wait + script], cwd=folder, env=environment,
                                 stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            shell.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()
        stop(boards)
        if for_nvs or for_lorawan or any("keys.csv" in line or "keys release" in line for line in lines):
            shutil.rmtree(folder)
        said.seek(0)
        if shell.returncode != 0:
            print("FAILED: %s:%d ends with %s:\n%s\n-- it says:\n%s" % (name, number, shell.returncode, script, said.read()))
    return shell.returncode == 0


def main():
    os.mkdir(work + "/bin")
    make_stand_ins()
    ran, good = 0, True
    for name in documents():
        for number, lines in blocks(name):
            if not any(re.match(r"\s*" + COMMANDS, line) for line in lines):
                continue
            ran += 1
            good &= run(name, number, lines)
    print("%d blocks of commands in %d documents" % (ran, len(documents())))
    if ran < 20:
        sys.exit("FAILED: too few blocks are found")
    sys.exit(0 if good else 1)


try:
    main()
finally:
    os.chdir("/")
    shutil.rmtree(work, ignore_errors=True)
