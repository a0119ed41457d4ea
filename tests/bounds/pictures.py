"""Pictures that ask a decoder for far more memory than their size suggests, and large valid ones."""

import os
import struct
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def png(width: int, height: int, color_type: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in [(b"IHDR", header), *chunks, (b"IEND", b"")])


def noise_png(side: int) -> bytes:
    """A square RGB picture of noise, which no variant can compress."""
    rows = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    return png(side, side, 2, [(b"IDAT", zlib.compress(rows, 0))])


def wide_profile_png() -> bytes:
    """A PNG of 100,000,000 x 1 pixels whose ICC profile inflates to 790 MB."""
    compressor = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [compressor.compress(block) for _ in range(753)] + [compressor.flush()]
    return png(100_000_000, 1, 0, [(b"iCCP", b"icc\0\0" + b"".join(parts)), (b"IDAT", zlib.compress(b""))])


def previous_gif(side: int = 10_000) -> bytes:
    """A GIF of one frame with the disposal method "restore to previous"."""
    screen = struct.pack("<HHBBB", side, side, 0x91, 0, 0) + bytes(range(12))
    control = b"\x21\xf9\x04" + bytes([3 << 2, 0, 0, 0]) + b"\0"
    descriptor = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0)
    data = lzw_zeros(side * side)
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return b"GIF89a" + screen + control + descriptor + b"\x02" + blocks + b"\0\x3b"


def lzw_zeros(count: int) -> bytes:
    """`count` zero pixels in the LZW code of GIF, minimum code size 2."""
    clear, end, bits, length, out = 4, 5, 0, 0, bytearray()

    def emit(code: int, size: int):
        nonlocal bits, length
        bits |= code << length
        length += size
        while length >= 8:
            out.append(bits & 255)
            bits >>= 8
            length -= 8

    left, size = count, 3
    while left:
        emit(clear, size)
        run, following, size = 1, 6, 3
        while left >= run and following < 4096:
            # The code of a run of n zeros is defined by the code of the run before it.
            emit(0 if run == 1 else 4 + run, size)
            left -= run
            if run > 1:
                following += 1
                if following == 1 << size and size < 12:
                    size += 1
            run += 1
        if left < run:
            while left and following < 4096:
                run = min(left, run - 1)
                emit(0 if run == 1 else 4 + run, size)
                left -= run
                following += 1
                if following == 1 << size and size < 12:
                    size += 1
    emit(end, size)
    emit(0, 7)
    return bytes(out)


