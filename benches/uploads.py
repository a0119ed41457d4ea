#!/usr/bin/env python3
"""Uploads and hits on one server: the latency of hits without uploads and beside slow ones, round by round, and the memory
that one upload of 200 MB takes beyond idle.

    benches/uploads.py                  200 slow uploads at once, 5 rounds of 2 x 5 s
    SLOW=500 ROUNDS=3 SECONDS_EACH=10 benches/uploads.py

Needs wrk (Debian: apt-get install wrk). The server runs on one core, wrk and the clients that upload on the other.
"""

import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOW, ROUNDS = int(os.environ.get("SLOW", 200)), int(os.environ.get("ROUNDS", 5))
SECONDS = int(os.environ.get("SECONDS_EACH", 5))
TOKEN = "0123456789abcdef" * 2
# Each client sends so much, so often: 16 KB a second, as over a bad line.
PIECE_BYTES, PAUSE_S = 1600, 0.1
# About as long as one upload takes so.
RAMP_S = 2.5
PICTURE = (ROOT / "samples" / "cat.jpg").read_bytes()


def start(folder: str) -> tuple[subprocess.Popen, str]:
    settings = {
        "SERVER__LISTEN": "127.0.0.1:0",
        "ADMIN__LISTEN": "",
        "LOG__FORMAT": "json",
        "ORIGINALS__STORE": f"file:{folder}/originals",
        "VARIANTS__STORE": f"file:{folder}/variants",
        "LIMITS__ORIGINAL_BYTES": "256MiB",
        "UPLOAD__ENABLED": "true",
        "UPLOAD__TOKEN": TOKEN,
        "UPLOAD__BYTES": "256MiB",
        "UPLOAD__BASE_URL": "http://images.test",
    }
    program = Path(os.environ.get("RESIZED", ROOT / "target" / "release" / "resized")).resolve()
    server = subprocess.Popen(
        ["taskset", "-c", "0", program],
        env=os.environ | {f"RESIZED_{name}": value for name, value in settings.items()},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in server.stderr:
        if found := re.search(r'"listening".*?"address":"([^"]+)"', line) or re.search(r'"address":"([^"]+)".*?"listening"', line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, found[1]
    sys.exit("the server does not start")


async def put(address: str, name: str, body: bytes, slowly: bool) -> str:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT /upload/{name} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode())
    step = PIECE_BYTES if slowly else len(body)
    for first in range(0, len(body), step):
        writer.write(body[first : first + step])
        await writer.drain()
        await asyncio.sleep(PAUSE_S if slowly else 0)
    status = (await reader.readline()).decode().split(" ")[1]
    writer.close()
    return status


class Slow(threading.Thread):
    """So many clients, each sending one picture after the other, until it is stopped."""

    def __init__(self, address: str, begin: int):
        super().__init__()
        self.address, self.next, self.done, self.stopped = address, begin, [], threading.Event()
        self.start()

    def run(self):
        # wrk is on this core too: it must not be what waits, or its own waiting would be measured.
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        asyncio.run(self.all())

    async def all(self):
        clients = [asyncio.create_task(self.client()) for _ in range(SLOW)]
        while not self.stopped.is_set():
            await asyncio.sleep(0.05)
        for client in clients:
            client.cancel()

    async def client(self):
        # Clients do not come in step.
        await asyncio.sleep(random.random() * RAMP_S)
        while True:
            self.next += 1
            self.done.append(await put(self.address, f"slow/{self.next}.jpg", PICTURE, slowly=True))


def hits(address: str) -> tuple[float, float]:
    """Milliseconds at p99, and requests a second."""
    wrk = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{SECONDS}s", "--latency", f"http://{address}/cat_300x200.jpg"]
    text = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit], float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def resident(server: subprocess.Popen, field: str) -> float:
    """MB of 1,000,000 bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024 / 1e6


def main():
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        server, address = start(folder)
        try:
            asyncio.run(put(address, "cat.jpg", PICTURE, slowly=False))
            hits(address)
            alone, beside, uploads = [], [], []
            for n in range(ROUNDS):
                alone.append(hits(address))
                slow = Slow(address, n * 1_000_000)
                time.sleep(RAMP_S)
                beside.append(hits(address))
                slow.stopped.set()
                slow.join()
                uploads += slow.done
            median = lambda rows, at: statistics.median(row[at] for row in rows)
            for name, rows in ("alone", alone), (f"beside {SLOW} slow uploads", beside):
                each = ", ".join(f"{p99:.2f}" for p99, _ in rows)
                print(f"hits {name:28} p99 {median(rows, 0):6.2f} ms ({each})  {median(rows, 1):8.0f} /s")
            print(f"{len(uploads)} slow uploads ended meanwhile, {uploads.count('201')} of them 201")
        finally:
            server.terminate()
            server.wait()
    with tempfile.TemporaryDirectory() as folder:
        server, address = start(folder)
        try:
            asyncio.run(put(address, "cat.jpg", PICTURE, slowly=False))
            idle = resident(server, "VmHWM")
            status = asyncio.run(put(address, "large.jpg", PICTURE.ljust(200_000_000, b"\0"), slowly=False))
            print(f"an upload of 200 MB: {status}, {resident(server, 'VmHWM') - idle:.1f} MB beyond the {idle:.1f} MB before it")
        finally:
            server.terminate()
            server.wait()


main()
