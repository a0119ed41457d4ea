//! Files that no honest program writes.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Four formats with a header that promises the most that it can, and nothing behind it.
pub fn giants() -> Vec<(&'static str, Vec<u8>)> {
    let mut jpeg = jpeg_frame(0xC0, 65_535, 65_535);
    jpeg.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\0\0");
    let mut progressive = jpeg_frame(0xC2, 65_535, 65_535);
    progressive.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\0\0\0\0");
    vec![
        ("JPEG", jpeg),
        ("progressive JPEG", progressive),
        ("PNG", png_of(65_535, 65_535, &deflated_zeros(100), &[])),
        ("PNG of one row", png_of(0x7FFF_FFFF, 1, &deflated_zeros(100), &[])),
        ("GIF", gif_frame(65_535, 65_535, 65_535, 65_535)),
        ("lossless WebP", riff(&[(b"VP8L", b"\x2F\xFE\xBF\xFF\x0F\0\0\0")])),
        ("lossy WebP", riff(&[(b"VP8 ", b"\x10\0\0\x9D\x01\x2A\xFF\x3F\xFF\x3F\0\0")])),
        ("extended WebP", riff(&[(b"VP8X", b"\0\0\0\0\xFF\xFF\x00\xFF\xFF\x00"), (b"ALPH", b"\0")])),
    ]
}

/// Zeros, deflated to a thousandth, as a zlib stream (RFC 1950).
pub fn deflated_zeros(bytes: usize) -> Vec<u8> {
    let mut deflater = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(piece.len());
        std::io::Write::write_all(&mut deflater, &piece[..length]).unwrap();
        left -= length;
    }
    deflater.finish().unwrap()
}

/// A black PNG with chunks between its header and its pixels.
pub fn png(width: u32, height: u32, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let row = 1 + 3 * width as usize;
    png_of(width, height, &deflated_zeros(row * height as usize), chunks)
}

/// A PNG of RGB with the pixels' stream as it is.
pub fn png_of(width: u32, height: u32, stream: &[u8], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        file.extend(kind);
        file.extend(data);
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        file.extend(sum.sum().to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat());
    for (kind, data) in chunks {
        chunk(kind, data);
    }
    chunk(b"IDAT", stream);
    chunk(b"IEND", &[]);
    file
}

/// Grey, of one component, up to its frame header.
fn jpeg_frame(marker: u8, width: u16, height: u16) -> Vec<u8> {
    let mut file = b"\xFF\xD8".to_vec();
    file.extend(quantizers());
    file.extend([0xFF, marker, 0, 11, 8]);
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.extend([1, 1, 0x11, 0]);
    // Tables of one code, one bit long, for zero: of DC no difference, of AC the end of the block.
    for class in [0x00, 0x10] {
        file.extend([0xFF, 0xC4, 0, 20, class, 1]);
        file.extend([0; 15]);
        file.push(0);
    }
    file
}

/// A table of quantisers, all one.
pub fn quantizers() -> Vec<u8> {
    [&b"\xFF\xDB\0\x43\0"[..], &[1; 64]].concat()
}

/// Part `n` of a profile in `count`.
pub fn icc_part(n: u8, count: u8) -> Vec<u8> {
    let mut segment = b"\xFF\xE2\x40\x10ICC_PROFILE\0".to_vec();
    segment.extend([n, count]);
    segment.extend([0xAA; 0x4000]);
    segment
}

/// A progressive JPEG whose first scan is of DC and all others say once more that some coefficient is zero.
pub fn jpeg_of_scans(width: u16, height: u16, scans: usize) -> Vec<u8> {
    let mut file = jpeg_frame(0xC2, width, height);
    let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    file.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\0\0");
    file.extend(vec![0; blocks.div_ceil(8)]);
    for n in 1..scans {
        let coefficient = u8::try_from(1 + n % 63).unwrap();
        file.extend(b"\xFF\xDA\0\x08\x01\x01\0");
        file.extend([coefficient, coefficient, 0]);
        file.extend(vec![0; blocks.div_ceil(8)]);
    }
    file.extend(b"\xFF\xD9");
    file
}

