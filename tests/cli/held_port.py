"""held_port.py KEYLINE: another program holds a port, and lets it go: its board has its turn without a key pressed.
Nothing here waits for a time; what does not come within 60 seconds is a failure."""
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading

keyline = sys.argv[1]
folder = tempfile.mkdtemp(prefix="keyline-held-")
os.chdir(folder)
os.environ["KEYLINE_CONFIG"] = "none"
os.environ["XDG_STATE_HOME"] = folder + "/state"  # journals of keys: not those of other tests

with open("keys.csv", "w") as csv:
    csv.write("dev-1,aa01,bb01\n")
subprocess.run([keyline, "virtual", "--images", "."], check=True, stdout=subprocess.DEVNULL)
master, slave = pty.openpty()
port = os.ttyname(slave)
os.close(slave)
holder = subprocess.Popen([sys.executable, "-c", "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); "
                           "print(flush=True); sys.stdin.read()", port],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
holder.stdout.readline()
station = subprocess.Popen([keyline, "--headless", "--events", "-", "--csv-file", "keys.csv", "--firmware",
                            "firmware.bin", "--stub", "none", "--retries", "0", "--port", port],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
watch = threading.Timer(60, station.kill)
watch.start()
said = []
failed = freed = began = False
for line in station.stdout:
    said.append(line)
    event = json.loads(line) if line.startswith("{") else {}
    if event.get("reason") == "port_busy" and not failed:
        failed = True
        holder.stdin.close()
        holder.wait()
    freed = freed or "has let the port go" in line
    if freed and event.get("state") == "connecting":
        began = True
        station.terminate()
watch.cancel()
station.wait()
holder.kill()
os.close(master)
subprocess.run(["rm", "-rf", folder], check=True)
if not began:
    sys.exit("FAILED: held: %s, let go: %s, begun: %s\n%s" % (failed, freed, began, "".join(said)))
