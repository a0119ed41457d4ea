# Creates animations of moving shapes with Pillow, and for each a PNG of all frames as Pillow composes them, from top to bottom.
# Usage: python3 make.py tests/animations
import io, sys
from PIL import Image, ImageDraw
out = sys.argv[1]
W, H = 40, 30
def frame(n, alpha):
    im = Image.new('RGBA', (W, H), (0, 0, 0, 0) if alpha else (230, 220, 200, 255))
    d = ImageDraw.Draw(im)
    d.rectangle((4 + 6 * n, 5, 12 + 6 * n, 14), fill=(200, 30, 30, 255))
    d.ellipse((28 - 5 * n, 14, 38 - 5 * n, 26), fill=(20, 60, 190, 255))
    return im
for name, fmt, alpha, kw in [
    ('kept.gif', 'GIF', False, dict(disposal=1, loop=0)),
    ('cleared.gif', 'GIF', True, dict(disposal=2, loop=3)),
    ('restored.gif', 'GIF', True, dict(disposal=3)),
    ('blended.webp', 'WEBP', True, dict(lossless=True, loop=2)),
    ('lossy.webp', 'WEBP', False, dict(quality=80, loop=0)),
]:
    frames = [frame(n, alpha) for n in range(5)]
    frames[0].save(f'{out}/{name}', fmt, save_all=True, append_images=frames[1:], duration=[50, 120, 0, 80, 200], **kw)
    im = Image.open(f'{out}/{name}')
    strip = Image.new('RGBA', (W, H * im.n_frames))
    info = []
    for n in range(im.n_frames):
        im.seek(n)
        im.load()
        info.append(im.info.get('duration'))
        strip.paste(im.convert('RGBA'), (0, H * n))
    strip.save(f'{out}/{name}.png', optimize=True)
    print(name, im.n_frames, info, im.info.get('loop'))
