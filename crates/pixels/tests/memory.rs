//! No render call uses more memory than 1.25 times the amount that its header states in advance, and no header takes more
//! than its fixed amount.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]
#![expect(unsafe_code, reason = "replaces the functions of the C library that allocate")]

use std::fs;
use std::io::Read as _;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pixels::{
    AvifDepth, EncodeOptions, Encoding, Geometry, HEADER_BYTES_MAX, Header, Incomplete, JpegEffort, Limits, OutputSpec,
    Quality, Region, RenderOptions, WebpEffort, render, render_each,
};

#[path = "../../vp8l/tests/support/attack.rs"]
mod attack;
#[path = "memory/heap.rs"]
mod heap;
#[path = "hostile/make.rs"]
#[expect(dead_code, reason = "each test program uses a part")]
mod make;
#[path = "memory/structures.rs"]
mod structures;

use heap::peak;

/// Serializes the tests, because memory is counted for the whole process.
static LOCK: Mutex<()> = Mutex::new(());

fn quality(n: u8) -> Quality {
    Quality::new(n).unwrap()
}

fn encodings() -> Vec<Encoding> {
    let mut encodings = vec![
        Encoding::Jpeg(quality(80)),
        Encoding::Png,
        Encoding::WebP(quality(80)),
        Encoding::WebP(quality(100)),
        Encoding::Gif,
    ];
    if cfg!(feature = "avif") {
        encodings.push(Encoding::Avif(quality(60)));
    }
    if cfg!(feature = "jxl-variants") {
        encodings.extend([Encoding::Jxl(quality(95)), Encoding::Jxl(quality(100))]);
    }
    encodings
}

fn fit(side: u32) -> Geometry {
    Geometry::Fit { width: NonZeroU32::new(side), height: NonZeroU32::new(side) }
}

/// Reads the header and renders the variant. Returns true if that succeeds.
#[track_caller]
fn check(name: &str, original: &[u8], output: OutputSpec, limits: &Limits) -> bool {
    let (header, used) = peak(|| Header::read(original, limits));
    assert!(used <= HEADER_BYTES_MAX, "{name}: the header took {used} bytes");
    let Ok(header) = header else { return false };
    let permit = header.working_bytes(&[output]);
    let (made, used) = peak(|| render(original, &header, output, &RenderOptions::new(limits)).is_ok());
    if std::env::var_os("MEMORY_TABLE").is_some() {
        let (width, height) = header.oriented_size();
        println!("{:.2} {used} of {permit}: {name} {width}x{height}, {output:?}", used as f64 / permit as f64);
    } else {
        assert!(used <= permit / 4 * 5, "{name}, {output:?}: {used} bytes used, {permit} permitted");
    }
    made
}

#[test]
fn samples_stay_within_their_permits_in_every_format() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let limits = Limits::default();
    for name in ["cat.jpg", "galaxies.webp", "logo.png", "launch.gif", "portrait.jpg"] {
        let original = fs::read(folder.join(name)).unwrap();
        for encoding in encodings() {
            for geometry in [
                fit(32),
                fit(300),
                Geometry::Crop {
                    width: NonZeroU32::new(500).unwrap(),
                    height: NonZeroU32::new(300).unwrap(),
                    region: Region::Smart,
                },
            ] {
                assert!(check(name, &original, OutputSpec { geometry, encoding }, &limits), "{name} {encoding:?}");
            }
        }
    }
}

/// True for the encodings to which options matter.
type Concerns = fn(Encoding) -> bool;

