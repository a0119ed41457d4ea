//! Malicious files that no encoder writes.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Headers with the largest size that their format allows, followed by almost no data.
pub fn giant_headers() -> Vec<(&'static str, Vec<u8>)> {
    let mut jpeg = jpeg_frame(0xC0, 65_535, 65_535);
    jpeg.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\0\0");
    let mut progressive = jpeg_frame(0xC2, 65_535, 65_535);
    progressive.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\0\0\0\0");
    vec![
        ("JPEG", jpeg),
        ("progressive JPEG", progressive),
        ("PNG", png_with_stream(65_535, 65_535, &deflated_zeros(100), &[])),
        ("PNG of one row", png_with_stream(0x7FFF_FFFF, 1, &deflated_zeros(100), &[])),
        ("GIF", gif_frame(65_535, 65_535, 65_535, 65_535)),
        ("lossless WebP", riff(&[(b"VP8L", b"\x2F\xFE\xBF\xFF\x0F\0\0\0")])),
        ("lossy WebP", riff(&[(b"VP8 ", b"\x10\0\0\x9D\x01\x2A\xFF\x3F\xFF\x3F\0\0")])),
        ("extended WebP", riff(&[(b"VP8X", b"\0\0\0\0\xFF\xFF\x00\xFF\xFF\x00"), (b"ALPH", b"\0")])),
    ]
}

/// A zlib stream (RFC 1950) of zeros, a thousandth of their size.
pub fn deflated_zeros(bytes: usize) -> Vec<u8> {
    let mut deflater = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let chunk = vec![0; 1 << 20];
    let mut remaining = bytes;
    while remaining > 0 {
        let length = remaining.min(chunk.len());
        std::io::Write::write_all(&mut deflater, &chunk[..length]).unwrap();
        remaining -= length;
    }
    deflater.finish().unwrap()
}

/// A black RGB PNG with additional chunks between the header and the pixels.
pub fn png(width: u32, height: u32, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let row = 1 + 3 * width as usize;
    png_with_stream(width, height, &deflated_zeros(row * height as usize), chunks)
}

/// An RGB PNG with a given zlib stream as its pixel data.
pub fn png_with_stream(width: u32, height: u32, stream: &[u8], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
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

/// Inserts a chunk after the header of a PNG.
pub fn with_png_chunk(file: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let (header, rest) = file.split_at(33);
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    let length = u32::try_from(data.len()).unwrap();
    [header, &length.to_be_bytes(), kind, data, &sum.sum().to_be_bytes(), rest].concat()
}

/// The start of a gray JPEG, up to its Huffman tables.
fn jpeg_frame(marker: u8, width: u16, height: u16) -> Vec<u8> {
    let mut file = b"\xFF\xD8".to_vec();
    file.extend(quantizers());
    file.extend([0xFF, marker, 0, 11, 8]);
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.extend([1, 1, 0x11, 0]);
    // One-bit codes for the symbol 0: no difference (DC) and end of block (AC).
    for class in [0x00, 0x10] {
        file.extend([0xFF, 0xC4, 0, 20, class, 1]);
        file.extend([0; 15]);
        file.push(0);
    }
    file
}

/// A DQT segment in which all quantizers are 1.
pub fn quantizers() -> Vec<u8> {
    [&b"\xFF\xDB\0\x43\0"[..], &[1; 64]].concat()
}

/// The APP2 segment for part `n` of `count` of an ICC profile.
pub fn icc_part(n: u8, count: u8) -> Vec<u8> {
    let mut segment = b"\xFF\xE2\x40\x10ICC_PROFILE\0".to_vec();
    segment.extend([n, count]);
    segment.extend([0xAA; 0x4000]);
    segment
}

/// A progressive JPEG with one DC scan. All other scans code a single AC coefficient, which is zero in each block.
pub fn jpeg_with_scans(width: u16, height: u16, scans: usize) -> Vec<u8> {
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

/// A small JPEG with additional segments at its start.
pub fn jpeg_with_segments(segments: &[u8]) -> Vec<u8> {
    let file = encode(&gradient(64, 48), ImageFormat::Jpeg);
    [&file[..2], segments, &file[2..]].concat()
}

/// A GIF canvas with one frame of another size and too little data.
pub fn gif_frame(width: u16, height: u16, frame_width: u16, frame_height: u16) -> Vec<u8> {
    let mut file = gif_canvas(width, height);
    file.extend([0x2C, 0, 0, 0, 0]);
    file.extend(frame_width.to_le_bytes());
    file.extend(frame_height.to_le_bytes());
    file.extend(b"\0\x02\x02\x44\x01\0\x3B");
    file
}

/// A GIF whose first frame has one pixel, and whose second frame has another size and too little data.
pub fn gif_with_second_frame(width: u16, height: u16, second_width: u16, second_height: u16) -> Vec<u8> {
    let mut file = gif_canvas(width, height);
    for (width, height) in [(1, 1), (second_width, second_height)] {
        file.extend([0x2C, 0, 0, 0, 0]);
        file.extend(u16::to_le_bytes(width));
        file.extend(u16::to_le_bytes(height));
        file.extend(b"\0\x02\x02\x44\x01\0");
    }
    file.push(0x3B);
    file
}

/// A GIF with many frames of one pixel.
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

/// An extended WebP whose lossy image has another size than its canvas.
pub fn webp_with_inner_size(width: u32, height: u32, inner_width: u16, inner_height: u16) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(&(width - 1).to_le_bytes()[..3]);
    header.extend(&(height - 1).to_le_bytes()[..3]);
    let mut image = b"\x10\0\0\x9D\x01\x2A".to_vec();
    image.extend(inner_width.to_le_bytes());
    image.extend(inner_height.to_le_bytes());
    image.extend([0; 64]);
    riff(&[(b"VP8X", &header), (b"VP8 ", &image)])
}

/// An animated WebP of 8 x 8 pixels with a truncated lossy frame of another size, with alpha.
pub fn webp_frame(width: u32, height: u32) -> Vec<u8> {
    let mut frame = vec![0; 6];
    frame.extend(&(width - 1).to_le_bytes()[..3]);
    frame.extend(&(height - 1).to_le_bytes()[..3]);
    frame.extend(b"\x64\0\0\0ALPH\x02\0\0\0\0\0VP8 \0\0\0\0");
    riff(&[(b"VP8X", b"\x12\0\0\0\x07\0\0\x07\0\0"), (b"ANIM", &[0; 6]), (b"ANMF", &frame)])
}

/// An extended WebP of 8 x 8 pixels with a chunk whose length field exceeds its data.
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

/// Images with content in every row, in the formats that decode partially when truncated.
pub fn images() -> Vec<(&'static str, Vec<u8>)> {
    let image = gradient(600, 400);
    let mut progressive = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut progressive, 90);
    encoder.set_progressive(true);
    encoder.encode(image.as_bytes(), 600, 400, jpeg_encoder::ColorType::Rgb).unwrap();
    vec![
        ("JPEG", encode(&image, ImageFormat::Jpeg)),
        ("progressive JPEG", progressive),
        ("PNG", encode(&image, ImageFormat::Png)),
        ("GIF", encode(&image, ImageFormat::Gif)),
    ]
}

