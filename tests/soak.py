#!/usr/bin/env python3
"""Load test with a mix of valid and hostile requests.

    tests/soak.py                              correctness only; an hour with the release binary
    SOAK_SECONDS=60 RESIZED=target/debug/resized tests/soak.py
    tests/soak.py --check-growth               also checks growth, for long runs on an idle machine (`just soak`)

Hits are sent at 80 % of the maximum rate. In parallel, clients request new and stored variants and originals, upload pictures over one
another, and send damaged pictures, malformed requests, smuggling attempts, forged tokens and slow connections.

Exit status 1 if a response has an unexpected status, is incomplete, or has wrong bytes; if a codec panics; if flights, descriptors,
threads or processes are left over when the load has ended; if the server then does not answer normally; or if it does not shut down
cleanly. 503 and 504 under load, and slow responses, are counted and printed, but are not failures: another build on the machine causes
them too.

With --check-growth, it is also a failure if memory still grows after a third of the time, or if hits become slower.

Writes a plot to target/soak.svg. Needs h2load (Debian: nghttp2-client).
"""

import argparse
import asyncio
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS, SLICE_S = int(os.environ.get("SOAK_SECONDS", 3600)), 10
# In shorter runs, growth cannot be distinguished from noise.
GROWTH_SECONDS_MIN = 600
# The limit for the load to drain, the final requests, and the shutdown. It is long because it detects hangs, not slowness.
QUIET_S = 180
TOKEN = "0123456789abcdef" * 2
HIT, CONNECTIONS, SHARE = "/cat_300x200.jpg", 16, 0.8
OVERLOADED = (503, 504)
PICTURES = {Path(name).name: ROOT / name for name in [
    *(f"samples/{name}" for name in ("astronaut.jpg", "cat.jpg", "coffee.jpg", "galaxies.webp", "launch.gif", "logo.png")),
    # Each of these is decoded in a separate process.
    *(f"crates/pixels/tests/avif/{name}" for name in ("full-420.avif", "grid-alpha.avif")),
]}
# Tolerated differences: freed memory that the allocator keeps, and connections and threads that are about to end. Threads for file
# access are started under load, in bounded number, and end after ten idle seconds.
SLACK_MB, SLACK_DESCRIPTORS, SLACK_THREADS, SLACK_PROCESSES = 24, 8, 2, 0