class Bits:
    """Bits in the order of VP8L, least significant first (RFC 9649, section 3.2)."""

    def __init__(self):
        self.value, self.length = 0, 0

    def put(self, value: int, length: int) -> "Bits":
        self.value |= value << self.length
        self.length += length
        return self

    def put_copies(self, other: "Bits", count: int):
        eight = sum(other.value << (other.length * i) for i in range(8)).to_bytes(other.length, "little")
        self.put(int.from_bytes(eight * (count // 8), "little"), other.length * count)

    def bytes(self) -> bytes:
        return self.value.to_bytes(self.length // 8 + 1, "little")


def huffman_groups(bits: Bits) -> bytes:
    """The image data of a VP8L picture of at most 4 x 4 pixels with 65,536 Huffman groups, of which one is used."""
    bits.put(0, 1).put(0, 1)  # no transform, no color cache
    bits.put(1, 1).put(0, 3)  # several groups, in blocks of 4 x 4 pixels
    bits.put(0, 1)  # the entropy image has no color cache
    for symbol in (255, 255, 0, 0, 0):  # green and red form the number of the group: 65,535
        bits.put(1, 1).put(0, 1).put(1, 1).put(symbol, 8)
    bits.put_copies(deepest_group(), 65_536)
    return bits.put(0, 512).bytes()


def deepest_group() -> Bits:
    """Five codes, each of the lengths 1, 2, ... 14, 15, 15."""
    order = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    lengths = {symbol: 4 for symbol in range(1, 15)} | {15: 3}
    code = Bits().put(0, 1).put(15, 4)
    for symbol in order:
        code.put(lengths.get(symbol, 0), 3)
    code.put(1, 1).put(1, 3).put(14, 4)  # 16 lengths follow
    # Canonical codes: 15 has the only code of 3 bits, 000; the others follow from 0010, with their first bit first.
    canonical = {15: (0, 3)} | {symbol: (int(f"{symbol + 1:04b}"[::-1], 2), 4) for symbol in range(1, 15)}
    for symbol in [*range(1, 16), 15]:
        code.put(*canonical[symbol])
    group = Bits()
    for _ in range(5):
        group.put(code.value, code.length)
    return group


def riff(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def vp8l(side: int) -> bytes:
    return b"\x2f" + huffman_groups(Bits().put(side - 1, 14).put(side - 1, 14).put(0, 1).put(0, 3))


def extended(flags: int, side: int) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (side - 1).to_bytes(3, "little") * 2


# A gray pixel as a VP8 key frame.
VP8_PIXEL = bytes.fromhex("300100" "9d012a" "01000100" "0ec0fe25a400037000" "000000")


def huffman_still() -> bytes:
    return riff([(b"VP8L", vp8l(4))])


def huffman_alpha() -> bytes:
    """The same image data as the alpha channel of a lossy picture."""
    return riff([extended(0x10, 1), (b"ALPH", b"\x01" + huffman_groups(Bits())), (b"VP8 ", VP8_PIXEL)])


def huffman_animation() -> bytes:
    frame = bytes(6) + (3).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0"
    data = vp8l(4)
    inner = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return riff([extended(0x12, 4), (b"ANIM", bytes(6)), (b"ANMF", frame + inner)])


def deflated_tiff(side: int = 4_000) -> bytes:
    """A TIFF in CMYK, whose only strip inflates to 64 MB."""
    compressor = zlib.compressobj(9)
    block = bytes(4 * side)
    strip = b"".join([compressor.compress(block) for _ in range(side)] + [compressor.flush()])
    fields = {256: side, 257: side, 258: 8, 259: 8, 262: 5, 273: 8, 277: 4, 278: side, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(fields)) + entries + bytes(4)


def empty_bmp(side: int = 5_000) -> bytes:
    """A run-length encoded BMP whose first code ends the picture."""
    header = struct.pack("<IiiHHIIIIII", 40, side, side, 1, 8, 1, 2, 0, 0, 0, 0)
    return b"BM" + struct.pack("<III", 0, 0, 54 + 1024) + header + bytes(1024) + b"\0\x01"


def cut_jxl(side: int = 3_000) -> bytes:
    """A JPEG XL that ends after its header."""
    # Not small, 18 bits of height, the same width, and default metadata.
    bits = 2 << 1 | (side - 1) << 3 | 1 << 21 | 1 << 24
    return b"\xff\x0a" + bits.to_bytes(8, "little")


def used_svg(levels: int = 3) -> bytes:
    """An SVG of about 35,000 elements, most of which are uses of the same paths."""
    groups = ['<g id="g0">' + '<path d="M0 0l1 2 3 4z" stroke="#000"/>' * 15 + "</g>"]
    groups += [f'<g id="g{n}">' + f'<use href="#g{n - 1}"/>' * 10 + "</g>" for n in range(1, levels + 1)]
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><defs>'
    return (head + "".join(groups) + f'</defs><use href="#g{levels}"/></svg>').encode()


def layered_svg(depth: int = 40) -> bytes:
    """An SVG of layers inside of each other, each 25 times as large as the picture."""
    big = '<rect x="-1e6" y="-1e6" width="2e6" height="2e6"/>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    return (head + '<g opacity=".9">' * depth + big + "</g>" * depth + "</svg>").encode()


def heic_tile() -> tuple[bytes, bytes]:
    """The decoder configuration and the codestream of a HEIC test original."""
    file = (ROOT / "crates/pixels/tests/originals/shown.heic").read_bytes()

    def content(kind: bytes) -> bytes:
        at = file.index(kind)
        return file[at + 4 : at - 4 + int.from_bytes(file[at - 4 : at])]

    return content(b"hvcC"), content(b"mdat")


def heic_grid(columns: int = 128, rows: int = 8, side: int = 64) -> bytes:
    """A HEIC of 1,024 tiles, all of which have the same 32 KB of data with one tile at the start."""
    config, stream = heic_tile()
    stream += struct.pack(">IBB", 32_000, 80, 1) + bytes(31_998)
    count, size = columns * rows, (columns * side, rows * side)
    box = lambda kind, *parts: struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)
    idat = box(b"idat", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size), stream)
    ids = range(2, count + 2)
    locations = [struct.pack(">HHHHII", n, 1, 0, 1, *((0, 8) if n == 1 else (8, len(stream)))) for n in [1, *ids]]
    infos = [box(b"infe", struct.pack(">IHH5s", 2 << 24, n, 0, b"grid" if n == 1 else b"hvc1")) for n in [1, *ids]]
    sizes = [box(b"ispe", struct.pack(">III", 0, *each)) for each in [size, (side, side)]]
    links = [struct.pack(">HBB", 1, 1, 1), *[struct.pack(">HBBB", n, 2, 2, 0x83) for n in ids]]
    meta = box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8), b"pict", bytes(13)),
        box(b"pitm", struct.pack(">IH", 0, 1)),
        box(b"iloc", struct.pack(">IHH", 1 << 24, 0x4400, count + 1), *locations),
        box(b"iinf", struct.pack(">IH", 0, count + 1), *infos),
        box(b"iref", bytes(4), box(b"dimg", struct.pack(f">HH{count}H", 1, count, *ids))),
        box(b"iprp", box(b"ipco", *sizes, box(b"hvcC", config)), box(b"ipma", struct.pack(">II", 0, count + 1), *links)),
        idat,
    )
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta


def heic_lie(side: int = 9_000) -> bytes:
    """A HEIC of 64x64 pixels whose container states 81 megapixels."""
    file = (ROOT / "crates/pixels/tests/originals/full-chroma.heic").read_bytes()
    at = file.index(b"ispe") + 8
    return file[:at] + struct.pack(">II", side, side) + file[at + 8 :]


def hostile() -> dict[str, bytes]:
    return {
        "profile.png": wide_profile_png(),
        "groups.webp": huffman_still(),
        "alpha.webp": huffman_alpha(),
        "frames.webp": huffman_animation(),
        "previous.gif": previous_gif(),
        "deflated.tif": deflated_tiff(),
        "empty.bmp": empty_bmp(),
        "cut.jxl": cut_jxl(),
        "used.svg": used_svg(),
        "layered.svg": layered_svg(),
        "grid.heic": heic_grid(),
        "lie.heic": heic_lie(),
    }