#[test]
fn encoders_stay_within_the_permits_of_their_worst_pictures() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let plain = Limits::default();
    let any = |_: Encoding| true;
    let options: [(EncodeOptions, Concerns); _] = [
        (EncodeOptions::default(), any),
        (EncodeOptions { avif_depth: Some(AvifDepth::Ten), ..EncodeOptions::default() }, |encoding| {
            matches!(encoding, Encoding::Avif(_))
        }),
        (EncodeOptions { jpeg_effort: JpegEffort::Small, ..EncodeOptions::default() }, |encoding| {
            matches!(encoding, Encoding::Jpeg(_))
        }),
        #[cfg(feature = "png-small")]
        (EncodeOptions { png_effort: pixels::PngEffort::Small, ..EncodeOptions::default() }, |encoding| {
            matches!(encoding, Encoding::Png)
        }),
        (
            EncodeOptions {
                jpeg_progressive: true,
                png_colors: NonZeroU16::new(256),
                linear_light: true,
                webp_effort: WebpEffort::new(6).unwrap(),
                ..EncodeOptions::default()
            },
            any,
        ),
    ];
    for (name, original) in structures::pictures() {
        for (encode, concerns) in options {
            let limits = Limits { encode, ..plain };
            for encoding in encodings().into_iter().filter(|encoding| concerns(*encoding)) {
                // AV1 takes seconds for large pictures, and JPEG XL several.
                let geometries = match encoding {
                    Encoding::Avif(_) => vec![fit(300)],
                    Encoding::Jxl(_) => vec![fit(800)],
                    _ => vec![fit(4000), fit(500)],
                };
                for geometry in geometries {
                    assert!(check(name, &original, OutputSpec { geometry, encoding }, &limits), "{name} {encoding:?}");
                }
            }
        }
    }
}

#[test]
fn structures_that_claim_memory_stay_within_their_permits() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, original) in structures::files() {
        // A GIF variant of an animation has all frames.
        for (incomplete, encoding) in
            [(Incomplete::Keep, Encoding::Jpeg(quality(80))), (Incomplete::Refuse, Encoding::Gif)]
        {
            let limits = Limits { incomplete, ..Limits::default() };
            check(name, &original, OutputSpec { geometry: fit(100), encoding }, &limits);
        }
    }
}

#[test]
fn animated_png_stays_within_its_permit_in_every_format() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let original = structures::animated_png();
    for encoding in encodings() {
        for side in [300, 100] {
            let output = OutputSpec { geometry: fit(side), encoding };
            assert!(check("animated PNG", &original, output, &Limits::default()), "{encoding:?}");
        }
    }
}

#[test]
fn prefix_groups_of_lossless_webp_take_little_memory_and_the_picture_is_shown() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits::default();
    for (name, original) in structures::webp_with_groups() {
        for encoding in [Encoding::Jpeg(quality(80)), Encoding::WebP(quality(80))] {
            let output = OutputSpec { geometry: fit(100), encoding };
            let header = Header::read(&original, &limits).unwrap();
            let permit = header.working_bytes(&[output]);
            assert!(permit < (6 << 20) + original.len() as u64, "{name}: {permit}");
            assert!(check(name, &original, output, &limits), "{name} {encoding:?}");
        }
    }
}

/// Reads the files of the committed seeds and corpora of a fuzz target.
fn fuzz_inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let seeds = fs::read_dir(folder.join("seeds").join(target)).unwrap();
    let mut inputs: Vec<_> = seeds.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let archive = fs::File::open(folder.join("corpus").join(format!("{target}.tar.gz"))).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    // Blocks of 512 bytes. A file begins with a header that has its length in octal digits (POSIX, ustar).
    let mut rest = &tar[..];
    while let Some(header) = rest.get(..512).filter(|header| header[0] != 0) {
        let digits = String::from_utf8_lossy(&header[124..135]);
        let length = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap();
        inputs.push(rest[512..512 + length].to_vec());
        rest = &rest[512 + length.next_multiple_of(512)..];
    }
    inputs
}

#[test]
fn fuzzed_files_stay_within_their_permits() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits { render_time: Duration::from_secs(5), ..Limits::default() };
    let mut made = 0;
    for (n, input) in fuzz_inputs("render").iter().enumerate() {
        let Some(original) = input.get(4..) else { continue };
        let encoding = encodings()[n % 5];
        let geometry = fit(1 + u32::from(input[0]));
        made += u32::from(check("render", original, OutputSpec { geometry, encoding }, &limits));
    }
    assert!(made > 100, "{made}");
}

#[test]
fn several_variants_of_one_original_stay_within_their_permit() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits::default();
    for (name, original) in structures::pictures() {
        let header = Header::read(&original, &limits).unwrap();
        let encoding = Encoding::Jpeg(quality(80));
        let outputs = [50, 200, 900].map(|side| OutputSpec { geometry: fit(side), encoding });
        let permit = header.working_bytes(&outputs);
        let options = RenderOptions::new(&limits);
        let ((), used) = peak(|| render_each(&original, &header, &outputs, &options, |_, made| drop(made)));
        assert!(used <= permit / 4 * 5, "{name}: {used} bytes used, {permit} permitted");
    }
}
