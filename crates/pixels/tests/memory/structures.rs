//! Pictures that are hard to encode, and files whose structure claims much memory.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use crate::attack::stream_with_groups;
use crate::make;

type Named = (&'static str, Vec<u8>);

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A linear congruential generator (constants from Numerical Recipes).
fn noise() -> impl FnMut() -> u8 {
    let mut seed = 1_u32;
    move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    }
}

/// Noise in every format and color type, and flat and narrow pictures.
pub fn pictures() -> Vec<Named> {
    let mut random = noise();
    let rgb: DynamicImage = RgbImage::from_fn(1200, 900, |_, _| Rgb([(); 3].map(|()| random()))).into();
    let rgba: DynamicImage = RgbaImage::from_fn(1200, 900, |_, _| Rgba([(); 4].map(|()| random()))).into();
    let gray: DynamicImage = GrayImage::from_fn(1200, 900, |_, _| Luma([random()])).into();
    let wide: DynamicImage = RgbaImage::from_fn(16_000, 3, |_, _| Rgba([(); 4].map(|()| random()))).into();
    let tall: DynamicImage = RgbaImage::from_fn(3, 16_000, |_, _| Rgba([(); 4].map(|()| random()))).into();
    vec![
        ("gray PNG", encode(&gray, ImageFormat::Png)),
        ("RGB PNG", encode(&rgb, ImageFormat::Png)),
        ("RGBA PNG", encode(&rgba, ImageFormat::Png)),
        ("RGBA PNG of 16 bits", encode(&rgba.to_rgba16().into(), ImageFormat::Png)),
        ("lossless WebP", encode(&rgba, ImageFormat::WebP)),
        ("JPEG", encode(&rgb, ImageFormat::Jpeg)),
        ("gray JPEG", encode(&gray, ImageFormat::Jpeg)),
        ("CMYK JPEG", jpeg(&rgba, false)),
        ("progressive CMYK JPEG", jpeg(&rgba, true)),
        ("GIF", encode(&rgba, ImageFormat::Gif)),
        ("wide PNG", encode(&wide, ImageFormat::Png)),
        ("wide WebP", encode(&wide, ImageFormat::WebP)),
        ("tall PNG", encode(&tall, ImageFormat::Png)),
        ("tall WebP", encode(&tall, ImageFormat::WebP)),
    ]
}

/// A JPEG whose components are the channels of the picture.
fn jpeg(picture: &DynamicImage, progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.set_progressive(progressive);
    let (width, height) = (picture.width() as u16, picture.height() as u16);
    encoder.encode(picture.as_bytes(), width, height, jpeg_encoder::ColorType::Cmyk).unwrap();
    bytes
}

