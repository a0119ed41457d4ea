#!/usr/bin/env bash
# Cold resizes compared to sharp (libvips): CPU and wall time, bytes and quality, peak memory.
#
#   benches/sharp.sh PHOTOS                      all parts, with the pictures in the folder PHOTOS
#   benches/sharp.sh PHOTOS speed                one part: speed, quality or memory
#   benches/sharp.sh PHOTOS light                our scaling in linear light compared with our gamma-encoded scaling
#   ONLY='800 WebP' ROUNDS=21 benches/sharp.sh PHOTOS speed
#
# PHOTOS must contain a baseline JPEG of 12 to 24 megapixels, from which the other inputs are made. Needs node with npm, jpegtran and cjxl
# (Debian: libjpeg-turbo-progs and libjxl-tools), and Python with pillow, pillow-heif and pillow-jxl-plugin. Installs sharp into target/.
set -euo pipefail
photos=$(realpath "${1:?the folder of pictures is missing}")
cd "$(dirname "$0")/.."
for tool in node npm jpegtran cjxl python3; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(speed quality memory)

work=$PWD/target/sharp
mkdir -p "$work/pictures"
cp benches/sharp/package.json benches/sharp/compare.mjs benches/sharp/pillow.py "$work/"
[ -d "$work/node_modules/sharp" ] || npm install --silent --no-fund --no-audit --prefix "$work"
cargo build --release --locked --quiet --package beside-sharp

echo "$(date -u +%F), $(nproc) x $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)"
node "$work/compare.mjs" target/release/beside-sharp "$photos" "$work/pictures" "${parts[@]}"
