#!/usr/bin/env python3
"""Peak memory of the server while it resizes different originals at the same time.

    benches/memory.py PHOTO.jpg              16 copies of the picture, each requested once, all at the same time
    ORIGINALS=64 benches/memory.py PHOTO.jpg

Starts a new server with folders as stores for each size. The peak includes the cached variants, whose size is also shown.
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
    """Returns the idle memory, the peak memory, and the size of the cached variants, in MB of 1,000,000 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        originals = Path(folder) / "originals"
        originals.mkdir()
        for n in range(ORIGINALS):
            (originals / f"p{n}.jpg").write_bytes(photo.read_bytes())
        server, address = resized(folder, {})
        try:
            idle, made = peak_mb(server), []

            def ask(n: int):
                with urllib.request.urlopen(f"http://{address}/p{n}{size}") as response:
                    made.append(len(response.read()))

            clients = [threading.Thread(target=ask, args=(n,)) for n in range(ORIGINALS)]
            [client.start() for client in clients]
            [client.join() for client in clients]
            assert len(made) == ORIGINALS, "not every request succeeded"
            return idle, peak_mb(server), sum(made) / 1e6
        finally:
            server.terminate()
            server.wait()


def main():
    photo = Path(sys.argv[1])
    print(f"{ORIGINALS} originals of {photo.stat().st_size / 1e6:.1f} MB, MB:\n")
    print("| size | idle | peak | difference | of that in the cache |\n|---|---|---|---|---|")
    for size in SIZES:
        idle, peak, cached = measure(photo, size)
        print(f"| `{size}` | {idle:.0f} | {peak:.0f} | {peak - idle:.0f} | {cached:.1f} |", flush=True)


main()
