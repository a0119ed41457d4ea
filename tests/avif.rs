//! AVIF originals, decoded in sandbox processes of the real executable.

#![cfg(all(target_os = "linux", feature = "avif", feature = "avif-originals"))]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use image::{ColorType, ExtendedColorType, ImageEncoder as _, RgbImage, RgbaImage};
use pixels::{
    Codec, Encoding, Error, Geometry, Header, Limits, OutputSpec, Quality, RenderOptions, UnsupportedFormat, render,
    render_each, sniff,
};
use rav1e::prelude::{
    ChromaSampling, Config, Context, EncoderConfig, EncoderStatus, FrameParameters, Pixel, PixelRange,
};
use resized::resize::sandbox::{self, ProcessSandbox};

#[path = "shared/random.rs"]
mod random;

use random::Random;

/// Serializes the tests, because some count the child processes and file descriptors of this process.
fn serialize() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    static PROGRAM: Once = Once::new();
    PROGRAM.call_once(|| sandbox::set_program(env!("CARGO_BIN_EXE_resized").into()));
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fit(width: u32) -> Geometry {
    Geometry::Fit { width: NonZeroU32::new(width), height: None }
}

fn encodings() -> [Encoding; 5] {
    let quality = Quality::new(90).unwrap();
    [Encoding::Jpeg(quality), Encoding::WebP(quality), Encoding::Avif(quality), Encoding::Png, Encoding::Gif]
}

fn options(limits: &Limits) -> RenderOptions<'_> {
    RenderOptions::new(limits).with_sandbox(&ProcessSandbox)
}

fn render_fit(original: &[u8], width: u32, encoding: Encoding, limits: &Limits) -> Result<Vec<u8>, Error> {
    let header = Header::read(original, limits)?;
    render(original, &header, OutputSpec { geometry: fit(width), encoding }, &options(limits))
}

fn render_pixels(original: &[u8], width: u32) -> RgbaImage {
    let made = render_fit(original, width, Encoding::Png, &Limits::default()).unwrap();
    image::load_from_memory(&made).unwrap().to_rgba8()
}

/// A PNG whose left half is red and whose right half is blue.
fn red_blue_png(width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, _| image::Rgb(if x < width / 2 { RED } else { BLUE }));
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.write_image(&image, width, height, ColorType::Rgb8.into()).unwrap();
    png
}

const RED: [u8; 3] = [200, 40, 40];
const BLUE: [u8; 3] = [40, 40, 200];

/// An AVIF whose left half is red and whose right half is blue.
fn red_blue_avif(width: u32, height: u32) -> Vec<u8> {
    render_fit(&red_blue_png(width, height), width, encodings()[2], &Limits::default()).unwrap()
}

#[track_caller]
fn assert_red_blue(image: &RgbaImage) {
    for (x, expected) in [(image.width() / 4, RED), (image.width() * 3 / 4, BLUE)] {
        let pixel = image.get_pixel(x, image.height() / 2).0;
        let is_close = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 20);
        assert!(is_close, "{pixel:?} instead of {expected:?}");
    }
}

#[test]
fn an_avif_original_renders_to_every_format() {
    let _lock = serialize();
    let original = red_blue_avif(151, 83);
    let header = Header::read(&original, &Limits::default()).unwrap();
    assert_eq!((header.info.width, header.info.height, header.codec), (151, 83, Codec::Avif));
    for encoding in encodings() {
        let made = render_fit(&original, 100, encoding, &Limits::default()).unwrap();
        assert_eq!(sniff(&made), Some(encoding.format().media_type()));
        let header = Header::read(&made, &Limits::default()).unwrap();
        assert_eq!((header.info.width, header.info.height), (100, 55));
        assert_red_blue(&render_pixels(&made, 60));
    }
}

