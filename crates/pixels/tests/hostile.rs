//! Untrusted input: small files that claim much memory or time, and the findings of the fuzz targets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test")]
#![expect(unsafe_code, reason = "implements a counting allocator")]

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pixels::{
    Codec, EncodeOptions, Encoding, Error, Geometry, Header, Incomplete, Limits, OutputSpec, Quality, RenderOptions,
};

#[path = "../../../fuzz/checks.rs"]
mod checks;

#[path = "hostile/make.rs"]
mod make;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

/// Serializes the tests, because memory is counted for the whole process.
static LOCK: Mutex<()> = Mutex::new(());

fn thumbnail() -> Geometry {
    Geometry::Fit { width: NonZeroU32::new(100), height: None }
}

fn jpeg() -> Encoding {
    Encoding::Jpeg(Quality::new(80).unwrap())
}

fn render(
    original: &[u8],
    header: &Header,
    geometry: Geometry,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    pixels::render(original, header, OutputSpec { geometry, encoding }, &RenderOptions::new(limits))
}

/// Renders a thumbnail of `original`. Fails if that takes more than `time_max`, or more memory than `bytes_max` plus
/// twice the size of `original`.
#[track_caller]
fn render_within(original: &[u8], bytes_max: u64, time_max: Duration) -> Result<Vec<u8>, Error> {
    let limits = Limits::default();
    let start = Instant::now();
    let (made, bytes) = checks::peak(|| {
        let header = Header::read(original, &limits)?;
        render(original, &header, thumbnail(), jpeg(), &limits)
    });
    assert!(start.elapsed() < time_max, "{:?}", start.elapsed());
    assert!(bytes < bytes_max + 2 * original.len() as u64, "{bytes} bytes");
    made
}

/// Time limit that a slow machine under load stays within, and that unbounded work exceeds.
const TIME_MAX: Duration = Duration::from_secs(5);

#[test]
fn headers_with_65535_pixels_per_side_are_refused_without_allocation() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, file) in make::giant_headers() {
        let error = render_within(&file, 1 << 20, TIME_MAX).unwrap_err();
        assert!(matches!(error, Error::TooManyPixels { .. }), "{name}: {error}");
    }
}

/// A PNG of four megapixels.
fn large_png(color: image::ColorType) -> Vec<u8> {
    let (width, height) = (2000, 2000);
    let bytes = vec![200; width as usize * height as usize * usize::from(color.bytes_per_pixel())];
    let mut file = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    image::ImageEncoder::write_image(encoder, &bytes, width, height, color.into()).unwrap();
    file
}

#[test]
fn png_takes_no_more_memory_than_estimated_from_the_header() {
    use image::ColorType::{L8, La8, Rgb8, Rgba8, Rgba16};
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    for (color, linear_light) in [L8, La8, Rgb8, Rgba8, Rgba16].into_iter().flat_map(|c| [(c, false), (c, true)]) {
        let file = large_png(color);
        let encode = EncodeOptions { linear_light, ..EncodeOptions::default() };
        let limits = Limits { encode, ..Limits::default() };
        let header = Header::read(&file, &limits).unwrap();
        let estimated = header.working_bytes(&[OutputSpec { geometry: thumbnail(), encoding: jpeg() }]);
        let (made, used) = checks::peak(|| render(&file, &header, thumbnail(), jpeg(), &limits));
        made.unwrap();
        assert!(used <= estimated, "{color:?}, linear light: {linear_light}: {used} of {estimated} bytes");
        // All original pixels are in memory once, and only some rows in the format that is scaled.
        let pixels = 2000 * 2000 * u64::from(color.channel_count());
        assert!(used < pixels + (2 << 20), "{color:?}, linear light: {linear_light}: {used} bytes");
        assert!(estimated < pixels + (16 << 20), "{color:?}, linear light: {linear_light}: {estimated} bytes");
    }
}

#[test]
fn color_chunks_of_png_take_no_more_memory_than_estimated_from_the_header() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let (linear, p3, pq) = (100_000_u32.to_be_bytes(), [12, 13, 0, 1], [9, 16, 0, 1]);
    let chunks: [(&[u8; 4], &[u8]); 3] = [(b"gAMA", &linear), (b"cICP", &p3), (b"cICP", &pq)];
    for color in [image::ColorType::L8, image::ColorType::L16, image::ColorType::Rgb8, image::ColorType::Rgba16] {
        let file = large_png(color);
        for (name, data) in chunks {
            let file = make::with_png_chunk(&file, name, data);
            let header = Header::read(&file, &Limits::default()).unwrap();
            let estimated = header.working_bytes(&[OutputSpec { geometry: thumbnail(), encoding: jpeg() }]);
            let (made, used) = checks::peak(|| render(&file, &header, thumbnail(), jpeg(), &Limits::default()));
            made.unwrap();
            assert!(used <= estimated, "{color:?}, {}: {used} of {estimated} bytes", name.escape_ascii());
        }
    }
}