fn gradient(width: u32, height: u32) -> DynamicImage {
    let channel = |n: u32, of: u32| u8::try_from(n * 255 / of).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([channel(x, width), channel(y, height), channel(x ^ y, 1024)])).into()
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn iso_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&u32::try_from(8 + content.len()).unwrap().to_be_bytes()[..], kind, content].concat()
}

/// The types and contents of consecutive boxes of ISO base media files.
fn iso_boxes(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(*head[..4].first_chunk().unwrap()) as usize;
        found.push((*head[4..].first_chunk().unwrap(), &bytes[8..length]));
        bytes = &bytes[length..];
    }
    found
}

/// An image sequence with `tracks` copies of the first track of `animation`, each of which states 65,536 samples.
pub fn avif_of_many_tracks(animation: &[u8], tracks: usize) -> Vec<u8> {
    const SAMPLES: u32 = 65_536;
    const SAMPLE_BYTES: u32 = 24;
    let child = |content: &'_ [u8], kind: &[u8; 4]| -> Vec<u8> {
        iso_boxes(content).into_iter().find(|(found, _)| found == kind).unwrap().1.to_vec()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let brands = iso_box(b"ftyp", b"avis\0\0\0\0avisavif");
    let data_offset = u32::try_from(brands.len()).unwrap() + 8;
    let trak = child(&child(animation, b"moov"), b"trak");
    let stbl = child(&child(&child(&trak, b"mdia"), b"minf"), b"stbl");
    let first = u32::from_be_bytes(*child(&stbl, b"stco")[8..12].first_chunk().unwrap()) as usize;
    let mut data = animation[first..first + SAMPLE_BYTES as usize].to_vec();
    data.resize((SAMPLES * SAMPLE_BYTES) as usize, 0);
    // Copies a box with other tables of samples.
    fn copy(kind: [u8; 4], content: &[u8], tables: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
        if let Some((_, table)) = tables.iter().find(|(table, _)| *table == kind) {
            return iso_box(&kind, table);
        }
        match &kind {
            b"trak" | b"mdia" | b"minf" | b"stbl" => {
                let children = iso_boxes(content).into_iter().map(|(kind, content)| copy(kind, content, tables));
                iso_box(&kind, &children.collect::<Vec<_>>().concat())
            }
            _ => iso_box(&kind, content),
        }
    }
    let tables = [
        (*b"stsz", words(&[0, SAMPLE_BYTES, SAMPLES])),
        (*b"stsc", words(&[0, 1, 1, SAMPLES, 1])),
        (*b"stco", words(&[0, 1, data_offset])),
        (*b"stts", words(&[0, 1, SAMPLES, 1])),
    ];
    let track = copy(*b"trak", &trak, &tables);
    [brands, iso_box(b"mdat", &data), iso_box(b"moov", &track.repeat(tracks))].concat()
}