def start(folder: Path) -> tuple[subprocess.Popen, str, str]:
    """Starts the server. Returns its process, its address, and the address of its admin listener."""
    settings = {
        "SERVER__LISTEN": "127.0.0.1:0",
        "SERVER__IDLE_TIMEOUT": "5s",
        "ADMIN__LISTEN": "127.0.0.1:0",
        "LOG__FORMAT": "json",
        "ORIGINALS__STORE": f"file:{folder}/originals",
        "VARIANTS__STORE": f"file:{folder}/variants",
        # Small enough to be full after a few seconds, as it is after a few days in production.
        "CACHE__MEMORY": "8MiB",
        "RATES__CPU_PER_ORIGINAL": "0s",
        "UPLOAD__ENABLED": "true",
        "UPLOAD__TOKEN": TOKEN,
        "UPLOAD__OVERWRITE": "always",
        "UPLOAD__BASE_URL": "http://images.test",
    }
    program = Path(os.environ.get("RESIZED", ROOT / "target" / "release" / "resized")).resolve()
    environment = os.environ | {f"RESIZED_{name}": value for name, value in settings.items()}
    server = subprocess.Popen([program], env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = {}
    for line in server.stderr:
        for name in "admin listening", "listening":
            if f'"message":"{name}"' in line:
                found[name] = re.search(r'"address":"([^"]+)"', line)[1]
        if len(found) == 2:
            threading.Thread(target=lambda: [None for _ in server.stderr], daemon=True).start()
            return server, found["listening"], found["admin listening"]
    sys.exit("the server did not start")


class Clients(threading.Thread):
    """All clients except those that send hits. They run until `stop` is set."""

    def __init__(self, address: str):
        super().__init__()
        self.host, port = address.split(":")
        self.port, self.stop, self.counts, self.failures = int(port), threading.Event(), Counter(), []
        self.pictures = {name: path.read_bytes() for name, path in PICTURES.items()}

    def run(self):
        asyncio.run(self.run_all())

    async def run_all(self):
        # The kind of request, the mean pause between two of them in seconds, and the number of clients.
        kinds = [(self.variant, 0.05, 4), (self.original, 0.1, 1), (self.upload, 0.2, 2), (self.damaged, 0.1, 2)]
        kinds += [(self.malformed, 0.05, 2), (self.slow, 0.0, 30)]
        tasks = [asyncio.create_task(self.repeat(kind, pause)) for kind, pause, count in kinds for _ in range(count)]
        while not self.stop.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def repeat(self, kind, pause):
        # If a task is canceled at the moment of a response, asyncio.wait_for can lose the cancellation. Therefore check `stop` too.
        while not self.stop.is_set():
            try:
                await kind()
            except OSError:
                pass
            await asyncio.sleep(pause * (0.5 + random.random()))

    async def send(self, name: str, request: bytes, allowed: tuple, expected_body: bytes | None = None) -> int:
        """Sends a request and checks its status and body. Returns the status, or 0 if there is no valid response."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request)
            response = await asyncio.wait_for(reader.read(), QUIET_S)
        except asyncio.TimeoutError:
            self.failures.append(f"{name}: no response within {QUIET_S} s to {request[:100]!r}")
            return 0
        finally:
            writer.close()
        status = int(response[9:12]) if response[:5] == b"HTTP/" else 0
        self.counts[f"{name} {status}"] += 1
        if status in OVERLOADED:
            return status
        head, _, body = response.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.I)
        if status not in allowed:
            self.failures.append(f"{name}: {response[:300]!r} to {request[:100]!r}")
        elif length and len(body) != int(length[1]):
            self.failures.append(f"{name}: {len(body)} of {int(length[1])} bytes to {request[:100]!r}")
        elif expected_body is not None and body != expected_body:
            self.failures.append(f"{name}: wrong bytes to {request[:100]!r}")
        return status

    @staticmethod
    def head(line: str, headers: str = "") -> bytes:
        return f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode()

    async def variant(self) -> int:
        stem, extension = random.choice(list(PICTURES)).split(".")
        path = f"/{stem}_{random.randrange(1, 200)}x{random.choice(['', '100', '100_crop'])}.{extension}"
        return await self.send("variant", self.head(f"GET {path}"), (200,))

    async def original(self) -> int:
        name = random.choice(list(PICTURES))
        return await self.send("original", self.head(f"GET /{name}"), (200,), self.pictures[name])

    async def put(self, kind: str, name: str, body: bytes, allowed: tuple) -> int:
        headers = f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n"
        return await self.send(kind, self.head(f"PUT /upload/{name}", headers) + body, allowed)

    async def upload(self) -> int:
        name = random.choice(list(PICTURES))
        return await self.put("upload", f"up/{random.randrange(20)}-{name}", self.pictures[name], (200, 201, 409, 412))

    async def damaged(self):
        name = random.choice(list(PICTURES))
        picture = bytearray(self.pictures[name])
        for _ in range(random.randrange(1, 9)):
            picture[random.randrange(min(len(picture), random.choice([300, 1 << 30])))] ^= 1 << random.randrange(8)
        number, (stem, extension) = random.randrange(20), name.split(".")
        body = bytes(picture[: random.randrange(20, len(picture) + 1)])
        await self.put("damaged upload", f"bad/{number}-{name}", body, (200, 201, 409, 412, 415, 422))
        await self.send("damaged variant", self.head(f"GET /bad/{number}-{stem}_64x64.{extension}"), (200, 404, 422))

    async def malformed(self):
        refused = (400, 401, 403, 404, 405, 408, 414, 415, 422, 429, 431)
        request = random.choice(
            [
                self.head("GET /../../etc/passwd"),
                self.head(f"GET /none-{random.random()}_10x10.jpg"),
                self.head(f"GET /{'a' * random.randrange(1, 30000)}"),
                self.head("GET /cat_99999x.jpg"),
                self.head("DELETE /cat.jpg"),
                self.head("PUT /upload/x.jpg", "Authorization: Bearer forged\r\nContent-Length: 0\r\n"),
                b"GET /cat.jpg HTTP/1.1\nHost: x\n\n",
                self.head("POST /upload", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                b"A" * random.randrange(1, 100) + b"\r\n\r\n",
            ]
        )
        await self.send("malformed request", request, refused)

    async def slow(self):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            head = random.choice(["", f"GET {HIT} HTTP/1.1\r\nHost: x\r\nA: ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
            writer.write(head.encode())
            for _ in range(random.randrange(1, 30)):
                if reader.at_eof():
                    break
                writer.write(b"a" if head else b"")
                await writer.drain()
                await asyncio.sleep(0.5)
        finally:
            writer.close()


class Monitor(threading.Thread):
    """Samples memory in MB of 1,000,000 bytes, descriptors, threads, and child processes once a second."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.rows, self.begin = pid, [], time.monotonic()
        self.start()

    def sample(self) -> tuple[float, float, int, int, int]:
        status = Path(f"/proc/{self.pid}/status").read_text()
        number = lambda field: int(re.search(rf"{field}:\s+(\d+)", status)[1])
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
        processes = sum(len(task.read_text().split()) for task in Path(f"/proc/{self.pid}/task").glob("*/children"))
        return time.monotonic() - self.begin, number("VmRSS") * 1024 / 1e6, descriptors, number("Threads"), processes

    def run(self):
        while Path(f"/proc/{self.pid}/status").exists():
            try:
                self.rows.append(self.sample())
            except (OSError, TypeError):
                return
            time.sleep(1)


class Hits:
    """Sends hits with h2load and counts their statuses."""

    def __init__(self, address: str, folder: Path):
        self.url, self.log, self.counts = f"http://{address}{HIT}", folder / "hits.log", Counter()

    def send(self, seconds: int, rate: float | None) -> tuple[float, float]:
        """Returns hits per second and milliseconds at p99. Without a rate, it sends as fast as possible."""
        self.log.unlink(missing_ok=True)
        pace = [f"--rps={max(rate / CONNECTIONS, 1):.0f}"] if rate else []
        command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", *pace, f"-D{seconds}", f"--log-file={self.log}", self.url]
        subprocess.run(command, capture_output=True, check=True)
        responses = [line.split() for line in self.log.read_text().splitlines()]
        self.counts.update(status for _, status, _ in responses)
        # On a busy machine, a slice can end before its first response.
        times = sorted(int(duration) / 1000 for _, _, duration in responses) or [seconds * 1000]
        return len(responses) / seconds, times[len(times) * 99 // 100]

    def failures(self) -> list[str]:
        allowed = ("200", *map(str, OVERLOADED))
        return [f"hit: status {status}, {count} times" for status, count in self.counts.items() if status not in allowed]


def metric(admin: str, name: str) -> float:
    text = urllib.request.urlopen(f"http://{admin}/metrics").read().decode()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)} (\S+)", text, re.M))


