#!/usr/bin/env bash
# Cache hits compared to nginx, Varnish, HAProxy and Apache Traffic Server: see front.py. Needs root on Debian:
#
#   benches/front.sh                     the whole table as Markdown; takes about ten minutes
#   ROUNDS=3 ONLY=10k benches/front.sh   one part: 301, 10k, 50k, tls, h2, idle, load
#   PLOT=benches/front.svg benches/front.sh
set -euo pipefail
cd "$(dirname "$0")/.."
needs() { for tool in "$@"; do PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || return 1; done; }
if ! needs nginx varnishd haproxy traffic_server wrk h2load openssl; then
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy nginx varnish haproxy trafficserver wrk nghttp2-client openssl >&2
fi
cargo build --release --locked >&2
exec python3 benches/front.py "$@"
