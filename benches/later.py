"""First views while AVIF is made later, compared to negotiation without AVIF.

    python3 benches/later.py FOLDER [PICTURES] [PAUSE]

Cuts PICTURES (200) pieces of 1200x900 pixels out of the photographs in FOLDER, and views each at 600 pixels as a browser that accepts AVIF and
WebP. One server negotiates WebP only, the other AVIF and WebP. In each of three rounds, with empty stores, all pictures are viewed at the one and
then at the other, one after the other with PAUSE (0.1) seconds between them, in which AVIF may be made. A picture is viewed at the first server
only while the other one has nothing to do.

Prints the ratio of the times of first views per picture (each the median of the rounds), and what the queue has made. Needs Pillow, and
a build of the program: BINARY, by default target/release/resized.
"""

import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from servers import ROOT, Server, free_port

ROUNDS = 3
BROWSER = "image/avif,image/webp,image/apng,*/*;q=0.8"
BINARY = Path(os.environ.get("BINARY", ROOT / "target/release/resized"))
CORES = ",".join(map(str, range(os.cpu_count())))


def cut(folder, count):
    photographs = [path for path in sorted(Path(folder).iterdir()) if path.suffix in (".jpg", ".png")]
    pictures, seed = [], random.Random(1)
    for path in photographs:
        try:
            with Image.open(path) as picture:
                if min(picture.size) >= 900 and max(picture.size) >= 1200:
                    picture.thumbnail((3000, 3000))
                    pictures.append(picture.convert("RGB"))
        except OSError:
            pass
    for n in range(count):
        picture = pictures[n % len(pictures)]
        x, y = (seed.randrange(max(have - want, 0) + 1) for have, want in zip(picture.size, (1200, 900)))
        picture.crop((x, y, x + 1200, y + 900)).save(files / f"{n:03}.jpg", quality=88)


class Negotiating:
    """A server that negotiates these formats, with an empty store."""

    def __init__(self, formats, turn):
        port, self.admin = free_port(), free_port()
        self.store = work / f"variants-{turn}-{len(formats)}"
        settings = work / f"{turn}-{len(formats)}.toml"
        listed = ", ".join(f'"{format}"' for format in formats)
        settings.write_text(f"""
[server]
listen = "127.0.0.1:{port}"
[admin]
listen = "127.0.0.1:{self.admin}"
[originals]
store = "file:{files}"
[variants]
store = "file:{self.store}"
[formats]
negotiate = [{listed}]
[log]
access = false
""")
        self.server = Server("resized", [BINARY, "--config", settings], port, CORES).wait()

    def view(self, n):
        url = f"http://127.0.0.1:{self.server.port}/{n:03}_600x.jpg"
        start = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(url, headers={"accept": BROWSER}), timeout=120) as response:
            size = len(response.read())
            return time.perf_counter() - start, response.headers["content-type"], size

    def metric(self, series):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as response:
            found = re.search(rf"^{re.escape(series)} (\S+)$", response.read().decode(), re.M)
            return float(found[1]) if found else 0.0

    def until_idle(self):
        while self.metric("resized_late_waiting") or self.metric('resized_resize_running{lane="idle"}'):
            time.sleep(0.2)
        time.sleep(0.5)


def first_views(server, count, pause):
    times = []
    for n in range(count):
        times.append(server.view(n)[0])
        time.sleep(pause)
    return times


def main():
    folder, count, pause = sys.argv[1], int((sys.argv[2:] + ["200"])[0]), float((sys.argv[3:] + ["0.1"])[0])
    files.mkdir()
    cut(folder, count)
    times = {"webp": [], "avif": []}
    for turn in range(ROUNDS):
        order = [("webp", ["webp"]), ("avif", ["avif", "webp"])]
        for name, formats in order if turn % 2 == 0 else order[::-1]:
            server = Negotiating(formats, turn)
            try:
                times[name].append(first_views(server, count, pause))
                if name == "avif":
                    made = server.metric('resized_late_variants_total{outcome="made"}')
                    start = time.perf_counter()
                    server.until_idle()
                    report(server, turn, count, made, time.perf_counter() - start)
            finally:
                server.server.stop()
    per_picture = {name: [statistics.median(views) for views in zip(*rounds)] for name, rounds in times.items()}
    ratios = sorted(avif / webp for avif, webp in zip(per_picture["avif"], per_picture["webp"]))
    p95 = ratios[min(len(ratios) - 1, int(len(ratios) * 0.95))]
    milliseconds = {name: statistics.median(views) * 1000 for name, views in per_picture.items()}
    print(f"first view: {milliseconds['webp']:.0f} ms with WebP only, {milliseconds['avif']:.0f} ms with AVIF later")
    print(f"ratio per picture: median {statistics.median(ratios):.3f}, p95 {p95:.3f}")


def report(server, turn, count, made_before, seconds):
    outcome = lambda name: int(server.metric(f'resized_late_variants_total{{outcome="{name}"}}'))
    outcomes = {name: outcome(name) for name in ("made", "not_smaller", "dropped", "limited", "failed")}
    stored = sum(1 for path in server.store.rglob("*.avif"))
    later = [server.view(n) for n in range(count)]
    avif = sum(media_type == "image/avif" for _, media_type, _ in later)
    print(f"round {turn + 1}: {outcomes}, {made_before:.0f} made between the views, the others {seconds:.0f} s later; {stored} AVIF stored; "
          f"later views: {avif} AVIF, {count - avif} others; saved {server.metric('resized_late_saved_bytes_total') / 1e3:.0f} kB, "
          f"{server.metric('resized_late_cpu_seconds_total'):.0f} s CPU", flush=True)


work = Path(tempfile.mkdtemp(prefix="resized-later-"))
files = work / "files"
try:
    main()
finally:
    shutil.rmtree(work, ignore_errors=True)
