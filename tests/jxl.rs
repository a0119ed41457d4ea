//! JPEG XL variants, encoded in sandbox processes of the real executable.

#![cfg(all(target_os = "linux", feature = "jxl-originals", feature = "jxl-variants"))]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::io::Cursor;
use std::num::NonZeroU32;
use std::sync::Once;
use std::time::Duration;

use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb, RgbImage, RgbaImage};
use pixels::{Encoding, Error, Geometry, Header, Limits, OutputSpec, Quality, RenderOptions, render};
use resized::resize::sandbox::{self, ProcessSandbox};

#[path = "shared/random.rs"]
mod random;

use random::Random;

fn encoded(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    encoded(&RgbImage::from_fn(width, height, |_, _| Rgb([(); 3].map(|()| random.below(256) as u8))).into())
}

/// Renders at the size of the original.
fn rendered(original: &[u8], encoding: Encoding, limits: &Limits) -> Result<Vec<u8>, Error> {
    static PROGRAM: Once = Once::new();
    PROGRAM.call_once(|| sandbox::set_program(env!("CARGO_BIN_EXE_resized").into()));
    let header = Header::read(original, limits)?;
    let geometry = Geometry::Fit { width: NonZeroU32::new(header.info.width), height: None };
    let options = RenderOptions::new(limits).with_sandbox(&ProcessSandbox);
    render(original, &header, OutputSpec { geometry, encoding }, &options)
}

fn jxl(quality: u8) -> Encoding {
    Encoding::Jxl(Quality::new(quality).unwrap())
}

#[test]
fn a_confined_process_encodes_every_kind_of_picture() {
    let color = |x: u32, y: u32| [(x * 2) as u8, (y * 3) as u8, (x + y) as u8];
    let rgb = RgbImage::from_fn(120, 80, |x, y| Rgb(color(x, y)));
    let rgba = RgbaImage::from_fn(120, 80, |x, y| {
        let [r, g, b] = color(x, y);
        image::Rgba([r, g, b, (x + y) as u8])
    });
    let drawing =
        RgbImage::from_fn(120, 80, |x, y| Rgb(if (x / 16 + y / 16) % 2 == 0 { [0, 90, 200] } else { [255; 3] }));
    let deep = ImageBuffer::from_fn(120, 80, |x, y| Rgb([(x * 500 + y) as u16, (y * 600) as u16, 9000_u16]));
    let pictures: [DynamicImage; 5] =
        [DynamicImage::from(rgb.clone()).to_luma8().into(), rgb.into(), rgba.into(), drawing.into(), deep.into()];
    for picture in pictures {
        for quality in [50, 100] {
            let made = rendered(&encoded(&picture), jxl(quality), &Limits::default()).unwrap();
            let png = rendered(&made, Encoding::Png, &Limits::default()).unwrap();
            let seen = image::load_from_memory(&png).unwrap();
            assert_eq!((seen.width(), seen.height()), (120, 80));
            let (seen, expected) = (seen.to_rgba8(), picture.to_rgba8());
            let opaque = seen.pixels().zip(expected.pixels()).filter(|(_, expected)| expected.0[3] > 128);
            let off = opaque.flat_map(|(a, b)| a.0.into_iter().zip(b.0)).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= if quality == 100 { 1 } else { 90 }, "{:?} at {quality}: {off}", picture.color());
        }
    }
}

#[test]
fn noise_fits_into_the_memory_of_the_process() {
    let original = noise(1100, 900);
    for quality in [1, 80, 99, 100] {
        rendered(&original, jxl(quality), &Limits::default()).unwrap();
    }
}

#[test]
fn the_encoder_is_stopped_at_the_deadline() {
    let limits = Limits { render_time: Duration::from_millis(150), ..Limits::default() };
    let start = pixels::cpu_time();
    let error = rendered(&noise(3000, 2400), jxl(100), &limits).unwrap_err();
    assert!(matches!(error, Error::RenderTimeout { .. }), "{error}");
    let charged = pixels::cpu_time() - start;
    assert!(charged >= limits.render_time && charged < Duration::from_millis(2500), "{charged:?} were charged");
}