/// Converts an image to lossy WebP of the same size.
fn lossy_webp(file: &[u8]) -> Vec<u8> {
    let header = Header::read(file, &Limits::default()).unwrap();
    let same = Geometry::Fit { width: NonZeroU32::new(header.info.width), height: None };
    render(file, &header, same, Encoding::WebP(Quality::new(80).unwrap()), &Limits::default()).unwrap()
}

#[test]
fn lossy_webp_takes_no_more_memory_than_estimated_from_the_header() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let file = lossy_webp(&large_png(image::ColorType::Rgb8));
    let header = Header::read(&file, &Limits::default()).unwrap();
    let large = Geometry::Fit { width: NonZeroU32::new(1500), height: None };
    // The thumbnail uses planes without the loop filter, the large variant filtered planes, and the pair both.
    let [small, large] = [thumbnail(), large].map(|geometry| OutputSpec { geometry, encoding: jpeg() });
    for variants in [&[small][..], &[large], &[small, large]] {
        let (estimated, limits) = (header.working_bytes(variants), Limits::default());
        let options = RenderOptions::new(&limits);
        let made = |_, made: Result<Vec<u8>, Error>| drop(made.unwrap());
        let ((), used) = checks::peak(|| pixels::render_each(&file, &header, variants, &options, made));
        assert!(used <= estimated, "{variants:?}: {used} of {estimated} bytes");
        let planes = 2000 * 2000 * 3 / 2 * if variants.len() == 2 { 2 } else { 1 };
        assert!(estimated < planes + (60 << 20), "{variants:?}: {estimated}");
    }
}

#[test]
fn compressed_png_metadata_is_not_inflated_without_limit() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let zeros = make::deflated_zeros(256 << 20);
    let profile = [&b"p\0\0"[..], &zeros].concat();
    let text = [&b"Comment\0\0"[..], &zeros].concat();
    let international = [&b"XML:com.adobe.xmp\0\x01\0\0\0"[..], &zeros].concat();
    for (kind, data) in [(b"iCCP", profile), (b"zTXt", text), (b"iTXt", international)] {
        let file = make::png(64, 64, &[(kind, &data)]);
        assert!(render_within(&file, 24 << 20, TIME_MAX).is_ok(), "{}", kind.escape_ascii());
    }
}

#[test]
fn png_text_chunks_are_not_kept_in_memory() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let text = [&b"Comment\0"[..], &[b'a'; 10_000]].concat();
    let file = make::png(64, 64, &vec![(b"tEXt", &text[..]); 1000]);
    assert!(render_within(&file, 4 << 20, TIME_MAX).is_ok());
}

#[test]
fn excess_png_pixel_data_takes_no_memory() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make::png_with_stream(8, 8, &make::deflated_zeros(256 << 20), &[]);
    let _ = render_within(&file, 8 << 20, TIME_MAX);
}

#[test]
fn a_jpeg_with_thousands_of_scans_is_refused_if_they_are_needed() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make::jpeg_with_scans(1000, 1000, 5000);
    let limits = Limits::default();
    let header = Header::read(&file, &limits).unwrap();
    let large = Geometry::Fit { width: NonZeroU32::new(900), height: None };
    for encoding in [jpeg(), Encoding::Png] {
        let start = Instant::now();
        let error = render(&file, &header, large, encoding, &limits).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    }
    // At 1/8 scale, only the first scan is needed.
    assert!(render_within(&file, 8 << 20, TIME_MAX).is_ok());
}

#[test]
fn memory_for_a_jpeg_with_thousands_of_segments_is_bounded_by_its_size() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    // Parts of an incomplete ICC profile, comments, and quantization tables.
    for segment in [make::icc_part(1, 255), b"\xFF\xFE\0\x02".to_vec(), make::quantizers()] {
        let file = make::jpeg_with_segments(&segment.repeat(2_000_000 / segment.len()));
        let _ = render_within(&file, 24 << 20, TIME_MAX);
    }
}

