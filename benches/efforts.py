#!/usr/bin/env python3
"""CPU time, bytes and ssimulacra2 by effort of the JPEG, PNG and WebP encoders. SCORE prints ssimulacra2 of the second PNG beside the first.
    benches/efforts.py BINARY SCORE PHOTOS
"""
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

RUNS = 5
PNG = [("paper_alpha_3mp.png", "512x"), ("paper_alpha_3mp.png", "1400x"), ("flat_6mp.png", "512x"), ("flat_6mp.png", "1600x"),
       ("medium_4mp_422.jpg", "512x")]
JPEG = [("medium_4mp_422.jpg", "800x"), ("street_12mp_420.jpg", "800x"), ("harbour_6mp.jpg", "300x")]
WEBP = [("medium_4mp_422.jpg", "512x"), ("street_12mp_420.jpg", "800x"), ("tree.webp", "512x")]


def cpu_milliseconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


def made(binary, photo, size, out, settings):
    """Median CPU time in milliseconds, and bytes."""
    times = []
    for _ in range(RUNS):
        start = cpu_milliseconds()
        subprocess.run([binary, "resize", "-s", size, photo, out], check=True, capture_output=True, env={**os.environ, **settings})
        times.append(cpu_milliseconds() - start)
    return statistics.median(times), out.stat().st_size


def main(binary, score, photos):
    photos = Path(photos)
    with tempfile.TemporaryDirectory() as folder:
        out, reference, decoded = (Path(folder, name) for name in ["out.png", "reference.png", "decoded.png"])
        for name, size in PNG:
            for effort in ["fast", "default", "small"]:
                time, length = made(binary, photos / name, size, out, {"RESIZED_FORMATS__PNG_EFFORT": effort})
                print(f"{name} {size} png {effort}: {time:.0f} ms, {length} bytes", flush=True)
        out = out.with_suffix(".jpg")
        for name, size in JPEG:
            made(binary, photos / name, size, reference, {})
            for effort, progressive in [("fast", "false"), ("fast", "true"), ("small", "true")]:
                settings = {"RESIZED_FORMATS__JPEG_EFFORT": effort, "RESIZED_FORMATS__JPEG_PROGRESSIVE": progressive}
                time, length = made(binary, photos / name, size, out, settings)
                Image.open(out).convert("RGB").save(decoded)
                shown = subprocess.run([score, reference, decoded], check=True, capture_output=True, text=True).stdout.strip()
                kind = "progressive" if progressive == "true" else "baseline"
                print(f"{name} {size} jpg {effort} {kind}: {time:.0f} ms, {length} bytes, ssimulacra2 {shown}", flush=True)
        out = out.with_suffix(".webp")
        for name, size in WEBP:
            made(binary, photos / name, size, reference, {})
            for effort in range(7):
                time, length = made(binary, photos / name, size, out, {"RESIZED_FORMATS__WEBP_EFFORT": str(effort)})
                Image.open(out).convert("RGB").save(decoded)
                shown = subprocess.run([score, reference, decoded], check=True, capture_output=True, text=True).stdout.strip()
                print(f"{name} {size} webp {effort}: {time:.0f} ms, {length} bytes, ssimulacra2 {shown}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