#[test]
fn variants_rendered_together_equal_those_rendered_alone() {
    let _lock = serialize();
    let limits = Limits::default();
    let variants = encodings().map(|encoding| OutputSpec { geometry: fit(70), encoding });
    for original in [red_blue_avif(150, 90), deep_png(150, 90, true)] {
        let header = Header::read(&original, &limits).unwrap();
        let mut made = 0;
        render_each(&original, &header, &variants, &options(&limits), |n, bytes| {
            assert_eq!(bytes.unwrap(), render(&original, &header, variants[n], &options(&limits)).unwrap());
            made += 1;
        });
        assert_eq!(made, variants.len());
    }
}

/// A PNG of noise, which takes the AVIF encoder long.
fn noise_png(width: u32, height: u32, has_alpha: bool) -> Vec<u8> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let image = RgbaImage::from_fn(width, height, |_, _| {
        let mut sample = || u8::try_from(random.below(256)).unwrap();
        image::Rgba([sample(), sample(), sample(), if has_alpha { sample() } else { 255 }])
    });
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.write_image(&image, width, height, ColorType::Rgba8.into()).unwrap();
    png
}

#[test]
fn a_large_variant_has_the_bytes_of_one_that_is_encoded_in_this_process() {
    let _lock = serialize();
    let limits = Limits::default();
    for has_alpha in [false, true] {
        let original = noise_png(501, 301, has_alpha);
        let header = Header::read(&original, &limits).unwrap();
        let output = OutputSpec { geometry: fit(501), encoding: Encoding::Avif(Quality::new(50).unwrap()) };
        let here = render(&original, &header, output, &RenderOptions::new(&limits)).unwrap();
        let apart = render(&original, &header, output, &options(&limits)).unwrap();
        assert_eq!(here, apart);
    }
    assert_eq!(children(), "");
}

/// A PNG of 16 bits per sample, whose luma rises from left to right.
fn deep_png(width: u32, height: u32, has_alpha: bool) -> Vec<u8> {
    let level = |x: u32| u16::try_from(20_000 + x * 12_000 / width).unwrap();
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    let color = if has_alpha { ExtendedColorType::Rgba16 } else { ExtendedColorType::Rgb16 };
    let samples = (0..width * height).flat_map(|n| {
        let level = level(n % width);
        let alpha = has_alpha.then_some(u16::MAX - level);
        [level, level, level + 1000].into_iter().chain(alpha)
    });
    let bytes: Vec<u8> = samples.flat_map(u16::to_ne_bytes).collect();
    encoder.write_image(&bytes, width, height, color).unwrap();
    png
}

/// Luma of the color image of an AVIF without XMP.
fn decoded_luma(file: &[u8], width: u32, height: u32, depth: u8) -> Vec<u16> {
    let at = file.windows(4).position(|name| name == b"mdat").unwrap() + 4;
    let sampling = pixels::ChromaSubsampling::Cs420;
    let shape = pixels::ImageShape::Yuv(pixels::YuvShape { width, height, depth, sampling });
    let request = pixels::DecodeRequest { format: pixels::SandboxFormat::Av1, bytes: &file[at..], shape };
    let pixels::SandboxImage::Yuv(image) = pixels::decoders::decode(&request).unwrap().into_image() else {
        unreachable!("AV1 has planes");
    };
    match &image.planes[0] {
        pixels::YuvSamples::U8(samples) => samples.iter().map(|sample| u16::from(*sample)).collect(),
        pixels::YuvSamples::U16(samples) => samples.clone(),
    }
}

/// Bits per sample in each `av1C` (AV1 Codec ISO Media File Format Binding, section 2.3.3).
fn depths(file: &[u8]) -> Vec<u8> {
    let boxes = file.windows(7).filter(|window| window.starts_with(b"av1C"));
    boxes.map(|window| if window[6] & 0x40 == 0 { 8 } else { 10 }).collect()
}

