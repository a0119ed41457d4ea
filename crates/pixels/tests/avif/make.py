# Creates AVIF files with avifenc, and the expected output of each with avifdec: planes as .y4m, pixels with alpha as PNG.
# Usage: python3 make.py tests/avif. Needs Pillow 11.3 or later with AVIF, and libavif's tools (Debian: libavif-bin).
import os, struct, subprocess, sys, tempfile
from PIL import Image, ImageDraw, ImageFilter

out = sys.argv[1]
W, H = 46, 34
work = tempfile.mkdtemp()

def picture(alpha):
    im = Image.new('RGBA', (W, H))
    for y in range(H):
        for x in range(W):
            im.putpixel((x, y), (40 + 4 * x, 220 - 5 * y, (5 * x + 4 * y) % 160 + 40, 255))
    d = ImageDraw.Draw(im)
    d.ellipse((4, 5, 22, 23), fill=(200, 30, 30, 255))
    d.rectangle((26, 12, 40, 28), fill=(20, 60, 190, 255))
    im = im.filter(ImageFilter.GaussianBlur(1))
    if alpha:
        a = Image.new('L', (W, H))
        a.putdata([min(255, 6 * (n % W)) for n in range(W * H)])
        im.putalpha(a)
        return im
    return im.convert('RGB')

def path(name): return os.path.join(work, name)

picture(False).save(path('rgb.png'))
picture(True).save(path('rgba.png'))
picture(False).convert('L').save(path('gray.png'))

# An image of four tiles. The minimum tile width is 64 pixels.
tiles = Image.new('RGBA', (128, 128), (230, 220, 200, 255))
d = ImageDraw.Draw(tiles)
d.rectangle((20, 30, 90, 80), fill=(200, 30, 30, 255))
d.rectangle((70, 50, 120, 110), fill=(20, 60, 190, 128))
tiles.save(path('tiles-alpha.png'))
tiles.convert('RGB').save(path('tiles.png'))

# A Display P3 profile, which Pillow does not provide (ICC.1:2022; colorants adapted to D50).
def fixed(n): return struct.pack('>i', round(n * 65536))
def p3():
    xyz = lambda *c: b'XYZ \0\0\0\0' + b''.join(map(fixed, c))
    curve = b'para\0\0\0\0\0\3\0\0' + b''.join(map(fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
    text = 'P3'.encode('utf-16-be')
    name = b'mluc\0\0\0\0' + struct.pack('>II', 1, 12) + b'enUS' + struct.pack('>II', len(text), 28) + text
    parts = [(b'desc', name), (b'cprt', name), (b'wtpt', xyz(0.9642, 1, 0.82491)), (b'rXYZ', xyz(0.515102, 0.241182, -0.001053)),
             (b'gXYZ', xyz(0.291965, 0.692236, 0.041882)), (b'bXYZ', xyz(0.157153, 0.066582, 0.784378)),
             (b'rTRC', curve), (b'gTRC', curve), (b'bTRC', curve)]
    table, data, at = struct.pack('>I', len(parts)), b'', 128 + 4 + 12 * len(parts)
    for tag, part in parts:
        table += tag + struct.pack('>II', at + len(data), len(part))
        data += part + bytes(-len(part) % 4)
    head = struct.pack('>I4sI4s4s4s12s4s', at + len(data), b'\0' * 4, 0x04300000, b'mntr', b'RGB ', b'XYZ ', bytes(12), b'acsp')
    head += bytes(28) + b''.join(map(fixed, (0.9642, 1, 0.82491))) + bytes(48)
    return head + table + data

with open(path('p3.icc'), 'wb') as f: f.write(p3())

def run(*args): subprocess.run(args, check=True, stdout=subprocess.DEVNULL)

def make(name, source, *options, planes=True, pixels=True):
    file = f'{out}/{name}.avif'
    run('avifenc', '-s', '2', '--ignore-exif', '--ignore-xmp', *options, path(source), file)
    if planes: run('avifdec', file, f'{out}/{name}.y4m')
    if pixels: run('avifdec', '-d', '8', '--png-compress', '9', file, f'{out}/{name}.png')
    print(name, os.path.getsize(file))

q = ['--min', '20', '--max', '30', '--minalpha', '10', '--maxalpha', '20']
for yuv in ['420', '422', '444', '400']:
    make(f'full-{yuv}', 'gray.png' if yuv == '400' else 'rgb.png', *q, '-y', yuv)
make('limited-420', 'rgb.png', *q, '-y', '420', '-r', 'limited')
make('ten-420', 'rgb.png', *q, '-y', '420', '-d', '10')
make('twelve-444-limited', 'rgb.png', *q, '-y', '444', '-d', '12', '-r', 'limited')
make('bt709-420', 'rgb.png', *q, '-y', '420', '--cicp', '1/13/1')
make('bt2020-ten-422', 'rgb.png', *q, '-y', '422', '-d', '10', '--cicp', '9/16/9', '-r', 'limited')
make('identity', 'rgb.png', '-l')
make('alpha-420', 'rgba.png', *q, '-y', '420')
make('alpha-444-premultiplied', 'rgba.png', *q, '-y', '444', '-p')
only = dict(planes=False, pixels=False)
make('p3-cicp', 'rgb.png', *q, '-y', '420', '--cicp', '12/13/6', **only)
make('p3-icc', 'rgb.png', *q, '-y', '420', '--icc', path('p3.icc'), **only)
make('cropped', 'rgb.png', *q, '-y', '420', '--crop', '4,6,20,14', **only)
make('grid', 'tiles.png', *q, '-y', '420', '-g', '2x2', planes=False)
make('grid-alpha', 'tiles-alpha.png', *q, '-y', '420', '-g', '2x1', planes=False)
for quarter_turns in range(4):
    for mirror in [None, 1]:
        options = ['--irot', str(quarter_turns)] if quarter_turns else []
        options += ['--imir', str(mirror)] if mirror is not None else []
        name = f'turned-{quarter_turns}' + ('' if mirror is None else '-mirrored')
        make(name, 'rgb.png', '--min', '60', '--max', '63', '-y', '420', *options, **only)
run('avifenc', '-s', '2', '--min', '60', '--max', '63', '-y', '420', path('rgb.png'), path('rgb.png'), f'{out}/sequence.avif')
