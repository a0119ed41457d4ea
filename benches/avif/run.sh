#!/usr/bin/env bash
# AVIF of photographs by our encoder beside sharp's (npm), at one thread each: processor time, bytes, ssimulacra2.
#   benches/avif/run.sh PHOTO...
set -euo pipefail
photos=$(realpath "$@")
cd "$(dirname "$0")"
[ -d node_modules/sharp ] || npm install --no-save --no-audit --no-fund --silent sharp
cargo build --release --quiet
mkdir -p pictures
mapfile -t photos <<<"$photos"
exec node compare.mjs target/release/avif-beside-sharp pictures "${photos[@]}"