#[test]
fn a_gradient_of_16_bits_keeps_10() {
    let _lock = serialize();
    let original = deep_png(1024, 64, false);
    let encoding = Encoding::Avif(Quality::new(90).unwrap());
    for width in [1024, 512] {
        let made = render_fit(&original, width, encoding, &Limits::default()).unwrap();
        assert_eq!(depths(&made), [10]);
        let luma = decoded_luma(&made, width, width / 16, 10);
        for (n, luma) in luma.iter().enumerate() {
            let x = f64::from(u32::try_from(n).unwrap() % width) + 0.5;
            let exact = (20_000.0 + 114.0 + x * 12_000.0 / f64::from(width)) / 65_535.0 * 1023.0;
            // Half a level of 8 bits is 2 levels.
            assert!((f64::from(*luma) - exact).abs() < 2.5, "{width} {n}: {luma} {exact}");
        }
        let levels = luma.iter().collect::<std::collections::BTreeSet<_>>().len();
        // 8 bits have 47 levels in this range, and 10 bits have 188.
        assert!(levels > 140, "{levels}");
    }
}

#[test]
fn avif_has_10_bits_if_the_original_has_more_than_8_or_the_option_says_so() {
    let _lock = serialize();
    let limits = |avif_depth| {
        let limits = Limits::default();
        Limits { encode: pixels::EncodeOptions { avif_depth, ..limits.encode }, ..limits }
    };
    let encoding = Encoding::Avif(Quality::new(50).unwrap());
    let made = |original: &[u8], depth| depths(&render_fit(original, 200, encoding, &limits(depth)).unwrap());
    let (eight, ten) = (Some(pixels::AvifDepth::Eight), Some(pixels::AvifDepth::Ten));
    let originals = [
        (red_blue_png(400, 300), 8, 1),
        (red_blue_avif(400, 300), 8, 1),
        (deep_png(400, 300, false), 10, 1),
        (deep_png(400, 300, true), 10, 2),
        (flat_still::<u16>((400, 300), 10, ChromaSampling::Cs444), 10, 1),
        (file("bt2020-ten-422.avif"), 10, 1),
    ];
    for (n, (original, automatic, images)) in originals.iter().enumerate() {
        assert_eq!(made(original, None), vec![*automatic; *images], "{n}");
        assert_eq!(made(original, eight), vec![8; *images], "{n}");
        assert_eq!(made(original, ten), vec![10; *images], "{n}");
    }
}

#[test]
fn deep_variants_look_like_those_of_8_bits() {
    let _lock = serialize();
    let originals = ["bt2020-ten-422.avif", "full-444.avif"].map(|name| (name, file(name)));
    let pngs = [("opaque", deep_png(300, 200, false)), ("alpha", deep_png(300, 200, true))];
    let others = ["sixteen.tif", "sixteen.jxl", "linear-float.jxl"]
        .map(|name| (name, fs::read(path(&format!("../originals/{name}"))).unwrap()));
    let is_built = |name: &str| match name.rsplit_once('.') {
        Some((_, "tif")) => cfg!(feature = "tiff-originals"),
        Some((_, "jxl")) => cfg!(feature = "jxl-originals"),
        _ => true,
    };
    let all = originals.into_iter().chain(pngs).chain(others);
    for (name, original) in all.filter(|(name, _)| is_built(name)) {
        for linear_light in [false, true] {
            let limits = |avif_depth| {
                let encode = pixels::EncodeOptions { linear_light, avif_depth, ..pixels::EncodeOptions::default() };
                Limits { encode, ..Limits::default() }
            };
            let png = render_fit(&original, 60, Encoding::Png, &limits(None)).unwrap();
            let exact = image::load_from_memory(&png).unwrap().to_rgba8();
            let encoding = Encoding::Avif(Quality::new(95).unwrap());
            // The mean difference from the exact variant.
            let off = |file: &[u8]| {
                let made = render_pixels(file, 60);
                let off = made.iter().zip(exact.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
                off / exact.len() as f64
            };
            let deep = render_fit(&original, 60, encoding, &limits(None)).unwrap();
            assert_eq!(depths(&deep)[0], if name == "full-444.avif" { 8 } else { 10 }, "{name}");
            let eight = render_fit(&original, 60, encoding, &limits(Some(pixels::AvifDepth::Eight))).unwrap();
            let (deep, eight) = (off(&deep), off(&eight));
            assert!(deep < eight + 0.5, "{name} {linear_light}: {deep} {eight}");
        }
    }
}

/// The subsampling in `av1C` (AV1 Codec ISO Media File Format Binding, section 2.3.3).
fn subsampling(file: &[u8]) -> &'static str {
    let at = file.windows(4).position(|name| name == b"av1C").unwrap() + 4;
    match file[at + 2] >> 2 & 0b111 {
        0b000 => "4:4:4",
        0b011 => "4:2:0",
        0b111 => "4:0:0",
        other => unreachable!("{other}"),
    }
}

