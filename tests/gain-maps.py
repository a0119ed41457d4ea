#!/usr/bin/env python3
"""Checks that JPEG variants keep the gain map of an Ultra HDR photograph.

    tests/gain-maps.py target/release/resized photograph.jpg

Makes variants, compares the metadata of their gain maps by exiftool, and compares their HDR renditions with those of the original,
scaled. Needs exiftool, and Pillow and NumPy for Python. With the folder of an npm project that has sharp in the variable SHARP, sharp
must find the same gain map.
"""

import io, json, os, subprocess, sys, tempfile

import numpy
from PIL import Image

SIZES = ["1920x", "800x", "600x600_crop", "500x300_crop_left", "97x"]
ERROR_MAX = 0.02


def exiftool(path, *options):
    return subprocess.run(["exiftool", *options, path], check=True, capture_output=True).stdout


def gain_map(path):
    """The second image, and the values that describe it."""
    image = exiftool(path, "-b", "-MPImage2")
    described = subprocess.run(["exiftool", "-j", "-n", "-XMP-hdrgm:all", "-"], input=image, check=True, capture_output=True)
    values = json.loads(described.stdout)[0]
    values.pop("SourceFile")
    return Image.open(io.BytesIO(image)), image, values


def hdr(path):
    """Linear light of the HDR rendition (Android, Ultra HDR Image Format 1.1)."""
    base = Image.open(path).convert("RGB")
    image, _, values = gain_map(path)
    linear = numpy.asarray(base, dtype=float) / 255
    linear = numpy.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    recovery = numpy.asarray(image.convert("L").resize(base.size, Image.BILINEAR), dtype=float)[..., None] / 255
    recovery = recovery ** (1 / float(values.get("Gamma", 1)))
    low, high = float(values.get("GainMapMin", 0)), float(values["GainMapMax"])
    sdr, hdr = float(values.get("OffsetSDR", 1 / 64)), float(values.get("OffsetHDR", 1 / 64))
    return (linear + sdr) * 2 ** (low + recovery * (high - low)) - hdr


def scaled(light, box, size):
    """The part of an image in linear light, averaged to a size. Gamma-encoded, as variants are scaled."""
    encoded = numpy.maximum(light, 0) ** (1 / 2.2)
    channels = [
        Image.fromarray(encoded[..., n].astype(numpy.float32)).resize(size, Image.LANCZOS, box=box) for n in range(3)
    ]
    return numpy.stack([numpy.asarray(channel) for channel in channels], axis=-1)


def window(size, name, original):
    """The part of the original that a crop shows."""
    (width, height), (whole_width, whole_height) = size, original
    if "crop" not in name:
        return (0, 0, whole_width, whole_height)
    scale = min(whole_width / width, whole_height / height)
    across, down = width * scale, height * scale
    x = 0 if "left" in name else (whole_width - across) / 2
    y = (whole_height - down) / 2
    return (x, y, x + across, y + down)


def main(program, photograph):
    light, (original_map, _, expected) = hdr(photograph), gain_map(photograph)
    whole = Image.open(photograph).size
    failed = False
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            made = os.path.join(folder, "made.jpg")
            environment = {**os.environ, "RESIZED_FORMATS__GAIN_MAPS": "true"}
            subprocess.run([program, "resize", "--size", size, photograph, made], check=True, env=environment, capture_output=True)
            shown, (map_image, map_bytes, values) = Image.open(made).size, gain_map(made)
            assert values == expected, f"{size}: {values} instead of {expected}"
            ratio = original_map.size[0] / whole[0]
            assert abs(map_image.size[0] - shown[0] * ratio) <= 1, f"{size}: a map of {map_image.size} for {shown}"
            warnings = exiftool(made, "-validate", "-warning", "-a").decode()
            made_light = numpy.maximum(hdr(made), 0) ** (1 / 2.2)
            wanted = scaled(light, window(shown, size, whole), shown)
            error = numpy.abs(made_light - wanted).mean() / wanted.mean()
            verdict = "ok" if error <= ERROR_MAX else "TOO LARGE"
            failed |= error > ERROR_MAX
            print(f"{size:>20}: {shown[0]}x{shown[1]}, map {map_image.size[0]}x{map_image.size[1]}, mean error {100 * error:.2f} % {verdict}; {' '.join(warnings.split())}")
            if sharp := os.environ.get("SHARP"):
                script = "require('sharp')(process.argv[1]).metadata().then(m => process.stdout.write(m.gainMap.image))"
                found = subprocess.run(["node", "-e", script, os.path.abspath(made)], cwd=sharp, check=True, capture_output=True)
                assert found.stdout == map_bytes, f"{size}: sharp finds another gain map"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
