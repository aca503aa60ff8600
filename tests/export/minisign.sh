#!/usr/bin/env bash
# minisign.sh KEYLINE: minisign takes what keyline makes, and keyline what minisign makes.
set -euo pipefail
keyline=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../cli/lib.sh"
command -v minisign >/dev/null || { echo "SKIPPED: minisign is not installed"; exit 77; }

echo "who got what" >list
echo "correct horse" >password

# Keys of keyline, with a password and without, signed with by minisign.
ends 0 "$keyline" keys sign-key -o locked --password-file password
ends 0 "$keyline" keys sign-key -o open --no-password
minisign -S -s locked.key -m list -x locked.minisig -t locked <password >/dev/null
minisign -S -s open.key -m list -x open.minisig -t open >/dev/null
minisign -S -l -s open.key -m list -x old.minisig -t old >/dev/null
for name in locked open; do
    ends 0 "$keyline" verify list -p $name.pub -x $name.minisig
    says "the signer says: $name" "$keyline" verify list -p $name.pub -x $name.minisig
    says "Signature and comment signature verified" minisign -V -p $name.pub -m list -x $name.minisig
done
ends 0 "$keyline" verify list -p open.pub -x old.minisig

# What keyline signs, read by minisign; keys of minisign, used by keyline.
printf 'label,key\na,5ecret1\n' >keys.csv
"$keyline" virtual --images . >/dev/null
"$keyline" virtual --listen 127.0.0.1:0 --fields 2 >boards.txt 2>&1 &
boards=$!
trap 'kill $boards 2>/dev/null; rm -rf "$folder"' EXIT
until grep -q '^ready' boards.txt; do
    kill -0 "$boards" || { cat boards.txt; exit 1; }
    read -rt 0.05 <> <(:) || true
done
ends 0 timeout 120 "$keyline" --headless --firmware firmware.bin --volatile --once --csv-header \
    --port "$(grep -o 'rfc2217://[^ ]*' boards.txt)"
minisign -G -W -p theirs.pub -s theirs.key >/dev/null
printf 'battery staple\nbattery staple\n' | minisign -G -p sealed.pub -s sealed.key >/dev/null
echo "battery staple" >staple
ends 0 "$keyline" keys export --signed --sign-key open.key -o open.csv
ends 0 "$keyline" keys export --signed --sign-key theirs.key -o theirs.csv
ends 0 "$keyline" keys export --signed --sign-key sealed.key --password-file staple -o sealed.csv
for name in open theirs sealed; do
    says "Signature and comment signature verified" minisign -V -p $name.pub -m $name.csv
    says "count:1" minisign -V -p $name.pub -m $name.csv
    ends 0 "$keyline" verify $name.csv -p $name.pub
done
echo x >>open.csv
ends 1 minisign -V -p open.pub -m open.csv
ends 1 "$keyline" verify open.csv -p open.pub

# A password that is none, or that nobody can be asked for.
ends 3 "$keyline" keys export --signed --sign-key sealed.key --password-file password -o wrong.csv
[ ! -e wrong.csv ] && [ ! -e wrong.csv.minisig ] || { echo "FAILED: signed with a wrong password"; failed=1; }
ends 3 setsid "$keyline" keys export --signed --sign-key sealed.key -o unasked.csv
says "no terminal to ask for the password" setsid "$keyline" keys export --signed --sign-key sealed.key -o unasked.csv
exit "$failed"
