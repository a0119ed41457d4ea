//! Animated PNG, compared to a painter that draws one pixel at a time.

use std::time::Duration;

use png::{BlendOp, DisposeOp};

use super::animations::frames;
use super::*;
use crate::codec::animation::AnimationFrames;
use crate::codec::png::animation::PngFrames;
use crate::codec::png::chunks::write_chunk;
use crate::error::AnimationLimit;

/// A frame of one color.
#[derive(Clone, Copy)]
struct Painted {
    /// x, y, width, height.
    rect: [u32; 4],
    color: [u8; 4],
    dispose: DisposeOp,
    blend: BlendOp,
    /// Numerator and denominator of the delay in seconds.
    delay: (u16, u16),
}

const SIZE: (u32, u32) = (24, 16);

/// Frames with every way to be blended and disposed.
fn painted() -> [Painted; 6] {
    use BlendOp::{Over, Source};
    use DisposeOp::{Background, None, Previous};
    let frame = |rect, color, dispose, blend, delay| Painted { rect, color, dispose, blend, delay };
    [
        frame([0, 0, 24, 16], [200, 30, 30, 255], None, Source, (50, 1000)),
        frame([4, 2, 10, 9], [0, 200, 0, 128], Previous, Over, (12, 100)),
        frame([10, 5, 14, 11], [0, 0, 250, 255], Background, Source, (0, 0)),
        frame([1, 1, 20, 4], [250, 250, 0, 60], None, Source, (3, 10)),
        frame([0, 3, 3, 3], [9, 9, 9, 200], Background, Over, (20, 0)),
        frame([23, 15, 1, 1], [255; 4], None, Over, (1, 1)),
    ]
}

