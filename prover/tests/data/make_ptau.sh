#!/bin/sh
# Makes tiny_unprepared.ptau and tiny.ptau (power 6) with snarkjs 0.7.6; needs node and npm.
# The contribution draws fresh randomness, so each run gives other files.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent snarkjs@0.7.6
snarkjs() { node node_modules/snarkjs/build/cli.cjs "$@"; }
snarkjs powersoftau new bn128 6 new.ptau
snarkjs powersoftau contribute new.ptau one.ptau --name=first -e="$(head -c 64 /dev/urandom | od -An -tx1)"
snarkjs powersoftau beacon one.ptau "$here/tiny_unprepared.ptau" \
    0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 10 --name=beacon
snarkjs powersoftau prepare phase2 "$here/tiny_unprepared.ptau" "$here/tiny.ptau"
snarkjs powersoftau verify "$here/tiny.ptau"
