//! BMP, ICO, TIFF, JPEG XL and HEIC originals, decoded in sandbox processes of the real executable.
//!
//! `crates/pixels/tests/originals/make.py` creates both the originals and the expected images.

#![cfg(all(target_os = "linux", feature = "bmp-originals", feature = "jxl-originals", feature = "tiff-originals"))]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::fs;
use std::io::Cursor;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder as _, RgbaImage};
use pixels::{
    Codec, Encoding, Error, Geometry, Header, Incomplete, Limits, OutputSpec, Quality, RenderOptions, probe, render,
    sniff,
};
use resized::resize::sandbox::{self, ProcessSandbox};

#[path = "shared/random.rs"]
mod random;

use random::Random;

fn set_program() {
    static PROGRAM: Once = Once::new();
    PROGRAM.call_once(|| sandbox::set_program(env!("CARGO_BIN_EXE_resized").into()));
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/pixels/tests/originals").join(name)
}

fn file(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

fn render_png(original: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    set_program();
    let header = Header::read(original, limits)?;
    let (width, height) = header.oriented_size();
    let geometry = Geometry::Fit { width: NonZeroU32::new(width), height: NonZeroU32::new(height) };
    let options = RenderOptions::new(limits).with_sandbox(&ProcessSandbox);
    render(original, &header, OutputSpec { geometry, encoding: Encoding::Png }, &options)
}

fn rendered(original: &[u8]) -> RgbaImage {
    let made = render_png(original, &Limits::default()).unwrap();
    image::load_from_memory(&made).unwrap().to_rgba8()
}

/// The largest difference between two samples, weighted by alpha.
fn difference(made: &RgbaImage, expected: &RgbaImage) -> u32 {
    assert_eq!(made.dimensions(), expected.dimensions());
    let of_pixel = |(a, b): (&image::Rgba<u8>, &image::Rgba<u8>)| {
        let color = (0..3).map(|n| u32::from(a.0[n].abs_diff(b.0[n]))).max().unwrap();
        (color * u32::from(b.0[3]) / 255).max(a.0[3].abs_diff(b.0[3]).into())
    };
    made.pixels().zip(expected.pixels()).map(of_pixel).max().unwrap()
}

/// Originals, the image that they show, and the largest difference of a sample.
const SHOWN: [(&str, &str, u32); 40] = [
    ("rgb.bmp", "shown", 0),
    ("palette.bmp", "shown", 0),
    ("alpha.bmp", "alpha", 0),
    ("without-masks.bmp", "shown", 0),
    ("png.ico", "alpha", 0),
    ("bitmap.ico", "alpha", 0),
    ("raw.tif", "shown", 0),
    ("lzw.tif", "shown", 0),
    ("adobe_deflate.tif", "shown", 0),
    ("packbits.tif", "shown", 0),
    ("jpeg.tif", "shown", 60),
    ("palette.tif", "shown", 0),
    ("gray.tif", "gray", 0),
    ("bilevel.tif", "bilevel", 0),
    ("group4.tif", "bilevel", 0),
    ("cmyk.tif", "shown", 1),
    ("alpha.tif", "alpha", 0),
    ("sixteen.tif", "shown", 0),
    ("big-endian.tif", "shown", 0),
    ("planar.tif", "shown", 0),
    ("tiled.tif", "shown", 0),
    ("turned.tif", "shown", 0),
    ("pages.tif", "shown", 0),
    ("lossless.jxl", "shown", 0),
    ("lossy.jxl", "shown", 40),
    ("progressive.jxl", "shown", 40),
    ("gray.jxl", "gray", 0),
    ("alpha.jxl", "alpha", 0),
    ("container.jxl", "shown", 0),
    ("sixteen.jxl", "shown", 0),
    ("linear-float.jxl", "shown", 1),
    ("turned.jxl", "shown", 60),
    ("animated.jxl", "shown", 0),
    ("shown.heic", "shown", 60),
    ("half-chroma.heic", "shown", 60),
    ("full-chroma.heic", "shown", 20),
    ("gray.heic", "gray", 20),
    ("alpha.heic", "alpha", 60),
    ("ten.heic", "shown", 60),
    ("turned.heic", "shown", 60),
];

#[test]
fn originals_show_the_expected_image() {
    let mut faults = Vec::new();
    for (name, expected, tolerance) in SHOWN {
        let made = rendered(&file(name));
        let expected = image::open(path(expected).with_extension("png")).unwrap().to_rgba8();
        let difference = difference(&made, &expected);
        if difference > tolerance {
            faults.push((name, difference));
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_tiles_of_a_heic_grid_are_joined() {
    let made = rendered(&file("grid.heic"));
    let shown = image::open(path("shown.png")).unwrap().to_rgba8();
    let enlarged = RgbaImage::from_fn(144, 96, |x, y| *shown.get_pixel(x / 6, y / 6));
    assert_eq!(made.dimensions(), enlarged.dimensions());
    // Colors of neighbors are mixed at the edges.
    for (x, y) in [(3, 3), (60, 9), (66, 30), (100, 60), (130, 70), (20, 90), (64, 64), (143, 95)] {
        let (a, b) = (made.get_pixel(x, y).0, enlarged.get_pixel(x, y).0);
        assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 12), "{x} {y}: {a:?} {b:?}");
    }
}

/// The frames of a variant, and their durations in milliseconds.
fn frames(original: &[u8], encoding: Encoding, limits: &Limits) -> Result<Vec<(RgbaImage, u32)>, Error> {
    set_program();
    let header = Header::read(original, limits)?;
    let geometry = Geometry::Fit { width: NonZeroU32::new(24), height: None };
    let options = RenderOptions::new(limits).with_sandbox(&ProcessSandbox);
    let made = Cursor::new(render(original, &header, OutputSpec { geometry, encoding }, &options)?);
    let frames = match encoding {
        Encoding::Gif => GifDecoder::new(made).unwrap().into_frames(),
        Encoding::Png => PngDecoder::new(made).unwrap().apng().unwrap().into_frames(),
        _ => WebPDecoder::new(made).unwrap().into_frames(),
    };
    let frames = frames.collect_frames().unwrap().into_iter();
    Ok(frames
        .map(|frame| (frame.delay().numer_denom_ms(), frame.into_buffer()))
        .map(|((ms, _), made)| (made, ms))
        .collect())
}

const LOSSLESS_WEBP: Encoding = Encoding::WebP(Quality::new(100).unwrap());

#[test]
fn animations_stay_animated() {
    for (name, background) in
        [("animated.avif", "shown"), ("animated-alpha.avif", "alpha"), ("animated-alpha.jxl", "alpha")]
    {
        let background = image::open(path(background).with_extension("png")).unwrap().to_rgba8();
        for encoding in [LOSSLESS_WEBP, Encoding::Png, Encoding::Gif] {
            let frames = frames(&file(name), encoding, &Limits::default()).unwrap();
            let durations: Vec<_> = frames.iter().map(|(_, milliseconds)| *milliseconds).collect();
            assert_eq!(durations, [100, 50, 200, 40, 300], "{name} {encoding:?}");
            for (n, (made, _)) in (0..).zip(&frames) {
                let close = |x, y, expected: [u8; 4]| {
                    let is = made.get_pixel(x, y).0;
                    assert!(
                        is.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 40),
                        "{name} {encoding:?} {n} {x} {y}: {is:?}"
                    );
                };
                close(4 * n + 4, 8, [40, 200, 40, 255]);
                // GIF has no partial transparency.
                if encoding != Encoding::Gif {
                    close(22, 14, background.get_pixel(22, 14).0);
                    close(1, 14, background.get_pixel(1, 14).0);
                }
            }
        }
    }
}

#[test]
fn a_sequence_without_a_still_image_is_decoded() {
    let mut original = file("animated-alpha.avif");
    let at = original.windows(4).position(|kind| kind == b"meta").unwrap();
    original[at..at + 4].copy_from_slice(b"free");
    assert_eq!(frames(&original, LOSSLESS_WEBP, &Limits::default()).unwrap().len(), 5);
    // Other formats show the first frame.
    let header = Header::read(&original, &Limits::default()).unwrap();
    let geometry = Geometry::Fit { width: NonZeroU32::new(24), height: None };
    let encoding = Encoding::Jpeg(Quality::new(90).unwrap());
    let limits = Limits::default();
    let options = RenderOptions::new(&limits).with_sandbox(&ProcessSandbox);
    let made = render(&original, &header, OutputSpec { geometry, encoding }, &options).unwrap();
    let pixel = image::load_from_memory(&made).unwrap().to_rgb8().get_pixel(4, 8).0;
    assert!(pixel[1] > 150 && pixel[0] < 100, "{pixel:?}");
}

#[test]
fn animations_beyond_a_limit_are_refused() {
    for name in ["animated.avif", "animated-alpha.jxl"] {
        for limits in
            [Limits { frames: 4, ..Limits::default() }, Limits { animation_pixels: 4 * 24 * 16, ..Limits::default() }]
        {
            let error = frames(&file(name), LOSSLESS_WEBP, &limits).unwrap_err();
            assert!(matches!(error, Error::AnimationTooLarge { frames: 5, .. }), "{name}: {error}");
        }
        assert!(frames(&file(name), LOSSLESS_WEBP, &Limits { frames: 5, ..Limits::default() }).is_ok(), "{name}");
    }
}

#[test]
fn the_frames_before_damage_are_kept_on_request() {
    let (whole, keep) = (file("animated-alpha.jxl"), Limits { incomplete: Incomplete::Keep, ..Limits::default() });
    let cut = &whole[..whole.len() - 10];
    assert!(matches!(frames(cut, LOSSLESS_WEBP, &Limits::default()), Err(Error::Damaged { .. })));
    assert_eq!(frames(cut, LOSSLESS_WEBP, &keep).unwrap().len(), 4);
}

#[test]
fn authorship_in_heif_is_kept_and_places_are_not() {
    let made = render_png(&file("gray.heic"), &Limits::default()).unwrap();
    let contains = |text: &str| made.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("<photoshop:Credit>Agency</photoshop:Credit>") && !contains("Bonn"));
}

