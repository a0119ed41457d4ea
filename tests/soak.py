#!/usr/bin/env python3
"""A long time of everything at once, most of it well-meant: does the server stay as it is?

    tests/soak.py                                    an hour of the release binary (`just soak`)
    SOAK_SECONDS=180 RESIZED=target/debug/resized tests/soak.py

Hits come at four fifths of what there can be beside the rest: new and stored variants, originals, uploads over one another,
and what nobody should send: damaged pictures, nonsense, smuggled requests, forged tokens, connections that say next to nothing.
Every second memory, descriptors, threads and processes are looked at. Exit status 1 if after a third of the time memory still
grows, if descriptors, threads or processes are left over, if hits come to wait longer, or if an answer is not as it should be. Writes a plot to
target/soak.svg. Needs h2load (Debian: nghttp2-client).
"""

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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS, SLICE_S = int(os.environ.get("SOAK_SECONDS", 3600)), 10
TOKEN = "0123456789abcdef" * 2
HIT, CONNECTIONS, SHARE = "/cat_300x200.jpg", 16, 0.8
SMALL = {Path(name).name: ROOT / name for name in [
    *(f"samples/{name}" for name in ("astronaut.jpg", "cat.jpg", "coffee.jpg", "galaxies.webp", "launch.gif", "logo.png")),
    # Each of these starts a process.
    *(f"tests/avif/{name}" for name in ("full-420.avif", "grid-alpha.avif")),
]}
# What may come and go: freed memory that the allocator keeps, connections and threads that are about to end. Threads that wait
# for files come with load, a bounded number, and end ten seconds after it.
SLACK_MB, SLACK_DESCRIPTORS, SLACK_THREADS, SLACK_PROCESSES = 24, 8, 2, 0


