#!/usr/bin/env python3
"""Latency of hits at a fixed rate, alone and with many idle and slow connections, in alternating rounds.

    benches/connections.py                  5,000 idle and 500 slow connections, 5 rounds of 2 x 5 s, 4,000 hits a second
    IDLE=500 SLOW=50 RATE=1000 ROUNDS=1 SECONDS_EACH=2 RESIZED=target/debug/resized benches/connections.py

A third of the slow connections sends a header one byte at a time, a third sends a body that way, and a third reads a
response that way. Exits with status 1 if the idle and slow connections more than double p99. Needs h2load (Debian:
apt-get install nghttp2-client). The server runs on one core, and the clients run on the other.
"""

import asyncio
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import threading
from pathlib import Path

from servers import paced, resized

ROOT = Path(__file__).resolve().parents[1]
IDLE, SLOW = int(os.environ.get("IDLE", 5000)), int(os.environ.get("SLOW", 500))
ROUNDS, SECONDS = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SECONDS_EACH", 5))
RATE = int(os.environ.get("RATE", 4000))
TOKEN = "0123456789abcdef" * 2
PAUSE_S = 0.5
HIT = "/cat_300x200.jpg"
SETTINGS = {"UPLOAD__ENABLED": "true", "UPLOAD__TOKEN": TOKEN, "UPLOAD__BASE_URL": "http://images.test"}
# The default memory has room for fewer connections.
SETTINGS |= {"MEMORY": "2GiB", "SERVER__CONNECTIONS": "8000"}


class BackgroundConnections(threading.Thread):
    """Idle and slow connections. They stay open until `stop` is set."""

    def __init__(self, address: str):
        super().__init__()
        self.host, port = address.split(":")
        self.port, self.connected, self.stop = int(port), threading.Event(), threading.Event()
        self.start()

    def run(self):
        # The measuring client shares this core and has priority, since its delays would distort the result.
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        asyncio.run(self.all())

    async def all(self):
        kinds = [self.header, self.body, self.reader]
        tasks = [asyncio.create_task(self.idle()) for _ in range(IDLE)]
        tasks += [asyncio.create_task(kinds[n % 3]()) for n in range(SLOW)]
        # Time for all connections to open and send their first bytes.
        await asyncio.sleep(2)
        self.connected.set()
        while not self.stop.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reconnect(self, talk):
        while True:
            try:
                await talk(*await asyncio.open_connection(self.host, self.port, limit=4096))
            except OSError:
                await asyncio.sleep(PAUSE_S)

    async def idle(self):
        async def talk(reader, writer):
            writer.write(f"GET {HIT} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            while await reader.read(65536):
                pass

        await self.reconnect(talk)

    async def trickle(self, head: str, byte: bytes):
        async def talk(reader, writer):
            writer.write(head.encode())
            while not reader.at_eof():
                writer.write(byte)
                await writer.drain()
                await asyncio.sleep(PAUSE_S)

        await self.reconnect(talk)

    async def header(self):
        await self.trickle(f"GET {HIT} HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a")

    async def body(self):
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000000\r\n\r\n"
        await self.trickle(head, b"\xff")

    async def reader(self):
        request = f"GET {HIT} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 100

        async def talk(reader, writer):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            writer.write(request)
            while await reader.read(100):
                await asyncio.sleep(PAUSE_S)

        await self.reconnect(talk)


def main() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "originals").mkdir()
        shutil.copy(ROOT / "samples" / "cat.jpg", Path(folder) / "originals")
        server, address = resized(folder, SETTINGS, cores="0")
        try:
            paced(f"http://{address}{HIT}", folder, RATE, SECONDS)
            alone, loaded = [], []
            for _ in range(ROUNDS):
                alone.append(paced(f"http://{address}{HIT}", folder, RATE, SECONDS))
                background = BackgroundConnections(address)
                background.connected.wait()
                open_now = len(os.listdir(f"/proc/{server.pid}/fd"))
                assert open_now > (IDLE + SLOW) * 0.9, f"only {open_now} descriptors are open; raise ulimit -n"
                loaded.append(paced(f"http://{address}{HIT}", folder, RATE, SECONDS))
                background.stop.set()
                background.join()
        finally:
            server.terminate()
            server.wait()
    median = lambda rows, at: statistics.median(row[at] for row in rows)
    for name, rows in ("alone", alone), (f"with {IDLE} idle and {SLOW} slow connections", loaded):
        each = ", ".join(f"{p99:.2f}" for _, p99 in rows)
        print(f"hits {name}, {RATE} per second: p50 {median(rows, 0):.2f}, p99 {median(rows, 1):.2f} ms ({each})")
    ratio = statistics.median(with_them[1] / without[1] for without, with_them in zip(alone, loaded))
    print(f"p99 ratio, median of the rounds: {ratio:.2f}")
    return 0 if ratio <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