#[test]
fn drawings_keep_full_chroma_and_photographs_do_not() {
    let _lock = serialize();
    let drawing = |width, is_gray| {
        let line = if is_gray { [90; 3] } else { [220, 20, 20] };
        let image = RgbImage::from_fn(width, 300, |x, y| image::Rgb(if (x + y) % 24 < 3 { line } else { [255; 3] }));
        let mut png = Vec::new();
        image.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
        png
    };
    let quality = Encoding::Avif(Quality::new(60).unwrap());
    let made = |original: &[u8], width| render_fit(original, width, quality, &Limits::default()).unwrap();
    // Encoded in this process, and in a sandbox.
    for width in [300, 600] {
        let file = made(&drawing(width, false), width);
        assert_eq!(subsampling(&file), "4:4:4", "{width}");
        let pixels = render_pixels(&file, width);
        let line = pixels.get_pixel(25, 0).0;
        assert!(line[0] > 180 && line[1] < 60, "{line:?}");
        assert_eq!(subsampling(&made(&drawing(width, true), width)), "4:2:0");
        assert_eq!(subsampling(&made(&noise_png(width, 300, false), width)), "4:2:0");
    }
}

#[test]
fn a_variant_that_needs_more_memory_than_its_permit_is_refused() {
    let _lock = serialize();
    let limits = Limits::default();
    let original = noise_png(900, 800, false);
    let header = Header::read(&original, &limits).unwrap();
    let output = OutputSpec { geometry: fit(900), encoding: Encoding::Avif(Quality::new(100).unwrap()) };
    let error = render(&original, &header, output, &options(&limits)).unwrap_err();
    assert_eq!(error, Error::EncoderMemory);
}

#[test]
fn the_avif_encoder_is_stopped_at_the_deadline() {
    let _lock = serialize();
    let limits = Limits { render_time: Duration::from_millis(100), ..Limits::default() };
    let original = noise_png(1000, 700, false);
    let header = Header::read(&original, &limits).unwrap();
    let output = OutputSpec { geometry: fit(1000), encoding: Encoding::Avif(Quality::new(40).unwrap()) };
    let (start, before) = (pixels::cpu_time(), children_cpu_time());
    let error = render(&original, &header, output, &options(&limits)).unwrap_err();
    assert!(matches!(error, Error::RenderTimeout { .. }), "{error}");
    let (charged, used) = (pixels::cpu_time() - start, children_cpu_time() - before);
    assert!(used < Duration::from_millis(1700), "the process used {used:?}");
    assert!(charged >= limits.render_time && charged < Duration::from_millis(1700), "{charged:?} were charged");
    assert_eq!(children(), "");
}

/// CPU time of the child processes that have ended (proc_pid_stat(5), fields 16 and 17), at 100 ticks a second.
fn children_cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // The first field after the command name is number 3.
    let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(16) + ticks(17)))
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/pixels/tests/avif").join(name)
}

fn file(name: &str) -> Vec<u8> {
    fs::read(path(name).with_extension("avif")).unwrap()
}

