#!/usr/bin/env python3
"""Bytes of JPEG XL at the ssimulacra2 of JPEG and AVIF at their default qualities, and CPU time of making them.
   SCORE=PROGRAM benches/jxl/compare.py RESIZED PICTURE...
SCORE names a program that prints the ssimulacra2 of each further PNG compared to the first, one per line. RESIZED is the
program to measure. Pictures with alpha are compared by bytes only. djxl decodes JPEG XL, and RESIZED decodes the rest.
"""
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

SIDES = (300, 800)
QUALITIES = (20, 30, 40, 50, 60, 70, 80, 88, 95)
OTHERS = (("jpg", 30), ("jpg", 50), ("jpg", 65), ("jpg", 80), ("jpg", 90), ("avif", 60))


def run(*command):
    """Runs a command. Returns its output and its CPU time in seconds, that of its own children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def made(program, picture, side, extension, quality, folder):
    """Makes a variant. Returns its bytes, its CPU time, and a PNG of it."""
    path = folder / f"{picture.stem}-{side}-{quality}.{extension}"
    size = f"{side}x{side}_q{quality}" if quality else f"{side}x{side}"
    _, seconds = run(program, "resize", "--size", size, picture, path)
    png = path.with_suffix(f".{extension}.png")
    if extension == "jxl":
        run("djxl", path, png)
    elif extension != "png":
        run(program, "resize", "--size", "4096x4096", path, png)
    return path.stat().st_size, seconds, path if extension == "png" else png


def interpolated(points, at):
    points = sorted(points)
    for (low, first), (high, second) in zip(points, points[1:]):
        if low <= at <= high and high > low:
            return first + (second - first) * (at - low) / (high - low)
    return None


def measured(program, picture, side, folder):
    """For each other file: its format and quality, the bytes of JPEG XL at its score relative to its bytes, the quality of
    JPEG XL at its score, and the CPU time of encoding each, in seconds."""
    _, _, reference = made(program, picture, side, "png", None, folder)
    ours = [(quality, *made(program, picture, side, "jxl", quality, folder)) for quality in QUALITIES]
    others = [(*other, *made(program, picture, side, *other, folder)) for other in OTHERS]
    pngs = [png for *_, png in ours + others]
    scores = [float(score) for score in run(os.environ["SCORE"], reference, *pngs)[0].split()]
    curve = [(score, math.log(size), quality) for (quality, size, *_), score in zip(ours, scores)]
    seconds = next(seconds for quality, _, seconds, _ in ours if quality == 80)
    for (extension, quality, size, other_seconds, _), score in zip(others, scores[len(ours):]):
        logarithm = interpolated([(at, log) for at, log, _ in curve], score)
        same = interpolated([(at, quality) for at, _, quality in curve], score)
        if logarithm is not None:
            yield extension, quality, score, math.exp(logarithm) / size, same, seconds, other_seconds


def main():
    program, pictures = sys.argv[1], [pathlib.Path(name) for name in sys.argv[2:]]
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for picture in pictures:
            if picture.stem.startswith("logo"):
                continue
            for side in SIDES:
                for row in measured(program, picture, side, pathlib.Path(folder)):
                    print(picture.stem, side, *(f"{n:.3f}" if isinstance(n, float) else n for n in row), flush=True)
                    rows.setdefault((side, *row[:2]), []).append(row[3:])
    print("side, format, quality: pictures, mean ratio of bytes, mean quality, CPU ms of JPEG XL and of the format")
    for key, values in sorted(rows.items()):
        ratio, quality, ours, theirs = (statistics.mean(column) for column in zip(*values))
        print(*key, len(values), f"{ratio:.3f} {quality:.1f} {1000 * ours:.0f} {1000 * theirs:.0f}")


main()