def wait_until(condition, seconds: float = QUIET_S) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def quiet_failures(clients: Clients, address: str, hit: bytes) -> list[str]:
    """Sends requests of each valid kind to the idle server. They must succeed, even if the server was overloaded before."""

    async def succeeds(kind) -> bool:
        deadline = time.monotonic() + QUIET_S
        while time.monotonic() < deadline:
            status = await kind()
            if status not in OVERLOADED:
                return status in (200, 201)
            await asyncio.sleep(1)
        return False

    kinds = (clients.variant, clients.original, clients.upload)
    failures = [f"{kind.__name__}: not answered normally after the load" for kind in kinds if not asyncio.run(succeeds(kind))]
    if urllib.request.urlopen(f"http://{address}{HIT}").read() != hit:
        failures.append("hit: its bytes have changed")
    return failures


def fit_line(rows: list) -> tuple[float, float]:
    """Intercept and slope of the least-squares line through (x, y)."""
    slope, intercept = statistics.linear_regression(*zip(*rows)) if len(rows) > 1 else (0.0, rows[0][1])
    return intercept, slope


def plot(rows: list, memory: tuple, slices: list, path: Path):
    width, height, end = 900, 260, rows[-1][0]

    def panel(top: int, points: list, name: str, line: tuple | None = None) -> str:
        maximum = max(y for _, y in points) * 1.1
        at = lambda x, y: f"{60 + x / end * (width - 80):.1f},{top + height - 30 - y / maximum * (height - 60):.1f}"
        text = f'<text x="60" y="{top + 20}">{name}: 0 to {maximum:.1f}</text>'
        text += f'<polyline fill="none" stroke="#2a6" points="{" ".join(at(*point) for point in points)}"/>'
        if line:
            intercept, slope = line
            ends = [(x, intercept + slope * x) for x in (end / 3, end)]
            text += f'<polyline fill="none" stroke="#c33" stroke-dasharray="6" points="{" ".join(at(*point) for point in ends)}"/>'
        return text

    panels = [
        panel(0, [(x, memory) for x, memory, *_ in rows], "memory, MB, and its slope after a third of the time", memory),
        panel(height, [(x, descriptors) for x, _, descriptors, *_ in rows], "descriptors"),
        panel(2 * height, slices, "hits, ms at p99"),
    ]
    path.parent.mkdir(exist_ok=True)
    style = '<style>text{font:14px sans-serif}</style><rect width="100%" height="100%" fill="white"/>'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{3 * height}">{style}{"".join(panels)}</svg>')