#[test]
fn uploads_learn_the_size_of_the_upright_image() {
    for (name, ..) in SHOWN {
        let probed = probe(fs::File::open(path(name)).unwrap(), &Limits::default()).unwrap();
        assert_eq!(probed.size, Some((24, 16)), "{name}");
        assert_eq!(Some(probed.media_type), sniff(&file(name)));
    }
}

#[test]
fn a_format_that_is_not_accepted_is_refused_with_the_setting() {
    let limits = Limits { originals: [Codec::Jpeg, Codec::Tiff].into_iter().collect(), ..Limits::default() };
    assert!(render_png(&file("raw.tif"), &limits).is_ok());
    let error = render_png(&file("lossless.jxl"), &limits).unwrap_err().to_string();
    assert!(
        error.contains("JPEG XL") && error.contains("formats.originals") && error.contains("JPEG and TIFF"),
        "{error}"
    );
}

#[test]
fn unsupported_samples_are_refused_by_their_header() {
    let error = Header::read(&file("float.tif"), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("not unsigned integers"), "{error}");
}

#[test]
fn compressed_metadata_of_jpeg_xl_are_not_inflated() {
    let mut original = file("container.jxl");
    let at = original.windows(4).position(|kind| kind == b"jxlc" || kind == b"jxlp").unwrap() - 4;
    original.splice(at..at, *b"\0\0\0\x14brobExif\x1B\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    assert_eq!(rendered(&original).get_pixel(0, 0).0, [255; 4]);
}

#[test]
fn mutated_originals_are_images_or_errors() {
    let limits = Limits { input_pixels: 1 << 20, render_time: Duration::from_secs(5), ..Limits::default() };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for n in 0..300 {
        let mut bytes = file(SHOWN[n % SHOWN.len()].0);
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        match render_png(&bytes, &limits) {
            Ok(made) => assert!(image::load_from_memory(&made).is_ok()),
            Err(
                Error::Damaged { .. }
                | Error::NotAnImage { .. }
                | Error::Empty
                | Error::UnsupportedFormat { .. }
                | Error::TooManyPixels { .. }
                | Error::SideTooLong { .. }
                | Error::RenderTimeout { .. },
            ) => {}
            Err(error) => unreachable!("{n}: {error}"),
        }
    }
}

#[test]
fn icon_whose_alpha_is_zero_everywhere_is_transparent_where_its_mask_is_set() {
    const PIXELS: usize = 22 + 40;
    let mut icon = file("bitmap.ico");
    let height = rendered(&icon).height();
    icon[PIXELS..].iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 0);
    assert!(rendered(&icon).pixels().all(|pixel| pixel.0[3] == 255), "without a mask, all pixels are opaque");
    // Rows of four bytes are stored from the bottom to the top. The leftmost pixel of the last row is masked.
    icon.push(0x80);
    icon.resize(icon.len() + (4 * height - 1) as usize, 0);
    let length = u32::try_from(icon.len() - 22).unwrap();
    icon[14..18].copy_from_slice(&length.to_le_bytes());
    for (x, y, pixel) in rendered(&icon).enumerate_pixels() {
        assert_eq!(pixel.0[3], if (x, y) == (0, height - 1) { 0 } else { 255 }, "{x},{y}");
    }
}
