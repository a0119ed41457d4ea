"""Makes the originals of this folder and the picture that they show: python3 make.py (Pillow, pillow-heif,
tifffile, imagecodecs, libjxl).

All show shown.png, which has a red left half, a blue right half and a white corner at the top left. Lossy ones show it
approximately.
"""

import io
import struct
import subprocess
import tempfile

import numpy
import pillow_heif
import tifffile
from PIL import Image

W, H = 24, 16
# Files that only cjxl reads. The folder is removed at exit.
folder = tempfile.TemporaryDirectory()
scratch = folder.name
shown = Image.new("RGB", (W, H))
for y in range(H):
    for x in range(W):
        shown.putpixel((x, y), (200, 40, 40) if x < W // 2 else (40, 40, 200))
for y in range(4):
    for x in range(4):
        shown.putpixel((x, y), (255, 255, 255))
shown.save("shown.png", optimize=True)
gray = shown.convert("L")
alpha = shown.convert("RGBA")
alpha.putalpha(Image.linear_gradient("L").resize((W, H)))
alpha.save("alpha.png", optimize=True)
gray.save("gray.png", optimize=True)


shown.save("rgb.bmp")
shown.quantize(8).save("palette.bmp")
# Without masks, the fourth byte of a pixel has no meaning.
alpha.save("without-masks.bmp")
masks = struct.pack("<IiiHHIIIIII4I", 108, W, -H, 1, 32, 3, 0, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
with open("alpha.bmp", "wb") as file:
    file.write(b"BM" + struct.pack("<III", 0, 0, 14 + len(masks)) + masks + alpha.tobytes("raw", "BGRA"))
alpha.save("png.ico", sizes=[(16, 16), (W, H)], append_images=[alpha])
alpha.save("bitmap.ico", sizes=[(W, H)], bitmap_format="bmp", append_images=[alpha])
shown.save("raw.tif")
for compression in ["tiff_lzw", "tiff_adobe_deflate", "packbits"]:
    shown.save(f"{compression.removeprefix('tiff_')}.tif", compression=compression)
shown.save("jpeg.tif", compression="jpeg", quality=95)
shown.quantize(8).save("palette.tif")
gray.save("gray.tif")
gray.point(lambda level: 255 if level > 100 else 0).convert("1").save("bilevel.tif")
gray.point(lambda level: 255 if level > 100 else 0).convert("1").save("group4.tif", compression="group4")
gray.point(lambda level: 255 if level > 100 else 0).save("bilevel.png")
shown.convert("CMYK").save("cmyk.tif")
alpha.save("alpha.tif")
pixels = numpy.array(shown)
words = pixels.astype(numpy.uint16) * 257
tifffile.imwrite("sixteen.tif", words, photometric="rgb", metadata=None)
tifffile.imwrite("big-endian.tif", words, photometric="rgb", byteorder=">", compression="zlib", metadata=None)
tifffile.imwrite("planar.tif", pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", metadata=None)
tifffile.imwrite("tiled.tif", pixels, photometric="rgb", tile=(16, 16), compression="lzw", metadata=None)
tifffile.imwrite("float.tif", pixels[:4, :4].astype(numpy.float32) / 255, photometric="rgb", metadata=None)
# Turned by 90 degrees, with the orientation that turns it back.
shown.transpose(Image.Transpose.ROTATE_90).save("turned.tif", tiffinfo={274: 6})
pages = [shown, Image.new("RGB", (8, 8))]
pages[0].save("pages.tif", save_all=True, append_images=pages[1:])


def cjxl(source, name, *options):
    subprocess.run(["cjxl", source, name, "--quiet", *options], check=True)


cjxl("shown.png", "lossless.jxl", "-d", "0")
cjxl("shown.png", "lossy.jxl", "-d", "0.5")
cjxl("shown.png", "progressive.jxl", "-d", "0.5", "-p")
cjxl("gray.png", "gray.jxl", "-d", "0")
cjxl("alpha.png", "alpha.jxl", "-d", "0")
cjxl("shown.png", "container.jxl", "-d", "0", "--container=1")
with open(f"{scratch}/sixteen.ppm", "wb") as file:
    file.write(b"P6 %d %d 65535\n" % (W, H) + words.astype(">u2").tobytes())
cjxl(f"{scratch}/sixteen.ppm", "sixteen.jxl", "-d", "0")
# PFM is linear, from the bottom row to the top.
linear = pixels.astype(numpy.float64) / 255
linear = numpy.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4).astype("<f4")
with open(f"{scratch}/shown.pfm", "wb") as file:
    file.write(b"PF\n%d %d\n-1.0\n" % (W, H) + linear[::-1].tobytes())
cjxl(f"{scratch}/shown.pfm", "linear-float.jxl", "-d", "0", "-x", "color_space=RGB_D65_SRG_Rel_Lin")
# A JPEG with an EXIF orientation: the codestream and the EXIF data have the orientation.
exif = Image.Exif()
exif[274] = 6
shown.transpose(Image.Transpose.ROTATE_90).save(f"{scratch}/turned.jpg", quality=95, exif=exif)
cjxl(f"{scratch}/turned.jpg", "turned.jxl", "--lossless_jpeg=1")
frames = [shown, Image.new("RGB", (W, H))]
frames[0].save(f"{scratch}/animated.gif", save_all=True, append_images=frames[1:], duration=100)
cjxl(f"{scratch}/animated.gif", "animated.jxl", "-d", "0")

pillow_heif.register_heif_opener()
shown.save("shown.heic", quality=95)
shown.save("full-chroma.heic", quality=95, chroma=444)
shown.save("half-chroma.heic", quality=95, chroma=422)
PACKET = b"""<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' photoshop:Credit='Agency' photoshop:City='Bonn'/>
</rdf:RDF></x:xmpmeta>"""
gray.save("gray.heic", quality=95, xmp=PACKET)
alpha.save("alpha.heic", quality=95)
deep = pillow_heif.from_bytes(mode="RGB;16", size=(W, H), data=words.tobytes())
deep.save("ten.heic", quality=95)
exif[274] = 6
shown.transpose(Image.Transpose.ROTATE_90).save("turned.heic", quality=95, exif=exif.tobytes())


def boxes(data):
    """The boxes in data, as pairs of type and content."""
    found, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, data[at + 8 : at + length]))
        at += length
    return found


