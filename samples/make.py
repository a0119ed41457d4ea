"""Creates the sample images from the public-domain photographs in the scikit-image wheel.

    python3 -m venv venv
    venv/bin/pip install --no-deps numpy==2.4.6 pillow==13.0.0 scikit-image==0.26.0
    venv/bin/python samples/make.py

The images are committed, so the script is needed only to change them. With these versions its output is reproducible byte for byte.
SOURCES.md lists the origin and the license of each image. The script takes half a minute and 1 GB of memory.
"""

from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
# Located without importing scikit-image, which needs SciPy and more.
WHEEL = Path(find_spec("skimage").origin).parent / "data"
ORIENTATION = 0x0112  # Exif 2.32, table 4


def photograph(name):
    return Image.open(WHEEL / name).convert("RGB")


def save_jpeg(image, name, quality=92, **options):
    (HERE / name).parent.mkdir(exist_ok=True)
    image.save(HERE / name, quality=quality, subsampling="4:2:0", optimize=True, **options)


def resized(plane, width, height):
    """Resize a float plane of shape (height, width) with a Lanczos filter."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS))


def box_mean(plane, radius):
    """Return the mean over a square window, computed with running sums."""
    size = 2 * radius + 1
    sums = np.pad(plane, radius, mode="edge").cumsum(axis=0, dtype=np.float64)
    sums = np.vstack([sums[size - 1 : size], sums[size:] - sums[:-size]]).cumsum(axis=1)
    return (np.hstack([sums[:, size - 1 : size], sums[:, size:] - sums[:, :-size]]) / size**2).astype(np.float32)


def offsets(reach):
    """Return all offsets up to `reach`, the nearest first, so that ties go to the nearest."""
    steps = range(-reach, reach + 1)
    return sorted(((down, right) for down in steps for right in steps), key=lambda step: step[0] ** 2 + step[1] ** 2)


def shifted(plane, offset):
    return np.roll(plane, (-offset[0], -offset[1]), axis=(0, 1))


def repeated(plane):
    """Double the size by repeating each sample."""
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def doubled(luma, reach=2):
    """Double the size of a luma plane, with synthesized detail.

    Photographs are self-similar across scales. For each pixel of the enlarged plane, the function searches the
    neighborhood of the source pixel for the most similar place in a blurred copy of the plane, which was halved and
    enlarged again. It then adds the detail that the copy lost at that place.
    """
    height, width = luma.shape
    large = resized(luma, 2 * width, 2 * height)
    soft = resized(resized(luma, width // 2, height // 2), width, height)
    lost = luma - soft
    best = np.full(large.shape, np.inf, np.float32)
    detail = np.zeros_like(large)
    for offset in offsets(reach):
        difference = np.zeros_like(large)
        for pixel in offsets(1):
            # Offsets are the same at both sizes, so that texture is copied and not enlarged.
            difference += (shifted(large, pixel) - repeated(shifted(soft, (offset[0] + pixel[0], offset[1] + pixel[1])))) ** 2
        np.copyto(detail, repeated(shifted(lost, offset)), where=difference < best)
        np.minimum(best, difference, out=best)
    return large + detail


def large_photograph():
    """Return the coffee photograph at 12 megapixels, with texture at every scale and sensor noise."""
    y, cb, cr = (np.asarray(plane, np.float32) for plane in photograph("coffee.png").convert("YCbCr").split())
    width, height = 4224, 2816
    for _ in range(3):
        y = doubled(y)
    y = resized(y, width, height)
    grain = np.random.Generator(np.random.PCG64(2024)).standard_normal((height, width), dtype=np.float32)
    # Photon noise grows with the square root of the intensity. Demosaicing and denoising smooth it a little.
    y = y + 0.35 * np.sqrt(np.clip(y, 0, 255) + 8) * (grain + box_mean(grain, 1) * 2)
    planes = [y, resized(cb, width, height), resized(cr, width, height)]
    return Image.merge(
        "YCbCr", [Image.fromarray(np.clip(np.rint(plane), 0, 255).astype(np.uint8)) for plane in planes]
    )


def logo():
    """Return nested squares over a soft shadow, with all alpha values. It is drawn at four times its size."""
    side = 2048
    shadow = Image.new("L", (side, side))
    ImageDraw.Draw(shadow).rounded_rectangle((260, 320, 1788, 1848), 240, fill=150)
    shadow = shadow.filter(ImageFilter.GaussianBlur(70))
    image = Image.merge("RGBA", [Image.new("L", (side, side))] * 3 + [shadow])
    draw = ImageDraw.Draw(image)
    for step, color in enumerate(["#12324a", "#1f7a8c", "#f2a541", "#fff8e7"]):
        left, bottom, length = 260 + 90 * step, 1788 - 90 * step, 1528 - 360 * step
        box = (left, bottom - length, left + length, bottom)
        draw.rounded_rectangle(box, length // 6, fill=color)
    return image.resize((512, 512), Image.Resampling.LANCZOS)


def launch():
    """Return the frames of an animation in which the camera pans up the rocket."""
    sky = photograph("rocket.jpg").resize((480, 320), Image.Resampling.LANCZOS)
    return [sky.crop((120, top, 360, top + 160)).quantize(128) for top in range(160, -1, -20)]


def main():
    save_jpeg(photograph("chelsea.png"), "cat.jpg")
    save_jpeg(photograph("astronaut.png"), "astronaut.jpg")
    save_jpeg(photograph("coffee.png"), "coffee.jpg")
    copyfile(WHEEL / "rocket.jpg", HERE / "rocket.jpg")
    copyfile(WHEEL / "hubble_deep_field.jpg", HERE / "hubble.jpg")
    save_jpeg(photograph("coffee.png").crop((150, 20, 550, 320)), "photos/Café crème.jpg")

    exif = Image.Exif()
    exif[ORIENTATION] = 6  # Rotate clockwise to view, as phones write it when held upright.
    upright = photograph("astronaut.png").crop((32, 0, 416, 512))
    save_jpeg(upright.transpose(Image.Transpose.ROTATE_90), "portrait.jpg", exif=exif)

    photograph("hubble_deep_field.jpg").crop((380, 130, 880, 530)).save(HERE / "galaxies.webp", quality=85, method=6)
    logo().save(HERE / "logo.png", optimize=True)
    first, *rest = launch()
    first.save(HERE / "launch.gif", save_all=True, append_images=rest, duration=120, loop=0, optimize=True)
    save_jpeg(large_photograph(), "large.jpg", quality=80)


if __name__ == "__main__":
    main()