/// A still image of one color, encoded by rav1e.
fn flat_still<T: Pixel>((width, height): (usize, usize), depth: usize, chroma_sampling: ChromaSampling) -> Vec<u8> {
    let pixel_range = PixelRange::Full;
    let mut config = EncoderConfig::with_speed_preset(10);
    (config.width, config.height, config.bit_depth) = (width, height, depth);
    (config.chroma_sampling, config.pixel_range, config.still_picture) = (chroma_sampling, pixel_range, true);
    let mut encoder: Context<T> = Config::new().with_encoder_config(config).with_threads(1).new_context().unwrap();
    let mut frame = encoder.new_frame();
    for plane in &mut frame.planes {
        plane.data.fill(T::cast_from(77_u16));
    }
    encoder.send_frame((frame, FrameParameters::default())).unwrap();
    encoder.flush();
    let av1 = loop {
        match encoder.receive_packet() {
            Ok(packet) => break packet.data,
            Err(EncoderStatus::Encoded | EncoderStatus::NeedMoreData) => {}
            Err(error) => unreachable!("{error}"),
        }
    };
    let mut file = avif_serialize::Aviffy::new();
    let is_full = chroma_sampling == ChromaSampling::Cs444;
    file.set_monochrome(chroma_sampling == ChromaSampling::Cs400);
    file.set_chroma_subsampling((!is_full, !is_full));
    file.set_seq_profile(u8::from(is_full));
    let mut bytes = Vec::new();
    let side = |n| u32::try_from(n).unwrap();
    file.write(&mut bytes, &av1, None, side(width), side(height), u8::try_from(depth).unwrap()).unwrap();
    bytes
}

#[test]
fn the_sandbox_needs_no_more_memory_than_estimated_from_the_header() {
    let _lock = serialize();
    let size = (800, 600);
    let originals = [
        ("4:2:0, 8 bits", flat_still::<u8>(size, 8, ChromaSampling::Cs420)),
        ("4:4:4, 8 bits", flat_still::<u8>(size, 8, ChromaSampling::Cs444)),
        ("4:0:0, 8 bits", flat_still::<u8>(size, 8, ChromaSampling::Cs400)),
        ("4:4:4, 10 bits", flat_still::<u16>(size, 10, ChromaSampling::Cs444)),
        ("4:2:0, 10 bits", flat_still::<u16>(size, 10, ChromaSampling::Cs420)),
        ("one pixel", flat_still::<u8>((1, 1), 8, ChromaSampling::Cs420)),
        ("a column", flat_still::<u8>((1, 3000), 8, ChromaSampling::Cs420)),
    ];
    for (name, original) in originals {
        // The kernel enforces the estimate as a limit of the sandbox process.
        let made = render_fit(&original, 100, Encoding::Png, &Limits::default());
        assert!(made.is_ok(), "{name}: {made:?}");
    }
}

#[test]
fn an_original_with_too_many_pixels_is_refused_from_its_header() {
    let _lock = serialize();
    let limits = Limits { input_pixels: 99, ..Limits::default() };
    let error = Header::read(&red_blue_avif(10, 10), &limits).unwrap_err();
    assert!(matches!(error, Error::TooManyPixels { width: 10, height: 10, pixels_max: 99 }), "{error}");
}

#[test]
fn avif_originals_are_unsupported_if_disabled() {
    let limits = Limits { originals: [Codec::Jpeg].into_iter().collect(), ..Limits::default() };
    let error = Header::read(&file("ten-420"), &limits).unwrap_err();
    let format = UnsupportedFormat::NotAccepted(Codec::Avif);
    assert_eq!(error, Error::UnsupportedFormat { format, accepted: limits.originals });
}

