#!/bin/sh
# doctor.sh FOLDER: `keyline doctor` in the guest, on a host with everything wrong, then with
# keyline's udev rules under a real udevd; at last a plain user runs the bench. Boards are plugged
# in: an FT232R and a CP2102N.
folder=$1
trap 'kill -9 $(jobs -p) 2>/dev/null; udevadm control --exit' EXIT

fails() {
    echo "doctor: WRONG: $*"
    exit 1
}

# asks USER: as this user, into $folder/said; its exit status.
asks() {
    su "$1" -c "keyline doctor --csv-file $folder/keys.csv" >"$folder/said" 2>&1
    status=$?
    cat "$folder/said"
    return $status
}

# said VERDICT CHECK TEXT
said() {
    grep "^$1  *$2 " "$folder/said" | grep -q "$3" || fails "not said: $1 $2 $3"
}

advised() {
    grep -q -e "-> .*$1" "$folder/said" || fails "no advice: $1"
}

# A program of this name that does nothing.
pretend() {
    printf '#!/bin/sh\nwhile :; do sleep 1; done\n' >"/bin/$1"
    chmod +x "/bin/$1"
    "$1" &
}

# ---- everything wrong ---------------------------------------------------------------------------

chmod 600 /dev/ttyUSB*
pretend ModemManager
pretend brltty
getty -L 115200 ttyUSB1 &
getty=$!
# Once a board has said something, it is the login program that has the port.
waited=0
until [ "$(cat "/proc/$getty/comm")" = login ]; do
    [ "$waited" -lt 300 ] || fails "no login prompt on ttyUSB1"
    waited=$((waited + 1))
    sleep 1
done
echo '<4>usb usb1-port2: over-current condition' >/dev/kmsg

asks pi && fails "pi is told that all is well"
said fine ports '2 ports would be used'
said trouble groups 'no permission to open /dev/ttyUSB'
advised 'usermod -aG dialout'
said trouble getty 'a login prompt runs on ttyUSB1'
advised 'disable --now serial-getty@ttyUSB1'
said trouble modemmanager 'opens every new port'
said trouble brltty 'takes CH340'
said note latency '1 adapters hold bytes back'
said fine drivers 'Linux 6'
said unknown kernel_log "can't be read by this user"
said trouble disk 'memory'
said fine disk_space 'MiB are free'
said note clock 'not synchronised'

asks root && fails "root is told that all is well"
said fine groups 'root may open every port'
said trouble kernel_log 'over-current (1 times'
advised 'powered hub'

# ---- put right, by udev -------------------------------------------------------------------------

kill -9 "$getty"
[ -x /bin/systemd-udevd ] || { echo "doctor: udev is not installed: its rules are not tried"; exit 0; }
sed -i 's/^dialout:.*/&pi/' /etc/group
cp /udev/60-keyline.rules /etc/udev/rules.d/
systemd-udevd --daemon || fails "udevd does not start"
udevadm trigger --action=add || fails "no trigger"
udevadm settle

[ "$(stat -c '%a %g' /dev/ttyUSB0)" = '660 20' ] || fails "the rights are $(stat -c '%a %g' /dev/ttyUSB0)"
[ "$(cat /sys/bus/usb-serial/devices/*/latency_timer)" = 1 ] || fails "the latency is not the lowest"
udevadm info /dev/ttyUSB0 | grep -q ID_MM_DEVICE_IGNORE=1 || fails "ModemManager is not told"

asks pi
said fine groups 'this user is in the group dialout'
said fine latency 'pass bytes on at once'
said fine modemmanager 'udev rules keep it off'
grep -q getty "$folder/said" && fails "there is no login prompt any more"

su pi -c "keyline --headless --once --volatile --journal $folder/journal --csv-file $folder/keys.csv --firmware $folder/firmware.bin" ||
    fails "a plain user can't run the bench"
