//! Animations, compared to the frames that Pillow decodes (`tests/animations/make.py`).

use std::time::Duration;

use image::codecs::gif::GifDecoder;
use image::metadata::LoopCount;
use image::{AnimationDecoder, RgbaImage};

use super::*;
use crate::codec::animation::AnimationFrames;
use crate::codec::webp::decode::WebPFrames;

macro_rules! animation {
    ($name:literal) => {{
        let file: &[u8] = include_bytes!(concat!("../../tests/animations/", $name));
        let shown: &[u8] = include_bytes!(concat!("../../tests/animations/", $name, ".png"));
        ($name, file, image::load_from_memory(shown).unwrap().to_rgba8())
    }};
}

/// Name, file, and an image of all frames stacked vertically.
fn animations() -> [(&'static str, &'static [u8], RgbaImage); 5] {
    [
        animation!("kept.gif"),
        animation!("cleared.gif"),
        animation!("restored.gif"),
        animation!("blended.webp"),
        animation!("lossy.webp"),
    ]
}

const SIZE: (u32, u32) = (40, 30);
/// Delays of the frames. The third one is stored as 0, which is shown as 100 ms.
const TIMES_MS: [u64; 5] = [50, 120, 100, 80, 200];

fn times() -> Vec<Duration> {
    TIMES_MS.map(Duration::from_millis).to_vec()
}

fn lossless() -> Encoding {
    Encoding::WebP(Quality::new(100).unwrap())
}

fn render_animation(original: &[u8], geometry: Geometry, encoding: Encoding) -> Vec<u8> {
    let header = Header::read(original, &LIMITS).unwrap();
    render(original, &header, geometry, encoding, &LIMITS).unwrap()
}

/// Frames, delays and loop count (0: infinite) of an animation.
pub(super) fn frames(file: &[u8]) -> (Vec<RgbaImage>, Vec<Duration>, u32) {
    if sniff(file) == Some("image/webp") {
        return frames_of_webp(file);
    }
    let decoder = GifDecoder::new(Cursor::new(file)).unwrap();
    let loops = match decoder.loop_count() {
        LoopCount::Infinite => 0,
        LoopCount::Finite(times) => times.get(),
    };
    let frames = decoder.into_frames().collect_frames().unwrap();
    let times = frames.iter().map(|frame| Duration::from(frame.delay())).collect();
    (frames.into_iter().map(image::Frame::into_buffer).collect(), times, loops)
}

/// Uses the decoder of this crate, which is compared to Pillow as well: the decoder of `image` composes frames
/// incorrectly.
fn frames_of_webp(file: &[u8]) -> (Vec<RgbaImage>, Vec<Duration>, u32) {
    let context = RenderContext::new(&LIMITS);
    let mut webp = WebPFrames::open(file).unwrap();
    let (mut frames, mut times) = (Vec::new(), Vec::new());
    while let Some(shown) = webp.next(&context).unwrap() {
        let canvas = webp.canvas().clone();
        frames.push(RgbaImage::from_raw(canvas.width, canvas.height, canvas.data).unwrap());
        times.push(shown);
    }
    (frames, times, webp.loop_count().0)
}

/// The largest difference of visible pixels in all frames.
fn max_difference(frames: &[RgbaImage], shown: &RgbaImage) -> u8 {
    assert_eq!(shown.height(), SIZE.1 * u32::try_from(frames.len()).unwrap());
    let all = frames.iter().flat_map(RgbaImage::pixels).zip(shown.pixels());
    let seen = |pixel: &Rgba<u8>| if pixel.0[3] == 0 { [0; 4] } else { pixel.0 };
    all.flat_map(|(a, b)| seen(a).into_iter().zip(seen(b)).map(|(a, b)| a.abs_diff(b)).collect::<Vec<_>>())
        .max()
        .unwrap()
}

#[test]
fn frames_match_those_of_pillow() {
    for (name, file, shown) in animations() {
        if name.ends_with("webp") {
            let (read, ..) = frames(file);
            assert!(max_difference(&read, &shown) <= 2, "{name} unchanged: {}", max_difference(&read, &shown));
        }
        // Decoders of lossy WebP differ slightly in upsampling and blending.
        let tolerance = if name.starts_with("lossy") { 40 } else { 2 };
        let (made, times_made, _) = frames(&render_animation(file, fit(40, 30), lossless()));
        assert!(max_difference(&made, &shown) <= tolerance, "{name} as WebP: {}", max_difference(&made, &shown));
        assert_eq!(times_made, times(), "{name}");
        let (made, times_made, _) = frames(&render_animation(file, fit(40, 30), Encoding::Gif));
        assert!(max_difference(&made, &shown) <= tolerance, "{name} as GIF: {}", max_difference(&made, &shown));
        assert_eq!(times_made, times(), "{name}");
    }
}