#[test]
fn frames_larger_than_their_canvas_are_refused() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    // A frame of 65,535 x 65,535 pixels on a canvas of 8 x 8 exceeds the pixel limit itself.
    let error = render_within(&make::gif_frame(8, 8, 65_535, 65_535), 2 << 20, TIME_MAX).unwrap_err();
    assert!(matches!(error, Error::TooManyPixels { .. }), "{error}");
    let error = render_within(&make::webp_with_inner_size(8, 8, 16_383, 16_383), 2 << 20, TIME_MAX).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    for (width, height) in [(9, 8), (8, 9), (5000, 5000), (1 << 24, 1 << 24)] {
        let error = render_within(&make::webp_frame(width, height), 2 << 20, TIME_MAX).unwrap_err();
        assert!(error.to_string().contains("beyond its canvas"), "{width}x{height}: {error}");
    }
    // The first frame of a GIF enlarges its canvas, and later frames must fit.
    let file = make::gif_with_second_frame(8, 8, 9000, 9000);
    let header = Header::read(&file, &Limits::default()).unwrap();
    let (made, bytes) = checks::peak(|| render(&file, &header, thumbnail(), Encoding::Gif, &Limits::default()));
    let error = made.unwrap_err();
    assert!(error.to_string().contains("beyond its canvas"), "{error}");
    assert!(bytes < 2 << 20, "{bytes}");
}

#[test]
fn a_still_variant_decodes_only_the_first_of_many_frames() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make::gif_frames(100, 100, 300_000);
    assert!(render_within(&file, 8 << 20, TIME_MAX).is_ok(), "a JPEG variant has the first frame");
}

#[test]
fn memory_is_not_allocated_by_chunk_length() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    for name in [b"ICCP", b"EXIF", b"XMP ", b"ALPH"] {
        let _ = render_within(&make::webp_with_chunk(name, u32::MAX - 1), 2 << 20, TIME_MAX);
    }
    for kind in [b"iCCP", b"eXIf", b"tEXt", b"prVt"] {
        let mut file = make::png(8, 8, &[]);
        let chunk = [&0x7FFF_FFFF_u32.to_be_bytes()[..], kind].concat();
        file.splice(33..33, chunk);
        let _ = render_within(&file, 2 << 20, TIME_MAX);
    }
}

#[test]
fn rendering_stops_at_the_time_limit() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits { render_time: Duration::from_millis(3), ..Limits::default() };
    // The JPEG is larger, because its thumbnail needs only the first scan, which a fast machine decodes quickly.
    for file in [make::png(4000, 4000, &[]), make::jpeg_with_scans(10_000, 10_000, 2)] {
        let header = Header::read(&file, &limits).unwrap();
        let start = Instant::now();
        let error = render(&file, &header, thumbnail(), jpeg(), &limits).unwrap_err();
        assert!(matches!(error, Error::RenderTimeout { .. }), "{error}");
        assert!(error.to_string().contains("limits.render_time"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[test]
fn truncated_originals_render_partially_if_incomplete_is_keep() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = |incomplete| Limits { incomplete, ..Limits::default() };
    let images = make::images();
    let webp = ("lossy WebP", lossy_webp(&images[2].1));
    for (name, complete) in images.into_iter().chain([webp]) {
        let file = &complete[..complete.len() * 2 / 3];
        for encoding in [jpeg(), Encoding::Png] {
            let header = Header::read(file, &Limits::default()).unwrap();
            let make = |incomplete| render(file, &header, thumbnail(), encoding, &limits(incomplete));
            assert!(matches!(make(Incomplete::Refuse), Err(Error::Damaged { .. })), "{name} {encoding:?}");
            let made = image::load_from_memory(&make(Incomplete::Keep).unwrap()).unwrap().to_rgb8();
            // The top rows equal those of the complete file.
            let expected = render(&complete, &header, thumbnail(), encoding, &Limits::default()).unwrap();
            let expected = image::load_from_memory(&expected).unwrap().to_rgb8();
            let difference = (0..100).map(|x| made.get_pixel(x, 3).0[1].abs_diff(expected.get_pixel(x, 3).0[1])).max();
            assert!(difference.unwrap() < 24, "{name} {encoding:?}: {difference:?}");
        }
    }
}

/// `fuzz/README.md` describes the seeds.
#[test]
fn fuzz_seeds_pass_the_checks_of_their_targets() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let read = |target: &str| -> Vec<Vec<u8>> {
        let entries = fs::read_dir(folder.join(target)).unwrap();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    };
    let [headers, variants, planes, frames, streams] = ["header", "render", "planes", "vp8", "vp8l"].map(read);
    for bytes in &headers {
        let _ = checks::header(bytes);
    }
    variants.iter().for_each(|bytes| checks::variant(bytes));
    planes.iter().for_each(|bytes| checks::planes(bytes));
    frames.iter().for_each(|bytes| checks::vp8(bytes));
    streams.iter().for_each(|bytes| checks::vp8l(bytes));
    let files = headers.len() + variants.len() + planes.len() + frames.len() + streams.len();
    assert!(files > 0, "{} is empty", folder.display());
    let sandboxed = [
        ("jxl", &[Codec::JpegXl][..]),
        ("heic", &[Codec::Heic]),
        ("tiff", &[Codec::Tiff]),
        ("bmp", &[Codec::Bmp, Codec::Ico]),
    ];
    for (target, codecs) in sandboxed {
        read(target).iter().for_each(|bytes| checks::original(bytes, codecs));
    }
    read("svg").iter().for_each(|bytes| checks::svg(bytes));
}

/// A HEIC whose decoder configuration states another size than the container: the memory follows the larger one, which is
/// refused above the limit.
#[test]
fn the_coded_size_of_heic_counts_against_the_limit_of_pixels() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/originals/shown.heic");
    let whole = fs::read(path).unwrap();
    let limits = Limits { input_pixels: 64 * 64, ..Limits::default() };
    assert!(Header::read(&whole, &limits).is_ok());
    let small = Limits { input_pixels: 64 * 64 - 1, ..Limits::default() };
    // Without its crop, which lies outside of the stated size.
    let mut lying = whole;
    let at = lying.windows(4).position(|kind| kind == b"clap").unwrap();
    lying[at..at + 4].copy_from_slice(b"pasp");
    let at = lying.windows(4).position(|kind| kind == b"ispe").unwrap() + 8;
    lying[at..at + 8].copy_from_slice(&[0, 0, 0, 24, 0, 0, 0, 24]);
    assert!(matches!(Header::read(&lying, &small), Err(Error::TooManyPixels { width: 64, height: 64, .. })));
}

