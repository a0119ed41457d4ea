"""Makes the originals of this folder and the picture that they show: python3 make.py (Pillow, tifffile, imagecodecs, libjxl).

All show shown.png, which has a red left half, a blue right half and a white corner at the top left. Lossy ones show it
approximately.
"""

import struct
import subprocess
import tempfile

import numpy
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
