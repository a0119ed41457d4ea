#!/usr/bin/env python3
"""Checks that JPEG variants keep the gain map of an Ultra HDR photograph.

    tests/gain-maps.py target/release/resized photograph.jpg

Makes variants, compares the metadata of their gain maps by exiftool, and compares their HDR renditions with that of the original,
scaled. The limit applies to the mean error of all sizes at quality 100, because a JPEG of the default quality differs by more from
its original even without a gain map. Needs exiftool, and Pillow and NumPy for Python. With the folder of an npm project that has sharp in the variable SHARP, sharp
must find the same gain map.
"""

import io, json, os, subprocess, sys, tempfile, typing

import numpy
from PIL import Image

SIZES = ["1920x", "800x", "600x600_crop", "500x300_crop_left", "97x"]
# Suffixes of the sizes: the quality at which the limit applies, and the default quality.
QUALITIES = ["_q100", ""]
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


class Original(typing.NamedTuple):
    light: numpy.ndarray
    gain_map: Image.Image
    gain_map_bytes: bytes
    values: dict
    size: tuple[int, int]


def check(program, photograph, size, original):
    """Makes a variant and checks its gain map. Returns the error of its HDR rendition, relative to the mean."""
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "made.jpg")
        environment = {**os.environ, "RESIZED_FORMATS__GAIN_MAPS": "true"}
        subprocess.run([program, "resize", "--size", size, photograph, made], check=True, env=environment, capture_output=True)
        shown, (map_image, map_bytes, values) = Image.open(made).size, gain_map(made)
        assert values == original.values, f"{size}: {values} instead of {original.values}"
        ratio = original.gain_map.size[0] / original.size[0]
        assert abs(map_image.size[0] - shown[0] * ratio) <= 1, f"{size}: a map of {map_image.size} for {shown}"
        if sharp := os.environ.get("SHARP"):
            script = "require('sharp')(process.argv[1]).metadata().then(m => process.stdout.write(m.gainMap.image))"
            found = subprocess.run(["node", "-e", script, os.path.abspath(made)], cwd=sharp, check=True, capture_output=True)
            assert found.stdout == map_bytes, f"{size}: sharp finds another gain map"
        warnings = " ".join(exiftool(made, "-validate", "-warning", "-a").decode().split())
        made_light = numpy.maximum(hdr(made), 0) ** (1 / 2.2)
    wanted = scaled(original.light, window(shown, size, original.size), shown)
    error = numpy.abs(made_light - wanted).mean() / wanted.mean()
    map_size = "x".join(map(str, map_image.size))
    print(f"{size:>24}: {shown[0]}x{shown[1]}, map {map_size}, mean error {100 * error:.2f} %; {warnings}")
    return error


def main(program, photograph):
    original = Original(hdr(photograph), *gain_map(photograph), Image.open(photograph).size)
    for quality in QUALITIES:
        errors = [check(program, photograph, size + quality, original) for size in SIZES]
        mean = sum(errors) / len(errors)
        print(f"{'mean':>24}: {100 * mean:.2f} %")
        if quality and mean > ERROR_MAX:
            return f"the mean error is larger than {100 * ERROR_MAX:.0f} %"
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