def start(folder: Path) -> tuple[subprocess.Popen, str, str]:
    settings = {
        "SERVER__LISTEN": "127.0.0.1:0",
        "SERVER__IDLE_TIMEOUT": "5s",
        "ADMIN__LISTEN": "127.0.0.1:0",
        "LOG__FORMAT": "json",
        "ORIGINALS__STORE": f"file:{folder}/originals",
        "VARIANTS__STORE": f"file:{folder}/variants",
        # Full after a few seconds, as it would be after a few days.
        "CACHE__MEMORY": "8MiB",
        "RATES__VARIANTS_PER_ORIGINAL": "0",
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
    sys.exit("the server does not start")


class Visitors(threading.Thread):
    """All but the hits, until told to leave."""

    def __init__(self, address: str):
        super().__init__()
        self.host, port = address.split(":")
        self.port, self.leave, self.counts, self.wrong = int(port), threading.Event(), {}, []
        self.pictures = {name: path.read_bytes() for name, path in SMALL.items()}

    def run(self):
        asyncio.run(self.all())

    async def all(self):
        kinds = [(self.sized, 0.05, 4), (self.original, 0.1, 1), (self.upload, 0.2, 2), (self.mutated, 0.1, 2)]
        kinds += [(self.nonsense, 0.05, 2), (self.slow, 0.0, 30)]
        tasks = [asyncio.create_task(self.again(kind, pause)) for kind, pause, many in kinds for _ in range(many)]
        while not self.leave.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def again(self, kind, pause):
        # Where it is told to leave in the moment of an answer, asyncio.wait_for forgets that it was cancelled.
        while not self.leave.is_set():
            try:
                await kind()
            except OSError:
                pass
            await asyncio.sleep(pause * (0.5 + random.random()))

    async def ask(self, what: str, request: bytes, allowed: tuple):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), 60)
        except asyncio.TimeoutError:
            self.wrong.append(f"{what}: no answer within a minute to {request[:100]!r}")
            return
        finally:
            writer.close()
        status = int(answer[9:12]) if answer[:5] == b"HTTP/" else 0
        self.counts[f"{what} {status}"] = self.counts.get(f"{what} {status}", 0) + 1
        if status not in allowed:
            self.wrong.append(f"{what}: {answer[:300]!r} to {request[:100]!r}")

    @staticmethod
    def head(line: str, more: str = "") -> bytes:
        return f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode()

    async def sized(self):
        stem, extension = random.choice(list(SMALL)).split(".")
        path = f"/{stem}_{random.randrange(1, 200)}x{random.choice(['', '100', '100_crop'])}.{extension}"
        await self.ask("variant", self.head(f"GET {path}"), (200, 503))

    async def original(self):
        await self.ask("original", self.head(f"GET /{random.choice(list(SMALL))}"), (200,))

    async def put(self, what: str, name: str, body: bytes, allowed: tuple):
        more = f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n"
        await self.ask(what, self.head(f"PUT /upload/{name}", more) + body, allowed)

    async def upload(self):
        name = random.choice(list(SMALL))
        await self.put("upload", f"up/{random.randrange(20)}-{name}", self.pictures[name], (200, 201, 409, 412, 503))

    async def mutated(self):
        name = random.choice(list(SMALL))
        picture = bytearray(self.pictures[name])
        for _ in range(random.randrange(1, 9)):
            picture[random.randrange(min(len(picture), random.choice([300, 1 << 30])))] ^= 1 << random.randrange(8)
        number, (stem, extension) = random.randrange(20), name.split(".")
        await self.put("damaged upload", f"bad/{number}-{name}", bytes(picture[: random.randrange(20, len(picture) + 1)]), (200, 201, 409, 412, 415, 422, 503))
        await self.ask("damaged variant", self.head(f"GET /bad/{number}-{stem}_64x64.{extension}"), (200, 404, 422, 503))

    async def nonsense(self):
        refused = (400, 401, 403, 404, 405, 408, 414, 415, 422, 429, 431)
        bad = random.choice(
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
        await self.ask("nonsense", bad, refused)

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


class Watch(threading.Thread):
    """Memory in MB of 1,000,000 bytes, descriptors, threads, and processes that it has started, once a second."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.rows, self.begin = pid, [], time.monotonic()
        self.start()

    def look(self) -> tuple[float, float, int, int, int]:
        status = Path(f"/proc/{self.pid}/status").read_text()
        number = lambda field: int(re.search(rf"{field}:\s+(\d+)", status)[1])
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
        processes = sum(len(task.read_text().split()) for task in Path(f"/proc/{self.pid}/task").glob("*/children"))
        return time.monotonic() - self.begin, number("VmRSS") * 1024 / 1e6, descriptors, number("Threads"), processes

    def run(self):
        while Path(f"/proc/{self.pid}/status").exists():
            try:
                self.rows.append(self.look())
            except (OSError, TypeError):
                return
            time.sleep(1)


def hits(address: str, folder: Path, seconds: int, rate: float | None) -> tuple[float, float]:
    """Hits a second, and milliseconds at p99."""
    log = folder / "hits.log"
    log.unlink(missing_ok=True)
    pace = [f"--rps={max(rate / CONNECTIONS, 1):.0f}"] if rate else []
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", *pace, f"-D{seconds}", f"--log-file={log}", f"http://{address}{HIT}"]
    subprocess.run(command, capture_output=True, check=True)
    answers = [line.split() for line in log.read_text().splitlines()]
    others = [status for _, status, _ in answers if status != "200"]
    assert answers and not others, f"of {len(answers)} hits {len(others)} were {sorted(set(others))}"
    waits = sorted(int(wait) / 1000 for _, _, wait in answers)
    return len(waits) / seconds, waits[len(waits) * 99 // 100]


def flights(admin: str) -> float:
    numbers = urllib.request.urlopen(f"http://{admin}/metrics").read().decode()
    return float(re.search(r"^resized_flights (\S+)", numbers, re.M)[1])


def line(rows: list) -> tuple[float, float]:
    """The straight line through (x, y), by least squares: its beginning and its slope."""
    slope, begin = statistics.linear_regression(*zip(*rows))
    return begin, slope


def plot(rows: list, memory: tuple, slices: list, path: Path):
    width, height, end = 900, 260, rows[-1][0]

    def panel(top: int, points: list, name: str, extra: str = "") -> str:
        most = max(y for _, y in points) * 1.1
        at = lambda x, y: f"{60 + x / end * (width - 80):.1f},{top + height - 30 - y / most * (height - 60):.1f}"
        text = f'<text x="60" y="{top + 20}">{name}: 0 to {most:.1f}</text>'
        text += f'<polyline fill="none" stroke="#2a6" points="{" ".join(at(*point) for point in points)}"/>'
        if extra == "slope":
            begin, slope = memory
            ends = [(x, begin + slope * x) for x in (end / 3, end)]
            text += f'<polyline fill="none" stroke="#c33" stroke-dasharray="6" points="{" ".join(at(*point) for point in ends)}"/>'
        return text

    panels = [
        panel(0, [(x, memory) for x, memory, *_ in rows], "memory, MB, and its slope after a third", "slope"),
        panel(height, [(x, descriptors) for x, _, descriptors, *_ in rows], "descriptors"),
        panel(2 * height, slices, "hits, ms at p99"),
    ]
    path.parent.mkdir(exist_ok=True)
    style = '<style>text{font:14px sans-serif}</style><rect width="100%" height="100%" fill="white"/>'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{3 * height}">{style}{"".join(panels)}</svg>')


def left_over(after: tuple, before: tuple) -> list[str]:
    names, slacks = ("descriptors", "threads", "processes"), (SLACK_DESCRIPTORS, SLACK_THREADS, SLACK_PROCESSES)
    kinds = zip(names, before[2:], after[2:], slacks)
    return [f"{then} {kind} were there before and {now} are after" for kind, then, now, slack in kinds if now > then + slack]


def judge(rows: list, memory: tuple, slices: list, before: tuple, after: tuple, wrong: list) -> list[str]:
    end, slope = rows[-1][0], memory[1]
    grown, usual = slope * end * 2 / 3, statistics.mean(row[1] for row in rows)
    third = lambda n: [p99 for x, p99 in slices if n * end / 3 <= x < (n + 1) * end / 3 or n == 2 and x >= end]
    problems = wrong[:10]
    if grown > max(SLACK_MB, usual / 20):
        problems.append(f"memory grew by {grown:.1f} MB after a third of the time")
    problems += left_over(after, before)
    if third(1) and third(2) and statistics.median(third(2)) > 2 * statistics.median(third(1)) + 5:
        problems.append(f"hits waited {statistics.median(third(1)):.1f} ms at p99, and later {statistics.median(third(2)):.1f}")
    return problems


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "originals").mkdir()
        for picture in SMALL.values():
            shutil.copy(picture, folder / "originals")
        server, address, admin = start(folder)
        try:
            # Made before it is a hit, however long that takes.
            urllib.request.urlopen(f"http://{address}{HIT}").read()
            hits(address, folder, 1, None)
            watch = Watch(server.pid)
            before = watch.look()
            visitors = Visitors(address)
            visitors.start()
            capacity, _ = hits(address, folder, 5, None)
            rate, slices = SHARE * capacity, []
            while watch.look()[0] < SECONDS:
                slices.append((watch.look()[0], hits(address, folder, SLICE_S, rate)[1]))
            rows = list(watch.rows)
            visitors.leave.set()
            visitors.join()
            # What was under way is finished, and quiet connections end a quarter after server.idle_timeout at the latest.
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and (left_over(watch.look(), before) or flights(admin)):
                time.sleep(0.5)
            after, under_way = watch.look(), flights(admin)
        finally:
            server.terminate()
            ended = server.wait(60)
    memory = line([row[:2] for row in rows if row[0] >= rows[-1][0] / 3])
    plot(rows, memory, slices, ROOT / "target" / "soak.svg")
    problems = judge(rows, memory, slices, before, after, visitors.wrong)
    if under_way:
        problems.append(f"{under_way:.0f} flights are still under way")
    if ended:
        problems.append(f"it ended with status {ended}")
    print(f"{rows[-1][0]:.0f} s, hits at {rate:.0f} /s of {capacity:.0f}: p99 {statistics.median(p99 for _, p99 in slices):.2f} ms")
    print(f"memory {rows[-1][1]:.1f} MB, slope {memory[1] * 3600:+.1f} MB/h after a third")
    most = max(row[3] for row in rows)
    print(f"descriptors {before[2]} before, {after[2]} after; threads {before[3]} before, at most {most}, {after[3]} after")
    print("; ".join(f"{what}: {count}" for what, count in sorted(visitors.counts.items())))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
