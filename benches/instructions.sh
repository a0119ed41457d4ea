#!/usr/bin/env bash
# User instructions per hit of the release binary, counted by callgrind. The result does not depend on the load of the machine.
#
#   benches/instructions.sh              a hit: bytes, 304, redirect; bytes with traces enabled but not sampled
#   benches/instructions.sh --functions  also lists the functions that use most instructions
#   tests/with-seaweedfs benches/instructions.sh   also measures variants in S3 that are not in memory
#
# Needs valgrind and python3 (Debian: valgrind). It uses one keep-alive connection. The difference of two runs with different numbers of
# requests excludes the start, the first picture, and the shutdown.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is not installed: apt-get install valgrind" >&2; exit 1; }
binary=${BINARY:-target/release/resized}
[ -n "${BINARY:-}" ] || cargo build --release --locked --quiet
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
few=500 many=10500

run() { # NAME REQUESTS ETAG [VARIABLE=VALUE...]
    local name=$1 requests=$2 etag=$3; shift 3
    rm -f "$work/events"
    env RESIZED_SERVER__LISTEN=127.0.0.1:0 RESIZED_SERVER__THREADS=1 RESIZED_ORIGINALS__STORE="file:samples" \
        RESIZED_VARIANTS__STORE="file:$work/variants" RESIZED_LOG__FORMAT=json RESIZED_ADMIN__LISTEN= "$@" \
        valgrind --tool=callgrind --callgrind-out-file="$work/$name.$requests" "$binary" \
        >/dev/null 2>"$work/events" &
    until address=$(grep -so '"address":"[^"]*"' "$work/events" | cut -d'"' -f4) && [ -n "$address" ]; do
        kill -0 $! || { cat "$work/events" >&2; exit 1; }
        sleep 0.1
    done
    python3 - "$address" "$requests" "$etag" <<'PY'
import socket, sys
address, requests, etag = sys.argv[1], int(sys.argv[2]), sys.argv[3]
host, port = address.split(":")
connection = socket.create_connection((host, int(port)))
condition = ""
responses = connection.makefile("rb")
def ask():
    connection.sendall(f"GET /cat_300x200.jpg HTTP/1.1\r\nHost: {address}\r\n{condition}\r\n".encode())
    status, length, tag = responses.readline(), 0, ""
    while (line := responses.readline()) != b"\r\n":
        name, value = line.decode().lower().split(":", 1)
        length = int(value) if name == "content-length" else length
        tag = value.strip() if name == "etag" else tag
    responses.read(length)
    return status.split()[1], tag
first, tag = ask()
if etag:
    condition = f"If-None-Match: {tag}\r\n"
for _ in range(requests):
    status, _ = ask()
assert status == (b"304" if etag else first), status
PY
    kill $!
    wait $! || true
}

measure() { # NAME ETAG [VARIABLE=VALUE...]
    local name=$1 etag=$2; shift 2
    run "$name" 1 "" "$@" # makes and stores the variant, so that the next two runs find it
    run "$name" "$few" "$etag" "$@"
    run "$name" "$many" "$etag" "$@"
    count() { grep -m1 '^\(totals\|summary\):' "$work/$name.$1" | cut -d' ' -f2; }
    echo "$name: $((($(count "$many") - $(count "$few")) / (many - few))) instructions per hit"
    [ -z "$functions" ] || callgrind_annotate "$work/$name.$many" | sed -n '/Ir/,$p' | head -"${LINES_SHOWN:-60}"
}

functions=${1:-}
measure bytes ""
measure "not-modified" if-none-match
measure redirect "" RESIZED_ANSWERS__MODE=redirect RESIZED_VARIANTS__PUBLIC_URL=https://pictures.example.com
# Nothing listens on port 9, and no span is sent.
measure unsampled "" RESIZED_TRACES__ENDPOINT=http://127.0.0.1:9/v1/traces RESIZED_TRACES__SAMPLE=0
if [ -n "${TEST_S3_ENDPOINT:-}" ]; then
    curl -fsS -o /dev/null -T samples/cat.jpg --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        "$TEST_S3_ENDPOINT/$TEST_S3_BUCKET/originals/cat.jpg"
    measure "stored in S3" "" RESIZED_CACHE__MEMORY=0 RESIZED_ORIGINALS__IMMUTABLE=true RESIZED_S3__ENDPOINT="$TEST_S3_ENDPOINT" \
        RESIZED_S3__PATH_STYLE=true RESIZED_S3__REGION=us-east-1 RESIZED_ORIGINALS__STORE="s3://$TEST_S3_BUCKET/originals" \
        RESIZED_VARIANTS__STORE="s3://$TEST_S3_BUCKET/variants"
fi