def box(kind, *parts):
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def tile(picture):
    """The decoder configuration and the codestream of a picture of 64x64 pixels."""
    file = io.BytesIO()
    picture.save(file, "HEIF", quality=95)
    content = dict(boxes(file.getvalue()))
    properties = dict(boxes(dict(boxes(content[b"meta"][4:]))[b"iprp"]))
    return dict(boxes(properties[b"ipco"]))[b"hvcC"], content[b"mdat"]


# shown.png enlarged six times, as a grid of 3x2 tiles. Item 1 is the grid, and the tiles are items 2 to 7.
large = shown.resize((6 * W, 6 * H), Image.Resampling.NEAREST)
cuts = [large.crop((64 * x, 64 * y, 64 * x + 64, 64 * y + 64)) for y in range(2) for x in range(3)]
tiles = [tile(cut) for cut in cuts]
idat = box(b"idat", struct.pack(">BBBBHH", 0, 0, 1, 2, *large.size))
infos = [box(b"infe", struct.pack(">IHH5s", 2 << 24, n, 0, kind)) for n, kind in enumerate([b"grid", *[b"hvc1"] * 6], 1)]
sizes = [box(b"ispe", struct.pack(">III", 0, *size)) for size in [large.size, (64, 64)]]
configs = [box(b"hvcC", config) for config, _ in tiles]
links = struct.pack(">IIHBB", 0, 7, 1, 1, 1)
links += b"".join(struct.pack(">HBBB", n, 2, 2, 0x80 | n + 1) for n in range(2, 8))
ftyp = box(b"ftyp", b"heic\0\0\0\0mif1heic")


def meta(start):
    places = [(1, 0, 8)]
    for _, stream in tiles:
        places.append((0, start, len(stream)))
        start += len(stream)
    locations = [struct.pack(">HHHHII", n, method, 0, 1, at, length) for n, (method, at, length) in enumerate(places, 1)]
    return box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8), b"pict", bytes(13)),
        box(b"pitm", struct.pack(">IH", 0, 1)),
        box(b"iloc", struct.pack(">IHH", 1 << 24, 0x4400, 7), *locations),
        box(b"iinf", struct.pack(">IH", 0, 7), *infos),
        box(b"iref", bytes(4), box(b"dimg", struct.pack(">HH6H", 1, 6, *range(2, 8)))),
        box(b"iprp", box(b"ipco", *sizes, *configs), box(b"ipma", links)),
        idat,
    )


with open("grid.heic", "wb") as file:
    file.write(ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", *[stream for _, stream in tiles]))

# Five frames of a square that moves over shown.png, with different durations.
def moving(picture):
    frames = [picture.copy() for _ in range(5)]
    for n, frame in enumerate(frames):
        frame.paste((40, 200, 40), (4 * n, 4, 4 * n + 8, 12))
    return frames


DURATIONS = [100, 50, 200, 40, 300]
for name, picture in [("animated.avif", shown), ("animated-alpha.avif", alpha)]:
    frames = moving(picture)
    frames[0].save(name, save_all=True, append_images=frames[1:], duration=DURATIONS, quality=90)
frames = moving(alpha)
# Opposite corners change, so that each frame has the size of the canvas: cjxl does not keep what lies outside of smaller ones.
for n, frame in enumerate(frames):
    frame.putpixel((0, 0), (50 * n, 0, 0, 255))
    frame.putpixel((W - 1, H - 1), (50 * n, 0, 0, 255))
frames[0].save(f"{scratch}/animated.png", save_all=True, append_images=frames[1:], duration=DURATIONS, loop=3)
cjxl(f"{scratch}/animated.png", "animated-alpha.jxl", "-d", "0")