/// A small JPEG with `segments` before everything else.
pub fn jpeg_behind(segments: &[u8]) -> Vec<u8> {
    let file = bytes(&gradient(64, 48), ImageFormat::Jpeg);
    [&file[..2], segments, &file[2..]].concat()
}

/// A canvas, and one frame that says it has other sides, with too little behind it.
pub fn gif_frame(width: u16, height: u16, frame_width: u16, frame_height: u16) -> Vec<u8> {
    let mut file = gif_canvas(width, height);
    file.extend([0x2C, 0, 0, 0, 0]);
    file.extend(frame_width.to_le_bytes());
    file.extend(frame_height.to_le_bytes());
    file.extend(b"\0\x02\x02\x44\x01\0\x3B");
    file
}

/// Many frames of one pixel.
pub fn gif_frames(width: u16, height: u16, count: usize) -> Vec<u8> {
    let mut file = gif_canvas(width, height);
    file.extend(b"\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0".repeat(count));
    file.push(0x3B);
    file
}

fn gif_canvas(width: u16, height: u16) -> Vec<u8> {
    let mut file = b"GIF89a".to_vec();
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend(b"\x80\0\0\0\0\0\xFF\xFF\xFF");
    file
}

/// An extended WebP with a canvas, and a lossy picture of other sides in it.
pub fn webp_within(width: u32, height: u32, inner_width: u16, inner_height: u16) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(&(width - 1).to_le_bytes()[..3]);
    header.extend(&(height - 1).to_le_bytes()[..3]);
    let mut picture = b"\x10\0\0\x9D\x01\x2A".to_vec();
    picture.extend(inner_width.to_le_bytes());
    picture.extend(inner_height.to_le_bytes());
    picture.extend([0; 64]);
    riff(&[(b"VP8X", &header), (b"VP8 ", &picture)])
}

/// An animated WebP of 8 by 8 pixels with a frame of other sides, which is lossy and has alpha. Its picture is cut short.
pub fn webp_frame(width: u32, height: u32) -> Vec<u8> {
    let mut frame = vec![0; 6];
    frame.extend(&(width - 1).to_le_bytes()[..3]);
    frame.extend(&(height - 1).to_le_bytes()[..3]);
    frame.extend(b"\x64\0\0\0ALPH\x02\0\0\0\0\0VP8 \0\0\0\0");
    riff(&[(b"VP8X", b"\x12\0\0\0\x07\0\0\x07\0\0"), (b"ANIM", &[0; 6]), (b"ANMF", &frame)])
}

/// An extended WebP of 8 by 8 pixels with a chunk that claims to be long.
pub fn webp_with_chunk(name: &[u8; 4], length: u32) -> Vec<u8> {
    let mut file = riff(&[(b"VP8X", b"\x3C\0\0\0\x07\0\0\x07\0\0"), (b"VP8L", b"\x2F\x07\xC0\x01\0\0\0\0")]);
    file.extend(name);
    file.extend(length.to_le_bytes());
    file.extend([0; 100]);
    file
}

fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, data) in chunks {
        body.extend(*name);
        body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        body.extend(*data);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
}

/// Pictures with something in every row, by the names of the formats that can be cut short.
pub fn photographs() -> Vec<(&'static str, Vec<u8>)> {
    let picture = gradient(600, 400);
    let mut progressive = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut progressive, 90);
    encoder.set_progressive(true);
    encoder.encode(picture.as_bytes(), 600, 400, jpeg_encoder::ColorType::Rgb).unwrap();
    vec![
        ("JPEG", bytes(&picture, ImageFormat::Jpeg)),
        ("progressive JPEG", progressive),
        ("PNG", bytes(&picture, ImageFormat::Png)),
        ("GIF", bytes(&picture, ImageFormat::Gif)),
    ]
}

fn gradient(width: u32, height: u32) -> DynamicImage {
    let channel = |n: u32, of: u32| u8::try_from(n * 255 / of).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([channel(x, width), channel(y, height), channel(x ^ y, 1024)])).into()
}

fn bytes(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
