"""Makes the sample pictures from the public-domain photographs in scikit-image's wheel.

    python3 -m venv venv
    venv/bin/pip install --no-deps numpy==2.4.6 pillow==13.0.0 scikit-image==0.26.0
    venv/bin/python samples/make.py

The pictures are committed, so this is only run to change them. With these versions it gives the same bytes again.
Where each picture comes from, and under which licence, is in SOURCES.md. Takes half a minute and 1 GB of memory.
"""

from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
# Found without importing scikit-image, which would want SciPy and more.
WHEEL = Path(find_spec("skimage").origin).parent / "data"
ORIENTATION = 0x0112  # Exif 2.32, table 4


def photograph(name):
    return Image.open(WHEEL / name).convert("RGB")


def save_jpeg(picture, name, quality=92, **options):
    (HERE / name).parent.mkdir(exist_ok=True)
    picture.save(HERE / name, quality=quality, subsampling="4:2:0", optimize=True, **options)


def resized(plane, width, height):
    """Lanczos over float planes: (height, width) in, (height, width) out."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS))


def box_mean(plane, radius):
    """Mean over a square window, by running sums."""
    size = 2 * radius + 1
    sums = np.pad(plane, radius, mode="edge").cumsum(axis=0, dtype=np.float64)
    sums = np.vstack([sums[size - 1 : size], sums[size:] - sums[:-size]]).cumsum(axis=1)
    return (np.hstack([sums[:, size - 1 : size], sums[:, size:] - sums[:, :-size]]) / size**2).astype(np.float32)


def around(reach):
    """All offsets up to `reach` away, the nearest first, so that they win where nothing tells them apart."""
    steps = range(-reach, reach + 1)
    return sorted(((down, right) for down in steps for right in steps), key=lambda step: step[0] ** 2 + step[1] ** 2)


def moved(plane, offset):
    return np.roll(plane, (-offset[0], -offset[1]), axis=(0, 1))


def twice(plane):
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def doubled(luma, reach=2):
    """Twice the size, with the detail that Lanczos cannot give taken from the picture itself.

    A photograph resembles itself across scales. So every place of the enlarged picture looks for its like among the
    neighbours of where it came from, in a copy that lost its detail to one halving and doubling, and takes what that
    copy lost there.
    """
    height, width = luma.shape
    large = resized(luma, 2 * width, 2 * height)
    soft = resized(resized(luma, width // 2, height // 2), width, height)
    lost = luma - soft
    best = np.full(large.shape, np.inf, np.float32)
    detail = np.zeros_like(large)
    for offset in around(reach):
        difference = np.zeros_like(large)
        for pixel in around(1):
            # Neighbours stay neighbours on both sides: texture is moved over, not enlarged.
            difference += (moved(large, pixel) - twice(moved(soft, (offset[0] + pixel[0], offset[1] + pixel[1])))) ** 2
        np.copyto(detail, twice(moved(lost, offset)), where=difference < best)
        np.minimum(best, difference, out=best)
    return large + detail


def large_photograph():
    """The coffee at 12 megapixels: edges and texture at every scale, and the grain of a sensor."""
    y, cb, cr = (np.asarray(plane, np.float32) for plane in photograph("coffee.png").convert("YCbCr").split())
    width, height = 4224, 2816
    for _ in range(3):
        y = doubled(y)
    y = resized(y, width, height)
    grain = np.random.Generator(np.random.PCG64(2024)).standard_normal((height, width), dtype=np.float32)
    # Photon noise grows with the root of the light; demosaicing and denoising leave it a little smooth.
    y = y + 0.35 * np.sqrt(np.clip(y, 0, 255) + 8) * (grain + box_mean(grain, 1) * 2)
    planes = [y, resized(cb, width, height), resized(cr, width, height)]
    return Image.merge(
        "YCbCr", [Image.fromarray(np.clip(np.rint(plane), 0, 255).astype(np.uint8)) for plane in planes]
    )


def logo():
    """Sizes within sizes, drawn at four times the size, over a soft shadow: every alpha there is."""
    side = 2048
    shadow = Image.new("L", (side, side))
    ImageDraw.Draw(shadow).rounded_rectangle((260, 320, 1788, 1848), 240, fill=150)
    shadow = shadow.filter(ImageFilter.GaussianBlur(70))
    picture = Image.merge("RGBA", [Image.new("L", (side, side))] * 3 + [shadow])
    draw = ImageDraw.Draw(picture)
    for step, colour in enumerate(["#12324a", "#1f7a8c", "#f2a541", "#fff8e7"]):
        left, bottom, length = 260 + 90 * step, 1788 - 90 * step, 1528 - 360 * step
        box = (left, bottom - length, left + length, bottom)
        draw.rounded_rectangle(box, length // 6, fill=colour)
    return picture.resize((512, 512), Image.Resampling.LANCZOS)


def launch():
    """A camera's way up the rocket, as the frames of a small animation."""
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
    exif[ORIENTATION] = 6  # Turn clockwise to view, as telephones write it when held upright.
    upright = photograph("astronaut.png").crop((32, 0, 416, 512))
    save_jpeg(upright.transpose(Image.Transpose.ROTATE_90), "portrait.jpg", exif=exif)

    photograph("hubble_deep_field.jpg").crop((380, 130, 880, 530)).save(HERE / "galaxies.webp", quality=85, method=6)
    logo().save(HERE / "logo.png", optimize=True)
    first, *rest = launch()
    first.save(HERE / "launch.gif", save_all=True, append_images=rest, duration=120, loop=0, optimize=True)
    save_jpeg(large_photograph(), "large.jpg", quality=80)


if __name__ == "__main__":
    main()