/// An animated PNG of noise, whose frames all differ.
pub fn animated_png() -> Vec<u8> {
    let (mut file, mut random) = (Vec::new(), noise());
    let mut encoder = png::Encoder::new(&mut file, 300, 200);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(12, 0).unwrap();
    encoder.set_dispose_op(png::DisposeOp::Previous).unwrap();
    encoder.set_blend_op(png::BlendOp::Over).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for _ in 0..12 {
        let frame: Vec<u8> = (0..4 * 300 * 200).map(|_| random()).collect();
        writer.write_image_data(&frame).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// A still lossless WebP, a lossy one with an alpha plane, and animations of each, which define 65,536 groups of prefix
/// codes for a picture of 4x4 pixels.
pub fn webp_with_groups() -> Vec<Named> {
    let still = stream_with_groups(4, 65_536, true);
    let alpha = [&[1][..], &stream_with_groups(4, 65_536, false)].concat();
    let lossy = lossy_frame();
    let chunks =
        |chunks: &[(&[u8; 4], &[u8])]| chunks.iter().flat_map(|(name, data)| chunk(name, data)).collect::<Vec<u8>>();
    let header = |flags: u8| [&[flags, 0, 0, 0][..], &[3, 0, 0, 3, 0, 0]].concat();
    let frame = |image: &[u8]| [&[0, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0, 0, 100, 0, 0, 0][..], image].concat();
    let animation = |image: &[u8]| {
        let frame = frame(image);
        file(&chunks(&[(b"VP8X", &header(0x12)), (b"ANIM", &[0; 6]), (b"ANMF", &frame), (b"ANMF", &frame)]))
    };
    let lossy_image = chunks(&[(b"ALPH", &alpha), (b"VP8 ", &lossy)]);
    vec![
        ("still", file(&chunks(&[(b"VP8L", &still)]))),
        ("alpha of a still", file(&[chunk(b"VP8X", &header(0x10)), lossy_image.clone()].concat())),
        ("animation", animation(&chunk(b"VP8L", &still))),
        ("alpha of an animation", animation(&lossy_image)),
    ]
}

/// A lossy frame of 4x4 pixels.
fn lossy_frame() -> Vec<u8> {
    let limits = pixels::Limits::default();
    let png = encode(&RgbImage::from_pixel(4, 4, Rgb([200, 100, 50])).into(), ImageFormat::Png);
    let header = pixels::Header::read(&png, &limits).unwrap();
    let geometry = pixels::Geometry::Fit { width: std::num::NonZeroU32::new(4), height: None };
    let encoding = pixels::Encoding::WebP(pixels::Quality::new(80).unwrap());
    let output = pixels::OutputSpec { geometry, encoding };
    let webp = pixels::render(&png, &header, output, &pixels::RenderOptions::new(&limits)).unwrap();
    webp[20..].to_vec()
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = &[0][..data.len() % 2];
    [&name[..], &u32::try_from(data.len()).unwrap().to_le_bytes(), data, padding].concat()
}

fn file(chunks: &[u8]) -> Vec<u8> {
    let body = [b"WEBP", chunks].concat();
    [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
}

/// Files whose structure claims much memory.
pub fn files() -> Vec<Named> {
    let zeros = make::deflated_zeros(256 << 20);
    let profile = [&b"p\0\0"[..], &zeros].concat();
    let text = [&b"Comment\0\0"[..], &zeros].concat();
    let large_exif = vec![0x55; 3 << 20];
    let mut files = vec![
        ("wide PNG with a profile", make::png_with_stream(1_000_000, 33, &zeros[..1000], &[(b"iCCP", &profile)])),
        ("complete wide PNG with a profile", make::png(1_000_000, 10, &[(b"iCCP", &profile)])),
        ("PNG with a profile", make::png(64, 64, &[(b"iCCP", &profile)])),
        ("PNG with text", make::png(64, 64, &[(b"zTXt", &text), (b"iTXt", &text), (b"eXIf", &text)])),
        ("PNG with EXIF data", make::png(64, 64, &[(b"eXIf", &large_exif), (b"eXIf", &large_exif)])),
        ("GIF restored to the previous frame", gif(4000, 4000, 1)),
        ("GIF of three frames restored to the previous one", gif(1000, 1000, 3)),
        ("GIF with a first frame larger than its screen", make::gif_frame(8, 8, 2000, 2000)),
        ("GIF with XMP data", gif_with_xmp(900 << 10)),
        ("JPEG of many scans", make::jpeg_with_scans(1000, 1000, 50)),
        ("wide JPEG", make::jpeg_with_scans(65_000, 1, 50)),
        ("JPEG with many profile parts", make::jpeg_with_segments(&make::icc_part(1, 255).repeat(100))),
        ("WebP with 16,384 prefix groups", file(&chunk(b"VP8L", &stream_with_groups(512, 16_384, true)))),
    ];
    files.extend(make::giant_headers());
    files.extend(webp_with_groups());
    files
}

/// A GIF whose frames are all restored to the frame before them.
fn gif(width: u16, height: u16, frames: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[0, 0, 0, 255, 255, 255]).unwrap();
    for n in 0..frames {
        let buffer = vec![(n % 2) as u8; usize::from(width) * usize::from(height)];
        let frame = gif::Frame {
            width,
            height,
            buffer: buffer.into(),
            dispose: gif::DisposalMethod::Previous,
            ..Default::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// A GIF with an extension of `length` bytes of XMP data.
fn gif_with_xmp(length: usize) -> Vec<u8> {
    let small = gif(64, 64, 1);
    // After the header and the color table of two colors.
    let (header, rest) = small.split_at(13 + 6);
    let mut extension = b"\x21\xFF\x0BXMP DataXMP".to_vec();
    for _ in 0..length / 255 {
        extension.push(255);
        extension.extend([b'x'; 255]);
    }
    extension.push(0);
    [header, &extension, rest].concat()
}