/// A little-endian TIFF without compression, whose fields have one value each. Fields of the strip are added.
#[cfg(feature = "tiff-originals")]
fn tiff(fields: &[(u16, u32)], data_bytes: usize) -> Vec<u8> {
    let count = fields.len() + 2;
    let data_at = 8 + 2 + 12 * count + 4;
    let strip = [(273, u32::try_from(data_at).unwrap()), (279, u32::try_from(data_bytes).unwrap())];
    let mut fields = [fields, &strip].concat();
    fields.sort_unstable();
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend(u16::try_from(count).unwrap().to_le_bytes());
    for (tag, value) in fields {
        file.extend(tag.to_le_bytes());
        file.extend(4_u16.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.resize(data_at, 0);
    file.extend((0..data_bytes).map(|n| (n * 31 % 251) as u8));
    file
}

/// The check itself compares the memory that the decoder takes with its permit.
#[cfg(feature = "tiff-originals")]
#[test]
fn large_tiffs_stay_within_the_permit_of_the_sandbox() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits { input_pixels: 1 << 20, ..Limits::default() };
    for (color, samples, bits) in [(1, 1, 8), (1, 1, 16), (1, 1, 1), (2, 3, 8), (2, 3, 16), (2, 4, 16), (5, 4, 8)] {
        let (width, height) = (1000_u32, 800_u32);
        let fields = [(256, width), (257, height), (258, bits), (262, color), (277, samples), (278, height), (339, 1)];
        let row = (width * samples * bits).div_ceil(8);
        let file = tiff(&fields, (row * height) as usize);
        assert!(checks::original_within(&file, &[Codec::Tiff], &limits), "{color} {samples} {bits}");
    }
}

#[cfg(feature = "bmp-originals")]
#[test]
fn large_bmps_stay_within_the_permit_of_the_sandbox() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits { input_pixels: 1 << 20, ..Limits::default() };
    let (width, height) = (1000_u32, 800_u32);
    let mut file = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend(*b"\x01\0\x18\0");
    file.resize(0x36, 0);
    file.resize(0x36 + 3 * (width * height) as usize, 77);
    assert!(checks::original_within(&file, &[Codec::Bmp], &limits));
}

#[test]
fn tables_of_an_avif_with_many_tracks_are_not_all_read() {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/originals/animated.avif");
    let file = make::avif_of_many_tracks(&fs::read(path).unwrap(), 200);
    let (header, bytes) = checks::peak(|| Header::read(&file, &Limits::default()));
    header.unwrap();
    assert!(bytes < pixels::HEADER_BYTES_MAX, "{bytes} bytes");
}