#[test]
fn loop_count_is_preserved() {
    let table = [("kept.gif", 0), ("cleared.gif", 4), ("restored.gif", 1), ("blended.webp", 2), ("lossy.webp", 0)];
    for ((name, file, _), (_, expected)) in animations().into_iter().zip(table) {
        let (_, _, loops) = frames(&render_animation(file, fit(20, 20), lossless()));
        assert_eq!(loops, expected, "{name}");
        // GIF stores the number of repetitions, which is one less.
        let gif = render_animation(file, fit(20, 20), Encoding::Gif);
        assert_eq!(Header::read(&gif, &LIMITS).unwrap().info.frames, 5, "{name}");
        let (_, _, loops) = frames(&render_animation(&gif, fit(20, 20), lossless()));
        assert_eq!(loops, expected, "{name} converted to GIF");
    }
}

#[test]
fn all_frames_have_the_same_crop_and_size() {
    for (name, file, shown) in animations() {
        let right = Geometry::Crop { width: nonzero(10), height: nonzero(30), region: Region::Right };
        let (made, ..) = frames(&render_animation(file, right, lossless()));
        // Frames that are equal within the crop may have been merged.
        for (n, frame) in [(0, made.first().unwrap()), (4, made.last().unwrap())] {
            let expected = image::imageops::crop_imm(&shown, 30, 30 * n, 10, 30).to_image();
            let opaque = |picture: &RgbaImage| picture.pixels().filter(|pixel| pixel.0[3] > 127).count();
            assert_eq!((frame.dimensions(), opaque(frame)), ((10, 30), opaque(&expected)), "{name} {n}");
        }
        let (made, ..) = frames(&render_animation(file, fit(20, 15), Encoding::WebP(Quality::new(80).unwrap())));
        assert!(made.len() == 5 && made.iter().all(|frame| frame.dimensions() == (20, 15)), "{name}");
    }
}

#[test]
fn still_formats_render_the_first_frame() {
    for (name, file, shown) in animations() {
        let made = make(file, fit(40, 30), Encoding::Png).unwrap().to_rgba8();
        let first = image::imageops::crop_imm(&shown, 0, 0, 40, 30).to_image();
        assert!(max_difference(&[made], &first) <= 40, "{name}");
        assert!(make(file, fit(40, 30), jpeg_q90()).is_ok(), "{name}");
    }
}

#[test]
fn animation_limits_apply_to_animated_variants_only() {
    for (name, file, _) in animations() {
        let header = Header::read(file, &LIMITS).unwrap();
        for (limits, key) in [
            (Limits { frames: 4, ..LIMITS }, "limits.frames"),
            (Limits { animation_pixels: 5 * 40 * 30 - 1, ..LIMITS }, "limits.animation_pixels"),
        ] {
            let error = render(file, &header, fit(20, 20), lossless(), &limits).unwrap_err().to_string();
            assert!(error.contains(key), "{name}: {error}");
            assert!(render(file, &header, fit(20, 20), Encoding::Png, &limits).is_ok(), "{name}");
        }
    }
}

/// A GIF with a screen of this size and one frame of 40x30 pixels, which is red.
fn red_gif(screen: (u16, u16), has_table: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let palette = [255, 0, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut file, 40, 30, &palette).unwrap();
    let frame = gif::Frame { width: 40, height: 30, buffer: vec![0; 1200].into(), ..gif::Frame::default() };
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    file[6..8].copy_from_slice(&screen.0.to_le_bytes());
    file[8..10].copy_from_slice(&screen.1.to_le_bytes());
    if !has_table {
        // The flag and the table of two colors.
        file[10] = 0;
        file.drain(13..19);
    }
    file
}

#[test]
fn gif_whose_screen_is_smaller_than_its_first_frame_is_as_large_as_the_frame() {
    for screen in [(0, 0), (20, 30), (40, 10), (40, 30)] {
        let made = make(&red_gif(screen, true), fit(100, 100), Encoding::Png).unwrap().to_rgba8();
        assert_eq!(made.dimensions(), (40, 30), "{screen:?}");
        assert!(made.pixels().all(|pixel| pixel.0 == [255, 0, 0, 255]), "{screen:?}");
    }
}