#[test]
fn rendering_stops_at_the_time_limit() {
    let _lock = serialize();
    let original = red_blue_avif(600, 400);
    for micros in [1, 300, 3000] {
        let limits = Limits { render_time: Duration::from_micros(micros), ..Limits::default() };
        let error = render_fit(&original, 50, Encoding::Png, &limits).unwrap_err();
        assert!(matches!(error, Error::RenderTimeout { .. }), "{error}");
        assert!(error.to_string().contains("limits.render_time"), "{error}");
    }
    assert!(render_fit(&original, 50, Encoding::Png, &Limits::default()).is_ok());
}

/// IDs of the child processes of this process, running or not yet reaped.
fn children() -> String {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path().join("children"));
    threads.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Number of open file descriptors.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn mutated_originals_leak_no_process_and_no_descriptor() {
    let _lock = serialize();
    let limits = Limits { input_pixels: 1 << 20, ..Limits::default() };
    let names = ["alpha-420", "alpha-444-premultiplied", "grid", "identity", "turned-1", "twelve-444-limited"];
    let whole = [vec![red_blue_avif(90, 70)], names.map(file).to_vec()].concat();
    let before = descriptors();
    let (mut random, mut crashes) = (Random(0x9E37_79B9_7F4A_7C15), 0);
    for n in 0..400 {
        let mut bytes = whole[n % whole.len()].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        match render_fit(&bytes, 40, Encoding::Png, &limits) {
            Ok(made) => assert!(image::load_from_memory(&made).is_ok()),
            Err(Error::Damaged { reason }) => crashes += usize::from(reason.contains("its process ended")),
            Err(Error::NotAnImage { .. } | Error::UnsupportedFormat { .. } | Error::TooManyPixels { .. }) => {}
            Err(error) => unreachable!("{n}: {error}"),
        }
    }
    println!("{crashes} sandbox processes ended");
    assert_eq!(children(), "");
    assert_eq!(descriptors(), before);
    assert_red_blue(&render_pixels(&red_blue_avif(90, 70), 60));
}

#[test]
fn an_original_that_ends_its_sandbox_is_damaged_and_the_next_one_renders() {
    let _lock = serialize();
    let error = render_fit(&file("aborts"), 40, Encoding::Png, &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_red_blue(&render_pixels(&red_blue_avif(90, 70), 60));
}

/// `crates/pixels/tests/avif/make.py` creates both the originals and the expected images.
#[test]
fn pixels_match_those_of_avifdec() {
    let _lock = serialize();
    let names = [
        "alpha-420",
        "alpha-444-premultiplied",
        "bt709-420",
        "full-400",
        "full-420",
        "full-422",
        "full-444",
        "grid",
        "grid-alpha",
        "identity",
        "limited-420",
        "ten-420",
        "twelve-444-limited",
    ];
    for name in names {
        let expected = image::open(path(name).with_extension("png")).unwrap().to_rgba8();
        let made = render_pixels(&file(name), expected.width());
        assert_eq!(made.dimensions(), expected.dimensions(), "{name}");
        // Color differences are weighted by alpha. The tolerance allows for different chroma upsampling filters.
        let difference = |(a, b): (&image::Rgba<u8>, &image::Rgba<u8>)| {
            let color = (0..3).map(|n| u64::from(a.0[n].abs_diff(b.0[n]))).sum::<u64>();
            color * u64::from(b.0[3]) / 255 + u64::from(a.0[3].abs_diff(b.0[3]))
        };
        let sum: u64 = made.pixels().zip(expected.pixels()).map(difference).sum();
        let mean = sum as f64 / f64::from(expected.width() * expected.height());
        assert!(mean < 9.0, "{name}: {mean}");
        println!("{name}: {mean}");
    }
}

#[test]
fn rotation_and_crop_of_the_container_are_applied() {
    let _lock = serialize();
    assert_eq!(render_pixels(&file("turned-0"), 46).dimensions(), (46, 34));
    assert_eq!(render_pixels(&file("turned-1"), 34).dimensions(), (34, 46));
    assert_eq!(render_pixels(&file("cropped"), 20).dimensions(), (20, 14));
}