/// Encodes the frames, which repeat `plays` times. With `hidden`, the default image is blue and not one of them.
fn encoded(frames: &[Painted], plays: u32, hidden: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(u32::try_from(frames.len()).unwrap(), plays).unwrap();
    encoder.set_sep_def_img(hidden).unwrap();
    let mut writer = encoder.write_header().unwrap();
    let data = |color: [u8; 4], pixels: u32| color.repeat(pixels as usize);
    if hidden {
        writer.write_image_data(&data([0, 0, 255, 255], SIZE.0 * SIZE.1)).unwrap();
    }
    for Painted { rect: [x, y, width, height], color, dispose, blend, delay } in frames.iter().copied() {
        writer.reset_frame_position().unwrap();
        writer.set_frame_dimension(width, height).unwrap();
        writer.set_frame_position(x, y).unwrap();
        writer.set_frame_delay(delay.0, delay.1).unwrap();
        writer.set_dispose_op(dispose).unwrap();
        writer.set_blend_op(blend).unwrap();
        writer.write_image_data(&data(color, width * height)).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// The canvas after each frame (PNG, third edition, section 11.3.2).
fn shown(frames: &[Painted]) -> Vec<RgbaImage> {
    let mut canvas = RgbaImage::new(SIZE.0, SIZE.1);
    let mut shown = Vec::new();
    for Painted { rect: [left, top, width, height], color, dispose, blend, .. } in frames.iter().copied() {
        let before = canvas.clone();
        let pixels = || (top..top + height).flat_map(move |y| (left..left + width).map(move |x| (x, y)));
        for (x, y) in pixels() {
            let below = canvas.get_pixel(x, y).0.map(f64::from);
            let (alpha, rest) = (f64::from(color[3]) / 255.0, below[3] / 255.0 * (1.0 - f64::from(color[3]) / 255.0));
            let mean = |n: usize| ((f64::from(color[n]) * alpha + below[n] * rest) / (alpha + rest)).round() as u8;
            let blended = [mean(0), mean(1), mean(2), ((alpha + rest) * 255.0).round() as u8];
            canvas.put_pixel(x, y, Rgba(if blend == BlendOp::Over { blended } else { color }));
        }
        shown.push(canvas.clone());
        match dispose {
            DisposeOp::None => {}
            DisposeOp::Background => pixels().for_each(|(x, y)| canvas.put_pixel(x, y, Rgba([0; 4]))),
            DisposeOp::Previous => canvas = before,
        }
    }
    shown
}

/// The delays that are shown. Delays up to 10 ms are shown as 100 ms, and a denominator of 0 is 100.
const DELAYS_MS: [u64; 6] = [50, 120, 100, 300, 200, 1000];

/// Frames, delays and loop count of an animated PNG.
fn frames_of_png(file: &[u8]) -> (Vec<RgbaImage>, Vec<Duration>, u32) {
    let header = Header::read(file, &LIMITS).unwrap();
    let mut png = PngFrames::open(file, header.info.frames).unwrap();
    let (mut frames, mut delays) = (Vec::new(), Vec::new());
    while let Some(delay) = png.next(&RenderContext::new(&LIMITS)).unwrap() {
        let canvas = png.canvas().clone();
        frames.push(RgbaImage::from_raw(canvas.width, canvas.height, canvas.data).unwrap());
        delays.push(delay);
    }
    (frames, delays, png.loop_count().0)
}

#[track_caller]
fn equal(made: &[RgbaImage], expected: &[RgbaImage]) {
    assert_eq!(made.len(), expected.len());
    for (n, (made, expected)) in made.iter().zip(expected).enumerate() {
        for (made, expected) in made.pixels().zip(expected.pixels()).filter(|(_, expected)| expected.0[3] > 0) {
            assert!(made.0.iter().zip(expected.0).all(|(a, b)| a.abs_diff(b) <= 1), "{n}: {made:?}, {expected:?}");
        }
    }
}

fn render_with(original: &[u8], geometry: Geometry, encoding: Encoding) -> Vec<u8> {
    let header = Header::read(original, &LIMITS).unwrap();
    render(original, &header, geometry, encoding, &LIMITS).unwrap()
}

fn lossless() -> Encoding {
    Encoding::WebP(Quality::new(100).unwrap())
}

#[test]
fn frames_are_blended_and_disposed_as_specified() {
    for hidden in [false, true] {
        let original = encoded(&painted(), 3, hidden);
        let header = Header::read(&original, &LIMITS).unwrap();
        assert_eq!(header.info.frames, 6);
        let expected = shown(&painted());
        let made = frames_of_png(&original);
        equal(&made.0, &expected);
        for made in [made, frames_of_png(&render_with(&original, fit(24, 16), Encoding::Png))] {
            equal(&made.0, &expected);
            assert_eq!((made.1, made.2), (DELAYS_MS.map(Duration::from_millis).to_vec(), 3), "{hidden}");
        }
        let (made, delays, loops) = frames(&render_with(&original, fit(24, 16), lossless()));
        equal(&made, &expected);
        assert_eq!((delays, loops), (DELAYS_MS.map(Duration::from_millis).to_vec(), 3));
        let gif = render_with(&original, fit(24, 16), Encoding::Gif);
        assert_eq!(Header::read(&gif, &LIMITS).unwrap().info.frames, 6);
        assert_eq!(frames(&render_with(&gif, fit(24, 16), lossless())).2, 3);
    }
}

#[test]
fn loop_count_is_preserved() {
    for (plays, expected) in [(0, 0), (1, 1), (7, 7), (70_000, 65_535)] {
        let original = encoded(&painted(), plays, false);
        assert_eq!(frames(&render_with(&original, fit(8, 8), lossless())).2, expected);
        assert_eq!(frames_of_png(&render_with(&original, fit(8, 8), Encoding::Png)).2.min(65_535), expected);
    }
}

#[test]
fn other_decoders_read_the_animation() {
    use image::AnimationDecoder;
    let original = encoded(&painted(), 0, false);
    let made = render_with(&original, fit(12, 12), Encoding::Png);
    let decoder = image::codecs::png::PngDecoder::new(Cursor::new(&made)).unwrap();
    assert!(decoder.is_apng().unwrap());
    let read = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
    let read: Vec<RgbaImage> = read.into_iter().map(image::Frame::into_buffer).collect();
    equal(&read, &frames_of_png(&made).0);
    assert!(read.iter().all(|frame| frame.dimensions() == (12, 8)));
}

#[test]
fn still_formats_show_the_default_image() {
    for (hidden, expected) in [(false, [200, 30, 30]), (true, [0, 0, 255])] {
        let original = encoded(&painted(), 0, hidden);
        let made = make(&original, fit(24, 16), jpeg_q90()).unwrap().to_rgb8();
        assert!(made.get_pixel(12, 8).0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 8), "{made:?}");
    }
}

#[test]
fn png_of_another_animation_shows_the_first_frame() {
    let gif = render_with(&encoded(&painted(), 0, false), fit(24, 16), Encoding::Gif);
    let made = render_with(&gif, fit(24, 16), Encoding::Png);
    assert_eq!(Header::read(&made, &LIMITS).unwrap().info.frames, 1);
}

#[test]
fn too_many_frames_are_refused_for_animated_variants_only() {
    let original = encoded(&painted(), 0, false);
    let limits = Limits { frames: 5, ..LIMITS };
    let header = Header::read(&original, &limits).unwrap();
    for (encoding, is_refused) in
        [(lossless(), true), (Encoding::Gif, true), (Encoding::Png, true), (jpeg_q90(), false)]
    {
        match render(&original, &header, fit(8, 8), encoding, &limits) {
            Err(Error::AnimationTooLarge { limit: AnimationLimit::Frames(5), .. }) => assert!(is_refused),
            rendered => assert!(rendered.is_ok() && !is_refused),
        }
    }
}

/// The positions of the chunks with this name.
fn positions(file: &[u8], name: &[u8; 4]) -> Vec<usize> {
    (0..file.len() - 4).filter(|at| &file[*at..*at + 4] == name).map(|at| at - 4).collect()
}

#[test]
fn damaged_animations_are_refused_or_end_before_the_damage() {
    let original = encoded(&painted(), 0, false);
    let controls = positions(&original, b"fcTL");
    // The chunks of the fourth frame are missing: the sequence numbers have a gap.
    let gap = [&original[..controls[3]], &original[controls[4]..]].concat();
    assert_eq!(Header::read(&gap, &LIMITS).unwrap().info.frames, 3);
    assert_eq!(frames_of_png(&gap).0.len(), 3);
    // The data of the third frame are damaged.
    let mut damaged = original.clone();
    let at = positions(&original, b"fdAT")[1];
    damaged[at + 14] ^= 0x55;
    damaged[at + 15] ^= 0x55;
    let header = Header::read(&damaged, &LIMITS).unwrap();
    let error = render(&damaged, &header, fit(24, 16), lossless(), &LIMITS).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let keep = Limits { incomplete: Incomplete::Keep, ..LIMITS };
    for encoding in [lossless(), Encoding::Gif, Encoding::Png] {
        let made = render(&damaged, &header, fit(24, 16), encoding, &keep).unwrap();
        assert_eq!(Header::read(&made, &LIMITS).unwrap().info.frames, 2, "{encoding:?}");
    }
    // The first frame is cut.
    let cut = &original[..positions(&original, b"IDAT")[0] + 20];
    assert_eq!(Header::read(cut, &LIMITS).unwrap().info.frames, 1);
}

#[test]
fn frames_beyond_the_canvas_are_damage() {
    let original = encoded(&painted(), 0, false);
    let controls = positions(&original, b"fcTL");
    let mut control = original[controls[1] + 8..controls[1] + 8 + 26].to_vec();
    // The rectangle begins at column 20, and has 10 columns.
    control[15] = 20;
    let mut beyond = original[..controls[1]].to_vec();
    write_chunk(&mut beyond, b"fcTL", &[&control]);
    beyond.extend_from_slice(&original[controls[1] + 38..]);
    let header = Header::read(&beyond, &LIMITS).unwrap();
    let error = render(&beyond, &header, fit(24, 16), lossless(), &LIMITS).unwrap_err().to_string();
    assert!(error.contains("beyond its canvas"), "{error}");
    assert!(make(&beyond, fit(24, 16), jpeg_q90()).is_ok());
}

#[test]
fn palettes_interlacing_and_16_bits_are_decoded_in_frames() {
    for (color, depth) in [
        (png::ColorType::Indexed, png::BitDepth::Four),
        (png::ColorType::Grayscale, png::BitDepth::Sixteen),
        (png::ColorType::GrayscaleAlpha, png::BitDepth::Eight),
        (png::ColorType::Rgb, png::BitDepth::Eight),
    ] {
        let mut original = Vec::new();
        let mut encoder = png::Encoder::new(&mut original, 8, 4);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette((0..16).flat_map(|n| [n * 16; 3]).collect::<Vec<u8>>());
        }
        encoder.set_animated(2, 0).unwrap();
        let mut writer = encoder.write_header().unwrap();
        let row = (8 * color.samples() * depth as usize).div_ceil(8);
        writer.write_image_data(&vec![0x33; 4 * row]).unwrap();
        writer.write_image_data(&vec![0xCC; 4 * row]).unwrap();
        writer.finish().unwrap();
        let (frames, ..) = frames_of_png(&original);
        let samples: Vec<u8> = frames.iter().map(|frame| frame.get_pixel(3, 2).0[0]).collect();
        let expected = if color == png::ColorType::Indexed { [0x30, 0xC0] } else { [0x33, 0xCC] };
        assert_eq!(samples, expected, "{color:?}");
    }
}