#[test]
fn gif_without_a_color_table_is_transparent() {
    let made = make(&red_gif((40, 30), false), fit(100, 100), Encoding::Png).unwrap().to_rgba8();
    assert_eq!(made.dimensions(), (40, 30));
    assert!(made.pixels().all(|pixel| pixel.0[3] == 0));
}

/// An infinite GIF of 3x1 pixels, whose two frames of 1x1 are in the middle. Extensions follow its header.
fn uncovered_gif(extensions: &[u8]) -> Vec<u8> {
    let frame = b"\x21\xF9\x04\x04\x0A\0\0\0\x2C\x01\0\0\0\x01\0\x01\0\0\x02\x02";
    let header = b"GIF89a\x03\0\x01\0\x80\0\0\xFF\0\0\0\0\xFF";
    let (red, blue) = (b"\x44\x01\0", b"\x4C\x01\0");
    [header.as_slice(), extensions, frame, red, frame, blue, b";"].concat()
}

#[test]
fn animations_that_never_paint_a_part_of_the_canvas_are_marked_as_transparent() {
    let original = uncovered_gif(&[]);
    for encoding in [lossless(), webp_q90()] {
        let made = render_animation(&original, fit(3, 1), encoding);
        assert_eq!(made[12..16], *b"VP8X");
        assert_eq!(made[20] & 0x12, 0x12, "alpha and animation");
    }
    // A GIF of the same size would be the original.
    let made = render_animation(&render_animation(&original, fit(3, 1), lossless()), fit(3, 1), Encoding::Gif);
    let mut decoder = gif::Decoder::new(&*made).unwrap();
    let first = decoder.next_frame_info().unwrap().unwrap();
    assert_eq!((first.width, first.transparent.is_some()), (3, true));
    for made in [render_animation(&original, fit(3, 1), lossless()), made] {
        let (frames, ..) = frames(&made);
        let alphas = frames.iter().map(|frame| frame.pixels().map(|pixel| pixel.0[3]).collect::<Vec<_>>());
        assert_eq!(alphas.collect::<Vec<_>>(), [[0, 255, 0], [0, 255, 0]]);
    }
}

#[test]
fn metadata_of_any_size_before_the_first_frame_of_a_gif_is_skipped() {
    let xmp = [b"\x21\xFF\x0BXMP DataXMP".as_slice(), &vec![255; 256 * 9000], &[0]].concat();
    let profile = [b"\x21\xFF\x0BICCRGBG1012".as_slice(), &vec![255; 256 * 9000], &[0]].concat();
    let original = uncovered_gif(&[xmp, profile].concat());
    assert!(original.len() > 4 << 20);
    let header = Header::read(&original, &LIMITS).unwrap();
    assert_eq!((header.info.width, header.info.frames), (3, 2));
    let expected = render_animation(&uncovered_gif(&[]), fit(3, 1), lossless());
    assert_eq!(render_animation(&original, fit(3, 1), lossless()), expected);
}

#[test]
fn animated_gif_whose_only_fault_is_a_missing_trailer_is_rendered() {
    let whole = uncovered_gif(&[]);
    let expected = render_animation(&whole, fit(3, 1), lossless());
    assert_eq!(render_animation(&whole[..whole.len() - 1], fit(3, 1), lossless()), expected);
    for end in 40..whole.len() - 1 {
        let header = Header::read(&whole[..end], &LIMITS).unwrap();
        let made = render(&whole[..end], &header, fit(3, 1), lossless(), &LIMITS);
        // A file of one frame ends after that frame.
        assert!(header.info.frames == 1 || made.is_err(), "{end}");
    }
}

#[test]
fn the_largest_loop_count_of_a_gif_does_not_become_infinite() {
    let original = uncovered_gif(b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\xFF\xFF\0");
    assert_eq!(frames(&render_animation(&original, fit(3, 1), lossless())).2, 65_535);
    let made = render_animation(&original, fit(3, 1), Encoding::Gif);
    let netscape = made.windows(5).position(|window| window == b"2.0\x03\x01").unwrap();
    assert_eq!(made[netscape + 5..netscape + 7], [0xFF, 0xFF]);
}
