#!/usr/bin/env bash
# The release binary under wrk: hits, redirects, misses, and a mix of hits and misses, each with a new server and an empty store.
#
#   benches/wrk.sh                    with the pictures in samples/
#   benches/wrk.sh FOLDER             with other pictures
#   tests/with-seaweedfs benches/wrk.sh   also with variants stored in S3
#   SECONDS_EACH=30 CONNECTIONS=256 PICTURE=cat.jpg benches/wrk.sh
#
# Needs wrk (Debian: apt-get install wrk). For hits, the server and wrk run on different cores. Misses use all cores, since resizing does.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || { echo "wrk is not installed: apt-get install wrk" >&2; exit 1; }

photos=${1:-samples}
seconds=${SECONDS_EACH:-10}
connections=${CONNECTIONS:-64}
picture=${PICTURE:-$(cd "$photos" && find . -iname '*.jpg' -size +200k | sort | head -n 1 | sed 's|^\./||')}
stem=${picture%.*} extension=${picture##*.}
public=https://pictures.example.com

cargo build --release --locked --quiet
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$work"' EXIT

cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$server/stat"; }
peak_mb() { awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$server/status"; }

start() { # CORES [VARIABLE=VALUE...]
    local cores=$1; shift
    rm -rf "$work/variants" "$work/events.log"
    # One picture is requested in more sizes per minute than the default rate limit allows.
    env RESIZED_SERVER__LISTEN=127.0.0.1:0 RESIZED_ORIGINALS__STORE="file:$photos" RESIZED_RATES__CPU_PER_ORIGINAL=0s \
        RESIZED_VARIANTS__STORE="file:$work/variants" RESIZED_LOG__FORMAT=json RESIZED_ADMIN__LISTEN= "$@" \
        taskset -c "$cores" target/release/resized >"$work/access.log" 2>"$work/events.log" &
    server=$!
    until url=http://$(grep -o '"address":"[^"]*"' "$work/events.log" 2>/dev/null | cut -d'"' -f4) && [ "$url" != http:// ]; do
        kill -0 "$server" 2>/dev/null || { cat "$work/events.log" >&2; exit 1; }
    done
}

stop() { kill "$server"; wait "$server" 2>/dev/null || true; server=; }

measure() { # NAME CORES URL [WRK ARGUMENTS...]
    local name=$1 cores=$2 target=$3; shift 3
    local before; before=$(cpu_ms)
    taskset -c "$cores" wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" "$target" >"$work/wrk"
    awk -v name="$name" -v cpu="$(($(cpu_ms) - before))" -v peak="$(peak_mb)" '
        $1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 } /requests in/ { requests = $1 } /Requests\/sec/ { rate = $2 }
        /Non-2xx/ { bad = "  NOT 2xx/3xx: " $NF } /Socket errors/ { socket = $0 }
        END { printf "%-26s %9.0f per second  p50 %9s  p99 %9s  cpu %8.3f ms per request  peak %4d MB%s%s\n", name, rate, p50, p99,
              cpu / requests, peak, bad, socket }' "$work/wrk"
}

# Requests a new size whenever `n` is a multiple of EVERY, and otherwise one of ten sizes.
sizes() { # EVERY
    cat <<LUA
local n = 0
request = function()
    n = n + 1
    if n % $1 ~= 0 then return wrk.format("GET", string.format("/${stem}_%dx.$extension", 300 + n % 10)) end
    local k = n / $1
    return wrk.format("GET", string.format("/${stem}_%dx%d.$extension", 200 + k % 100, 200 + math.floor(k / 100)))
end
LUA
}
sizes 1 >"$work/misses.lua"
sizes 100 >"$work/mix.lua"

last_core=$(($(nproc) - 1))
all_cores=0-$last_core
echo "$picture, $connections connections, ${seconds} s each, $(date -u +%F)," \
    "$(nproc) x $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)"

start 0
curl -fsS -o "$work/small" "$url/${stem}_300x300.$extension"
curl -fsS -o "$work/large" "$url/${stem}_800x800.$extension"
measure "hit, $(($(stat -c %s "$work/small") / 1024)) KB" "$last_core" "$url/${stem}_300x300.$extension"
measure "hit, $(($(stat -c %s "$work/large") / 1024)) KB" "$last_core" "$url/${stem}_800x800.$extension"
stop

start 0 RESIZED_ANSWERS__MODE=redirect RESIZED_VARIANTS__PUBLIC_URL=$public
curl -fsS -o "$work/small" "$url/${stem}_300x300.$extension"
measure "hit, redirect" "$last_core" "$url/${stem}_300x300.$extension"
stop

start "$all_cores"
measure "miss, new size each time" "$all_cores" "$url" -s "$work/misses.lua"
stop

start "$all_cores" RESIZED_ANSWERS__MODE=redirect RESIZED_VARIANTS__PUBLIC_URL=$public
measure "miss, redirect" "$all_cores" "$url" -s "$work/misses.lua"
stop

start "$all_cores"
measure "99 % hits, 1 % misses" "$all_cores" "$url" -s "$work/mix.lua"
stop

# Variants that are in the store but not in memory. The sizes alternate, because concurrent requests for one size would be coalesced.
stored=200
cat >"$work/stored.lua" <<LUA
local n = 0
request = function()
    n = n + 1
    return wrk.format("GET", string.format("/${stem}_%dx200.$extension", 200 + n % $stored))
end
LUA
measure_stored() { # NAME [VARIABLE=VALUE...]
    local name=$1; shift
    start "$all_cores" RESIZED_CACHE__MEMORY=0 "$@"
    seq 200 $((199 + stored)) | xargs -P 4 -I{} curl -fsS -o /dev/null "$url/${stem}_{}x200.$extension"
    measure "$name" "$all_cores" "$url" -s "$work/stored.lua"
    stop
}
measure_stored "stored in a folder"
measure_stored "stored, immutable" RESIZED_ORIGINALS__IMMUTABLE=true
if [ -n "${TEST_S3_ENDPOINT:-}" ]; then
    curl -fsS -o /dev/null -T "$photos/$picture" --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        "$TEST_S3_ENDPOINT/$TEST_S3_BUCKET/originals/$picture"
    s3=(RESIZED_S3__ENDPOINT="$TEST_S3_ENDPOINT" RESIZED_S3__PATH_STYLE=true RESIZED_S3__REGION=us-east-1
        RESIZED_ORIGINALS__STORE="s3://$TEST_S3_BUCKET/originals" RESIZED_VARIANTS__STORE="s3://$TEST_S3_BUCKET/variants")
    measure_stored "stored in S3" "${s3[@]}"
    measure_stored "stored in S3, immutable" "${s3[@]}" RESIZED_ORIGINALS__IMMUTABLE=true
fi
