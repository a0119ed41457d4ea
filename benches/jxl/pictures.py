#!/usr/bin/env python3
"""Makes 24 pictures from eight photographs: the photographs, their centers, three screenshots, three drawings, and two logos
with alpha.
   benches/jxl/pictures.py FOLDER PHOTO...
"""
import pathlib
import random
import sys

from PIL import Image, ImageDraw, ImageFont, ImageOps

Image.MAX_IMAGE_PIXELS = None
WORDS = "the quick brown fox jumps over lazy dogs while seven wizards box with quartz and judges vow".split()


def photographs(folder, paths):
    for path in paths:
        picture = ImageOps.exif_transpose(Image.open(path).convert("RGB"))
        picture.thumbnail((2400, 2400), Image.LANCZOS)
        name = pathlib.Path(path).stem.split("_")[0]
        picture.save(folder / f"{name}.png", compress_level=1)
        (width, height), half = picture.size, min(picture.size) // 3
        box = (width // 2 - half, height // 2 - half, width // 2 + half, height // 2 + half)
        picture.crop(box).save(folder / f"{name}-center.png", compress_level=1)


def text(draw, x, y, width, lines, size, fill, rnd):
    font = ImageFont.load_default(size)
    for n in range(lines):
        line = ""
        while draw.textlength(line, font=font) < width * 0.8:
            line += rnd.choice(WORDS) + " "
        draw.text((x, y + n * size * 1.5), line, font=font, fill=fill)


def screenshots(folder, rnd):
    themes = [
        ("white", "#2255aa", "#eeeeee", "#d0d8e8", "black", 22, "#222222"),
        ("#1e1e1e", "#333344", "#252530", "#3a3a50", "#dddddd", 20, "#c8d0e0"),
        ("#f4f6f8", "#ffffff", "#e3e8ee", "#ffffff", "#223344", 26, "#223344"),
    ]
    for n, (ground, bar, side, button, label, size, ink) in enumerate(themes):
        picture = Image.new("RGB", (1600, 1000), ground)
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, 0, 1600, 60), fill=bar)
        draw.rectangle((0, 60, 240, 1000), fill=side)
        for k in range(12):
            draw.rounded_rectangle((20, 90 + k * 60, 220, 130 + k * 60), 8, fill=button)
            draw.text((40, 100 + k * 60), rnd.choice(WORDS), font=ImageFont.load_default(18), fill=label)
        text(draw, 280, 100, 1200, 20, size, ink, rnd)
        picture.save(folder / f"screen{n}.png")


def drawings(folder, rnd):
    def color():
        return tuple(rnd.randint(40, 250) for _ in range(3))

    chart = Image.new("RGB", (1400, 900), "white")
    draw = ImageDraw.Draw(chart)
    for k in range(14):
        draw.rectangle((80 + k * 90, 820 - rnd.randint(100, 700), 140 + k * 90, 820), fill=color())
    draw.line((60, 20, 60, 830, 1380, 830), fill="black", width=3)
    text(draw, 100, 20, 700, 2, 28, "black", rnd)
    chart.save(folder / "chart.png")
    circles = Image.new("RGB", (1500, 1000), "#cfe8ff")
    draw = ImageDraw.Draw(circles)
    for _ in range(60):
        x, y, r = rnd.randint(0, 1500), rnd.randint(0, 1000), rnd.randint(20, 160)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=color(), outline="black", width=4)
    circles.save(folder / "drawing.png")
    poster = Image.new("RGB", (1500, 1000))
    draw = ImageDraw.Draw(poster)
    for y in range(1000):
        draw.line((0, y, 1500, y), fill=(40 + y // 5, 80 + y // 10, 220 - y * 3 // 25))
    for _ in range(25):
        x, y = rnd.randint(0, 1400), rnd.randint(500, 900)
        peak = (x + rnd.randint(60, 300), y - rnd.randint(100, 400))
        draw.polygon((x, y, *peak, x + rnd.randint(300, 500), y + 100), fill=(40, 60 + rnd.randint(0, 120), 40))
    poster.save(folder / "poster.png")


def logos(folder):
    for n in range(2):
        logo = Image.new("RGBA", (2400, 1600), (0, 0, 0, 0))
        draw = ImageDraw.Draw(logo)
        draw.ellipse((200, 200, 1400, 1400), fill=(220, 40 + n * 100, 60, 255))
        draw.ellipse((500, 500, 1100, 1100), fill=(255, 255, 255, 128 * n))
        draw.rounded_rectangle((1300, 500, 2200, 1100), 120, fill=(30, 60, 160, 255))
        draw.text((1400, 650), "Logo", font=ImageFont.load_default(300), fill=(255, 255, 255, 255))
        logo.resize((1200, 800), Image.LANCZOS).save(folder / f"logo{n}.png")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rnd = random.Random(7)
    photographs(folder, sys.argv[2:])
    screenshots(folder, rnd)
    drawings(folder, rnd)
    logos(folder)


main()
