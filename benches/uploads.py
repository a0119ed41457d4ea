#!/usr/bin/env python3
"""Hits during uploads: latency at a fixed rate and the maximum rate, without uploads and with many slow ones, in alternating rounds. Also
the additional memory for an upload of 200 MB.

    benches/uploads.py                  200 concurrent slow uploads, 5 rounds of 4 x 5 s, 4,000 hits per second
    SLOW=500 RATE=2000 ROUNDS=3 SECONDS_EACH=10 benches/uploads.py

Needs wrk and h2load (Debian: apt-get install wrk nghttp2-client). The server runs on one core, and all clients run on the other.
"""

import asyncio
import os
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from servers import paced, peak_mb, resized

ROOT = Path(__file__).resolve().parents[1]
SLOW, ROUNDS = int(os.environ.get("SLOW", 200)), int(os.environ.get("ROUNDS", 5))
SECONDS, RATE = int(os.environ.get("SECONDS_EACH", 5)), int(os.environ.get("RATE", 4000))
CONNECTIONS = 16
TOKEN = "0123456789abcdef" * 2
# Each client sends PIECE_BYTES every PAUSE_S: 16 KB per second, as over a slow connection.
PIECE_BYTES, PAUSE_S = 1600, 0.1
# About the duration of one slow upload.
RAMP_S = 2.5
SETTINGS = {
    "LIMITS__ORIGINAL_BYTES": "256MiB",
    "UPLOAD__ENABLED": "true",
    "UPLOAD__TOKEN": TOKEN,
    "UPLOAD__BYTES": "256MiB",
    "UPLOAD__BASE_URL": "http://images.test",
}
PICTURE = (ROOT / "samples" / "cat.jpg").read_bytes()


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


class SlowUploads(threading.Thread):
    """SLOW clients, each of which sends one picture after another until `stopped` is set."""

    def __init__(self, address: str, begin: int):
        super().__init__()
        self.address, self.next, self.done, self.stopped = address, begin, [], threading.Event()
        self.start()

    def run(self):
        # The measuring clients share this core and have priority, since their delays would distort the result.
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        asyncio.run(self.all())

    async def all(self):
        clients = [asyncio.create_task(self.client()) for _ in range(SLOW)]
        while not self.stopped.is_set():
            await asyncio.sleep(0.05)
        for client in clients:
            client.cancel()

    async def client(self):
        # Desynchronizes the clients.
        await asyncio.sleep(random.random() * RAMP_S)
        while True:
            self.next += 1
            self.done.append(await put(self.address, f"slow/{self.next}.jpg", PICTURE, slowly=True))


def hits(address: str, folder: str) -> tuple[float, float, float]:
    """p50 and p99 in milliseconds at the fixed rate, and the maximum requests per second."""
    url = f"http://{address}/cat_300x200.jpg"
    p50, p99 = paced(url, folder, RATE, SECONDS, CONNECTIONS)
    wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    text = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    return p50, p99, float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def main():
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        server, address = resized(folder, SETTINGS, cores="0")
        try:
            asyncio.run(put(address, "cat.jpg", PICTURE, slowly=False))
            hits(address, folder)
            alone, loaded, uploads = [], [], []
            for n in range(ROUNDS):
                alone.append(hits(address, folder))
                slow = SlowUploads(address, n * 1_000_000)
                time.sleep(RAMP_S)
                loaded.append(hits(address, folder))
                slow.stopped.set()
                slow.join()
                uploads += slow.done
            median = lambda rows, at: statistics.median(row[at] for row in rows)
            for name, rows in ("alone", alone), (f"with {SLOW} slow uploads", loaded):
                each = ", ".join(f"{p99:.2f}" for _, p99, _ in rows)
                print(
                    f"hits {name:24}, {RATE} per second: p50 {median(rows, 0):.2f}, p99 {median(rows, 1):.2f} ms ({each}); "
                    f"at most {median(rows, 2):.0f} per second"
                )
            print(f"{len(uploads)} slow uploads finished meanwhile, {uploads.count('201')} of them with 201")
        finally:
            server.terminate()
            server.wait()
    with tempfile.TemporaryDirectory() as folder:
        server, address = resized(folder, SETTINGS, cores="0")
        try:
            asyncio.run(put(address, "cat.jpg", PICTURE, slowly=False))
            idle = peak_mb(server)
            status = asyncio.run(put(address, "large.jpg", PICTURE.ljust(200_000_000, b"\0"), slowly=False))
            print(f"an upload of 200 MB: {status}, {peak_mb(server) - idle:.1f} MB in addition to the {idle:.1f} MB before it")
        finally:
            server.terminate()
            server.wait()


main()
