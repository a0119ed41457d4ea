#!/usr/bin/env bash
# Cold requests compared to nginx image_filter, ipx, thumbor and sharp with node:http: see cold.py. Needs root on Debian:
#
#   benches/cold.sh [PICTURE.jpg]        the large sample, or another picture; takes about five minutes
#   SECONDS_EACH=20 ONLY=ipx benches/cold.sh
#
# Installs the peers into target/cold, except nginx.
set -euo pipefail
cd "$(dirname "$0")/.."
work=target/cold
mkdir -p "$work"
if ! command -v wrk >/dev/null || [ ! -e /usr/lib/nginx/modules/ngx_http_image_filter_module.so ]; then
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy nginx libnginx-mod-http-image-filter wrk >&2
fi
[ -d "$work/node_modules/ipx" ] || npm install --silent --no-audit --no-fund --prefix "$work" sharp ipx listhen >&2
if [ ! -x "$work/venv/bin/thumbor" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet thumbor setuptools >&2
fi
cargo build --release --locked --quiet
exec python3 benches/cold.py "$@"