def left_over(after: tuple, before: tuple) -> list[str]:
    names, slacks = ("descriptors", "threads", "processes"), (SLACK_DESCRIPTORS, SLACK_THREADS, SLACK_PROCESSES)
    kinds = zip(names, before[2:], after[2:], slacks)
    return [f"{kind}: {then} before and {now} after the load" for kind, then, now, slack in kinds if now > then + slack]


def growth(rows: list, memory: tuple, slices: list) -> list[str]:
    """Growth of memory and of the latency of hits in the last two thirds of the time."""
    end, slope = rows[-1][0], memory[1]
    grown, mean = slope * end * 2 / 3, statistics.mean(row[1] for row in rows)
    failures = []
    if grown > max(SLACK_MB, mean / 20):
        failures.append(f"memory grew by {grown:.1f} MB after a third of the time")
    middle = statistics.median(p99 for x, p99 in slices if end / 3 <= x < end * 2 / 3)
    last = statistics.median(p99 for x, p99 in slices if x >= end * 2 / 3)
    if last > 2 * middle + 5:
        failures.append(f"p99 of hits rose from {middle:.1f} to {last:.1f} ms")
    return failures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-growth", action="store_true", help="fail if memory or the latency of hits grows")
    parsed = parser.parse_args()
    if parsed.check_growth and SECONDS < GROWTH_SECONDS_MIN:
        parser.error(f"--check-growth needs at least {GROWTH_SECONDS_MIN} seconds (SOAK_SECONDS)")
    return parsed


def main() -> int:
    check_growth = arguments().check_growth
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "originals").mkdir()
        for picture in PICTURES.values():
            shutil.copy(picture, folder / "originals")
        server, address, admin = start(folder)
        try:
            # Makes the variant, so that later requests for it are hits.
            hit = urllib.request.urlopen(f"http://{address}{HIT}").read()
            hits = Hits(address, folder)
            hits.send(1, None)
            monitor = Monitor(server.pid)
            before = monitor.sample()
            clients = Clients(address)
            clients.start()
            capacity, _ = hits.send(5, None)
            rate, slices = SHARE * capacity, []
            while monitor.sample()[0] < SECONDS:
                slices.append((monitor.sample()[0], hits.send(SLICE_S, rate)[1]))
            rows = list(monitor.rows)
            clients.stop.set()
            clients.join()
            failures = hits.failures() + quiet_failures(clients, address, hit)
            # Idle connections are closed at most a quarter of server.idle_timeout late.
            drained = lambda: not left_over(monitor.sample(), before) and not metric(admin, "resized_flights")
            wait_until(drained)
            after, flights = monitor.sample(), metric(admin, "resized_flights")
            panics = metric(admin, 'resized_resize_failures_total{reason="panic"}')
        finally:
            server.terminate()
            exit_status = server.wait(QUIET_S)
    memory = fit_line([row[:2] for row in rows if row[0] >= rows[-1][0] / 3])
    plot(rows, memory, slices, ROOT / "target" / "soak.svg")
    failures += clients.failures[:10] + left_over(after, before)
    if check_growth:
        failures += growth(rows, memory, slices)
    if flights:
        failures.append(f"{flights:.0f} flights have not ended")
    if panics:
        failures.append(f"{panics:.0f} codec panics")
    if exit_status:
        failures.append(f"the server exited with status {exit_status}")
    print(f"{rows[-1][0]:.0f} s, hits at {rate:.0f} of at most {capacity:.0f} per second: p99 {statistics.median(p99 for _, p99 in slices):.2f} ms")
    print(f"memory {rows[-1][1]:.1f} MB, slope {memory[1] * 3600:+.1f} MB per hour after a third of the time")
    threads_max = max(row[3] for row in rows)
    print(f"descriptors: {before[2]} before, {after[2]} after; threads: {before[3]} before, at most {threads_max}, {after[3]} after")
    counts = clients.counts + Counter({f"hit {status}": count for status, count in hits.counts.items()})
    print("; ".join(f"{kind}: {count}" for kind, count in sorted(counts.items())))
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
