"""The Pillow side of the comparison, for formats that sharp does not read: reads one job per line and answers each with one line."""

import json, os, sys, time
from io import BytesIO

import pillow_heif
import pillow_jxl
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
# One thread, as the others.
pillow_heif.options.DECODE_THREADS = 1

for line in sys.stdin:
    job = json.loads(line)
    cpu, wall = time.process_time(), time.perf_counter()
    with open(job["file"], "rb") as file:
        picture = ImageOps.exif_transpose(Image.open(BytesIO(file.read()))).convert("RGB")
    width = job["width"]
    height = max(1, round(picture.height * width / picture.width))
    made = picture.resize((width, height), Image.LANCZOS, reducing_gap=3.0)
    made.save(job["output"], "JPEG", quality=job["quality"])
    times = {"cpu_ms": 1e3 * (time.process_time() - cpu), "wall_ms": 1e3 * (time.perf_counter() - wall)}
    print(json.dumps({**times, "bytes": os.path.getsize(job["output"])}), flush=True)
