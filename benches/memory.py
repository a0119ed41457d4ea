#!/usr/bin/env python3
"""Peak memory of the whole server while different originals are resized at once, beyond what it takes idle.

    benches/memory.py PHOTO.jpg              16 originals with these bytes, each asked for once, at the same time
    ORIGINALS=64 benches/memory.py PHOTO.jpg

A new server for each size, on a folder. What the cache holds afterwards is shown too; it is part of the peak.
"""

import os
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

from servers import peak_mb, resized

ROOT = Path(__file__).resolve().parents[1]
ORIGINALS = int(os.environ.get("ORIGINALS", 16))
SIZES = ["_300x.jpg", "_800x.jpg", "_1600x.jpg", "_800x.jpg.webp"]


def measure(photo: Path, size: str) -> tuple[float, float, float]:
    """MB of 1,000,000 bytes: idle, peak, and of variants in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        originals = Path(folder) / "originals"
        originals.mkdir()
        for n in range(ORIGINALS):
            (originals / f"p{n}.jpg").write_bytes(photo.read_bytes())
        server, address = resized(folder, {})
        try:
            idle, made = peak_mb(server), []

            def ask(n: int):
                with urllib.request.urlopen(f"http://{address}/p{n}{size}") as answer:
                    made.append(len(answer.read()))

            clients = [threading.Thread(target=ask, args=(n,)) for n in range(ORIGINALS)]
            [client.start() for client in clients]
            [client.join() for client in clients]
            assert len(made) == ORIGINALS, "not all were answered"
            return idle, peak_mb(server), sum(made) / 1e6
        finally:
            server.terminate()
            server.wait()


def main():
    photo = Path(sys.argv[1])
    print(f"{ORIGINALS} originals of {photo.stat().st_size / 1e6:.1f} MB, MB:\n")
    print("| size | idle | peak | beyond idle | of that in the cache |\n|---|---|---|---|---|")
    for size in SIZES:
        idle, peak, cached = measure(photo, size)
        print(f"| `{size}` | {idle:.0f} | {peak:.0f} | {peak - idle:.0f} | {cached:.1f} |", flush=True)


main()
