"""Attacks on CPU time, freshness and uploads. They measure times, so they are only part of the long form."""

import concurrent.futures
import math
import os
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pictures
import s3
from fault_proxy import FaultProxy
from server import PROGRAM, Server, wait_until

TOKEN = "0123456789abcdef" * 2


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[math.ceil(len(seconds) * 0.99) - 1]


def timed(call) -> tuple[float, int]:
    begin = time.monotonic()
    status, _ = call()
    return time.monotonic() - begin, status


def photographs(folder: Path) -> tuple[bytes, bytes]:
    """JPEGs of 20 and of 12 megapixels, of gradients with fine noise."""
    width, height = 5000, 4000
    noise = [os.urandom(width * 3).translate(bytes(value // 12 for value in range(256))) for _ in range(16)]
    rows = bytearray()
    for y in range(height):
        gradient = bytes((x * 200 // width + y * 30 // height) & 255 for x in range(width) for _ in range(3)) if y % 100 == 0 else gradient
        mixed = int.from_bytes(gradient, "big") + int.from_bytes(noise[y % 16], "big")
        rows += b"\0" + mixed.to_bytes(width * 3 + 1, "big")[1:]
    picture = folder / "large.png"
    picture.write_bytes(pictures.png(width, height, 2, [(b"IDAT", pictures.zlib.compress(bytes(rows), 1))]))
    found = []
    for size in ("5000x", "4000x3000_crop"):
        out = folder / f"{size}.jpg"
        environment = os.environ | {"RESIZED_LIMITS__MAX_SIDE": "5000"}
        subprocess.run([PROGRAM, "resize", "--size", size, picture, out], env=environment, check=True, capture_output=True)
        found.append(out.read_bytes())
    return found[0], found[1]


def cold_beside_large(folder: Path) -> tuple[str, list[str]]:
    """Two hundred cold 300-pixel JPEGs, alone and beside four jobs of the largest kind."""
    large, medium = photographs(folder)
    originals = folder / "originals"
    originals.mkdir(exist_ok=True)
    for n in range(400):
        (originals / f"photo-{n}.jpg").write_bytes(medium)
    for n in range(4):
        (originals / f"large-{n}.jpg").write_bytes(large)
    with Server(folder, MEMORY="4GiB", LIMITS__RENDER_TIME="5m", WORK__FLIGHT_TIME="10m") as server:
        cold = lambda first: [timed(lambda n=n: server.get(f"/photo-{n}_300x.jpg")) for n in range(first, first + 200)]
        alone = cold(0)
        jobs = [f"/large-{n}_4090x4000_q100.jpg.{kind}" for n, kind in enumerate(("avif", "avif", "webp", "webp"))]
        pool = concurrent.futures.ThreadPoolExecutor(4)
        running = [pool.submit(server.get, path) for path in jobs]
        time.sleep(3)
        beside = cold(200)
        still = sum(not job.done() for job in running)
        pool.shutdown(wait=False, cancel_futures=True)
        unloaded, loaded = p99([s for s, _ in alone]), p99([s for s, _ in beside])
    faults = [f"status {status}" for status in {status for _, status in alone + beside} if status != 200]
    if loaded > 2 * unloaded + 0.1:
        faults.append(f"p99 {loaded * 1000:.0f} ms, {(2 * unloaded + 0.1) * 1000:.0f} ms allowed")
    if not still:
        faults.append("the large jobs ended before the measurement")
    return f"p99 {unloaded * 1000:.0f} ms alone, {loaded * 1000:.0f} ms beside {still} large jobs", faults


def large_jobs_end(folder: Path) -> tuple[str, list[str]]:
    """With the default limits, each job of the largest kind is refused in advance or stopped."""
    large, _ = photographs(folder)
    (folder / "originals").mkdir(exist_ok=True)
    seen, faults = [], []
    for kind in ("avif", "webp", "png", "jpg"):
        (folder / "originals" / f"large-{kind}.jpg").write_bytes(large)
        with Server(folder) as server:
            before = cpu_seconds(server.process.pid)
            status, body = server.get(f"/large-{kind}_4090x4000_q100.jpg.{kind}")
            wait_until(lambda: not server.metric("resized_flights"))
            used = cpu_seconds(server.process.pid) - before
            seen.append(f"{kind}: {status}, {used:.1f} s of CPU")
            if status not in (200, 422):
                faults.append(f"{kind}: status {status}: {body[:200].decode(errors='replace')}")
            if used > 31.5:
                faults.append(f"{kind}: {used:.1f} s of CPU, 31 allowed")
    return "; ".join(seen), faults


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def store_stops_answering(folder: Path) -> tuple[str, list[str]]:
    """Fifty pictures in memory are asked for 40 times a second while the bucket hangs."""
    proxy = FaultProxy((urlsplit(s3.ENDPOINT).hostname, urlsplit(s3.ENDPOINT).port))
    settings = s3.bucket_settings(proxy.url) | {"CACHE__REVALIDATE_AFTER": "2s"}
    names = [f"fresh-{n}" for n in range(50)]
    picture = pictures.noise_png(100)
    for name in names:
        s3.put(f"{name}.png", picture)
    with Server(folder, **settings) as server:
        for name in names:
            status, body = server.get(f"/{name}_50x.png")
            assert status == 200, (status, body)
        proxy.hangs = True
        times: list[tuple[float, float, int]] = []
        opened_s = math.inf

        def ask(at: float, name: str):
            seconds, status = timed(lambda: server.get(f"/{name}_50x.png"))
            times.append((at, seconds, status))

        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            for n in range(40 * 30):
                at = n / 40
                time.sleep(max(0.0, begin + at - time.monotonic()))
                pool.submit(ask, at, names[n % 50])
                if n % 40 == 0 and opened_s == math.inf and server.metric("resized_s3_circuit_open"):
                    opened_s = time.monotonic() - begin
        proxy.hangs = False
    waited = [seconds for _, seconds, _ in times if seconds > 0.1]
    others = [seconds for _, seconds, _ in times if seconds <= 0.1]
    statuses = Counter(status for *_, status in times)
    faults = [f"status {status}, {count} times" for status, count in statuses.items() if status != 200]
    if waited and max(waited) > 0.7:
        faults.append(f"a request waited {max(waited):.2f} s, 0.5 allowed")
    if p99(others) > 0.005:
        faults.append(f"p99 of the others {p99(others) * 1000:.1f} ms, 5 allowed")
    if opened_s > 12:
        faults.append(f"the circuit breaker opened after {opened_s:.0f} s, 10 allowed")
    slowest = max(waited, default=0.0)
    return f"{len(times)} requests, {len(waited)} waited, at most {slowest:.2f} s; p99 of the others {p99(others) * 1000:.1f} ms; breaker opened after {opened_s:.0f} s", faults


def uploads(folder: Path, delay_s: float, hangs: bool, count: int, allowed_s: float) -> tuple[str, list[str]]:
    """`count` uploads of 100 KB at once to a bucket that is slow or does not answer."""
    proxy = FaultProxy((urlsplit(s3.ENDPOINT).hostname, urlsplit(s3.ENDPOINT).port))
    settings = s3.bucket_settings(proxy.url) | {
        "UPLOAD__ENABLED": "true",
        "UPLOAD__TOKEN": TOKEN,
        "UPLOAD__BASE_URL": "http://images.test",
        "UPLOAD__OVERWRITE": "always",
        "SERVER__CONNECTIONS_PER_CLIENT": "0",
    }
    picture = pictures.noise_png(182)
    with Server(folder, **settings) as server:
        proxy.delay_s, proxy.hangs = delay_s, hangs
        send = lambda n: timed(lambda: server.get(f"/upload/bounds/{folder.name}-{n}.png", "PUT", picture, Authorization=f"Bearer {TOKEN}"))
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(send, range(count)))
        total = time.monotonic() - begin
        proxy.hangs, proxy.delay_s = False, 0.0
    statuses = Counter(status for _, status in answers)
    slowest = max(seconds for seconds, _ in answers)
    allowed = {500, 502, 503, 504} if hangs else {201}
    faults = [f"status {status}, {n} times" for status, n in statuses.items() if status not in allowed]
    if max(slowest, total) > allowed_s:
        faults.append(f"{max(slowest, total):.1f} s, {allowed_s:.0f} allowed")
    return f"statuses {dict(statuses)}, the slowest after {slowest:.1f} s", faults
