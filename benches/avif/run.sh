#!/usr/bin/env bash
# AVIF of photographs, encoded by resized and by sharp (npm) with one thread each: CPU time, bytes, ssimulacra2.
#   benches/avif/run.sh PHOTO...
set -euo pipefail
photos=$(realpath "$@")
cd "$(dirname "$0")"
[ -d node_modules/sharp ] || npm install --no-save --no-audit --no-fund --silent sharp
cargo build --release --quiet
mkdir -p pictures
mapfile -t photos <<<"$photos"
exec node compare.mjs target/release/avif-beside-sharp pictures "${photos[@]}"
