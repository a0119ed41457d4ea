//! BMP, ICO, TIFF and JPEG XL originals, decoded in sandbox processes of the real executable.
//!
//! `crates/pixels/tests/originals/make.py` creates both the originals and the expected images.

#![cfg(all(target_os = "linux", feature = "bmp-originals", feature = "jxl-originals", feature = "tiff-originals"))]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use image::RgbaImage;
use pixels::{Codec, Encoding, Error, Geometry, Header, Limits, OutputSpec, RenderOptions, probe, render, sniff};
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
const SHOWN: [(&str, &str, u32); 33] = [
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
