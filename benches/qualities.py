#!/usr/bin/env python3
"""Qualities of WebP and AVIF that have the ssimulacra2 of a JPEG. SCORE prints ssimulacra2 of the second PNG beside the first.
    benches/qualities.py BINARY SCORE PHOTO...
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image

QUALITIES = [20, 30, 40, 50, 60, 70, 80, 85, 90, 95]
SIZE = "512x"


def scores(binary, score, photo, extension, folder):
    """ssimulacra2 at each quality."""
    environment = {**os.environ, "RESIZED_FORMATS__COLOR": "srgb"}
    reference, out, decoded = folder / "reference.png", folder / f"out.{extension}", folder / "decoded.png"
    render = lambda size, to: subprocess.run([binary, "resize", "-s", size, photo, to], check=True, capture_output=True, env=environment)
    render(SIZE, reference)
    found = []
    for quality in QUALITIES:
        render(f"{SIZE}_q{quality}", out)
        Image.open(out).convert("RGB").save(decoded, compress_level=1)
        found.append(float(subprocess.run([score, reference, decoded], check=True, capture_output=True, text=True).stdout))
    return found


def main(binary, score, *photos):
    with tempfile.TemporaryDirectory() as name:
        equal = {"webp": [], "avif": []}
        for photo in photos:
            of_jpeg = scores(binary, score, photo, "jpg", Path(name))
            for extension, columns in equal.items():
                columns.append(numpy.interp(of_jpeg, scores(binary, score, photo, extension, Path(name)), QUALITIES))
    for row, quality in enumerate(QUALITIES):
        values = {extension: [round(column[row]) for column in columns] for extension, columns in equal.items()}
        print(quality, *(f"{extension} {of_pictures}" for extension, of_pictures in values.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
