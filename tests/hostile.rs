//! Files from strangers: tiny ones that ask for much memory or time, and what fuzzing has found.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by it")]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use resized::resize::{Finish, Header, Incomplete, Limits, RenderError, render, render_each};
use resized::variant::{Encoding, Geometry, Quality};

#[path = "../fuzz/checks.rs"]
mod checks;

#[path = "hostile/make.rs"]
mod make;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

/// Memory is counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn thumbnail() -> Geometry {
    Geometry::Fit { width: NonZeroU32::new(100), height: None }
}

fn jpeg() -> Encoding {
    Encoding::Jpeg(Quality::new(80).unwrap())
}

/// Makes a thumbnail of `original` and holds what it took against `bytes_max` beyond the original and `time_max`.
#[track_caller]
fn make_within(original: &[u8], bytes_max: u64, time_max: Duration) -> Result<Vec<u8>, RenderError> {
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

const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_few_bytes_that_promise_65535_pixels_a_side_cost_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, file) in make::giants() {
        let error = make_within(&file, 1 << 20, SOON).unwrap_err();
        assert!(matches!(error, RenderError::TooManyPixels { .. }), "{name}: {error}");
    }
}

/// A picture of four million pixels as a PNG.
fn large_png(colour: image::ColorType) -> Vec<u8> {
    let (width, height) = (2000, 2000);
    let bytes = vec![200; width as usize * height as usize * usize::from(colour.bytes_per_pixel())];
    let mut file = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    image::ImageEncoder::write_image(encoder, &bytes, width, height, colour.into()).unwrap();
    file
}

#[test]
fn a_large_picture_takes_no_more_memory_than_its_header_promises() {
    use image::ColorType::{L8, La8, Rgb8, Rgba8, Rgba16};
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (colour, linear_light) in [L8, La8, Rgb8, Rgba8, Rgba16].into_iter().flat_map(|c| [(c, false), (c, true)]) {
        let file = large_png(colour);
        let finish = Finish { linear_light, ..Finish::default() };
        let limits = Limits { finish, ..Limits::default() };
        let header = Header::read(&file, &limits).unwrap();
        let promised = header.working_bytes(&[(thumbnail(), jpeg())]);
        let (made, used) = checks::peak(|| render(&file, &header, thumbnail(), jpeg(), &limits));
        made.unwrap();
        assert!(used <= promised, "{colour:?}, in light: {linear_light}: {used} of {promised} bytes");
        // Its pixels are there once; of what they are scaled as there are some rows.
        let pixels = 2000 * 2000 * u64::from(colour.channel_count());
        assert!(used < pixels + (2 << 20), "{colour:?}, in light: {linear_light}: {used} bytes");
        assert!(promised < pixels + (16 << 20), "{colour:?}, in light: {linear_light}: {promised} bytes");
    }
}

/// A picture as WebP of the same size, with losses.
fn lossy_webp(file: &[u8]) -> Vec<u8> {
    let header = Header::read(file, &Limits::default()).unwrap();
    let same = Geometry::Fit { width: NonZeroU32::new(header.width), height: None };
    render(file, &header, same, Encoding::WebP(Quality::new(80).unwrap()), &Limits::default()).unwrap()
}

#[test]
fn a_lossy_webp_takes_no_more_memory_than_its_header_promises() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = lossy_webp(&large_png(image::ColorType::Rgb8));
    let header = Header::read(&file, &Limits::default()).unwrap();
    let large = Geometry::Fit { width: NonZeroU32::new(1500), height: None };
    // Made of planes that are not smoothed, of such as are, and of both.
    for variants in [&[(thumbnail(), jpeg())][..], &[(large, jpeg())], &[(thumbnail(), jpeg()), (large, jpeg())]] {
        let promised = header.working_bytes(variants);
        let made = |_, made: Result<Vec<u8>, RenderError>| drop(made.unwrap());
        let ((), used) = checks::peak(|| render_each(&file, &header, variants, &Limits::default(), made));
        assert!(used <= promised, "{variants:?}: {used} of {promised} bytes");
        let planes = 2000 * 2000 * 3 / 2 * if variants.len() == 2 { 2 } else { 1 };
        assert!(promised < planes + (60 << 20), "{variants:?}: {promised}");
    }
}

#[test]
fn text_and_profiles_of_a_png_that_inflate_without_end_are_passed_over() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let zeros = make::deflated_zeros(256 << 20);
    let profile = [&b"p\0\0"[..], &zeros].concat();
    let text = [&b"Comment\0\0"[..], &zeros].concat();
    let international = [&b"XML:com.adobe.xmp\0\x01\0\0\0"[..], &zeros].concat();
    for (kind, data) in [(b"iCCP", profile), (b"zTXt", text), (b"iTXt", international)] {
        let file = make::png(64, 64, &[(kind, &data)]);
        assert!(make_within(&file, 24 << 20, SOON).is_ok(), "{}", kind.escape_ascii());
    }
}

#[test]
fn a_thousand_chunks_of_text_are_read_once_and_kept_never() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = [&b"Comment\0"[..], &[b'a'; 10_000]].concat();
    let file = make::png(64, 64, &vec![(b"tEXt", &text[..]); 1000]);
    assert!(make_within(&file, 4 << 20, SOON).is_ok());
}

#[test]
fn a_png_whose_pixels_inflate_to_more_than_its_header_says_is_no_larger() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make::png_of(8, 8, &make::deflated_zeros(256 << 20), &[]);
    let _ = make_within(&file, 8 << 20, SOON);
}

#[test]
fn a_jpeg_of_thousands_of_scans_is_refused_where_they_would_be_needed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make::jpeg_of_scans(1000, 1000, 5000);
    let limits = Limits::default();
    let header = Header::read(&file, &limits).unwrap();
    let large = Geometry::Fit { width: NonZeroU32::new(900), height: None };
    for encoding in [jpeg(), Encoding::Png] {
        let start = Instant::now();
        let error = render(&file, &header, large, encoding, &limits).unwrap_err();
        assert!(matches!(error, RenderError::Damaged { .. }), "{error}");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
    // At an eighth, the first scan is all.
    assert!(make_within(&file, 8 << 20, SOON).is_ok());
}

#[test]
fn a_jpeg_of_thousands_of_segments_costs_no_more_than_its_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Profiles in parts that never are a whole, comments, tables.
    for segment in [make::icc_part(1, 255), b"\xFF\xFE\0\x02".to_vec(), make::quantizers()] {
        let file = make::jpeg_behind(&segment.repeat(2_000_000 / segment.len()));
        let _ = make_within(&file, 24 << 20, SOON);
    }
}

#[test]
fn frames_beyond_their_canvas_cost_no_more_than_the_canvas() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // One of 65,535 x 65,535 on a canvas of 8 x 8: refused by the frame's own size.
    let error = make_within(&make::gif_frame(8, 8, 65_535, 65_535), 2 << 20, SOON).unwrap_err();
    assert!(matches!(error, RenderError::TooManyPixels { .. }), "{error}");
    let error = make_within(&make::webp_within(8, 8, 16_383, 16_383), 2 << 20, SOON).unwrap_err();
    assert!(matches!(error, RenderError::Damaged { .. }), "{error}");
    for (width, height) in [(9, 8), (8, 9), (5000, 5000), (1 << 24, 1 << 24)] {
        let error = make_within(&make::webp_frame(width, height), 2 << 20, SOON).unwrap_err();
        assert!(error.to_string().contains("beyond its canvas"), "{width}x{height}: {error}");
    }
    let error = make_within(&make::gif_frame(8, 8, 9000, 9000), 2 << 20, SOON).unwrap_err();
    assert!(error.to_string().contains("beyond its canvas"), "{error}");
}

#[test]
fn a_million_frames_nobody_asked_for_cost_a_look_at_each() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make::gif_frames(100, 100, 300_000);
    assert!(make_within(&file, 8 << 20, SOON).is_ok(), "a JPEG shows the first");
}

#[test]
fn chunks_that_promise_gigabytes_are_not_believed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for name in [b"ICCP", b"EXIF", b"XMP ", b"ALPH"] {
        let _ = make_within(&make::webp_with_chunk(name, u32::MAX - 1), 2 << 20, SOON);
    }
    for kind in [b"iCCP", b"eXIf", b"tEXt", b"prVt"] {
        let mut file = make::png(8, 8, &[]);
        let chunk = [&0x7FFF_FFFF_u32.to_be_bytes()[..], kind].concat();
        file.splice(33..33, chunk);
        let _ = make_within(&file, 2 << 20, SOON);
    }
}

#[test]
fn a_picture_that_takes_longer_than_its_time_is_given_up_and_told_so() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits { render_time: Duration::from_millis(3), ..Limits::default() };
    // Of 4000 x 4000 a thumbnail needs the first scan alone, which a fast machine reads in less.
    for file in [make::png(4000, 4000, &[]), make::jpeg_of_scans(10_000, 10_000, 2)] {
        let header = Header::read(&file, &limits).unwrap();
        let start = Instant::now();
        let error = render(&file, &header, thumbnail(), jpeg(), &limits).unwrap_err();
        assert!(matches!(error, RenderError::TooSlow { .. }), "{error}");
        assert!(error.to_string().contains("limits.render_time"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[test]
fn what_is_there_of_a_file_that_is_cut_short_is_a_picture_where_that_is_wanted() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = |incomplete| Limits { incomplete, ..Limits::default() };
    let photographs = make::photographs();
    let webp = ("lossy WebP", lossy_webp(&photographs[2].1));
    for (name, whole) in photographs.into_iter().chain([webp]) {
        let file = &whole[..whole.len() * 2 / 3];
        for encoding in [jpeg(), Encoding::Png] {
            let header = Header::read(file, &Limits::default()).unwrap();
            let make = |incomplete| render(file, &header, thumbnail(), encoding, &limits(incomplete));
            assert!(matches!(make(Incomplete::Refuse), Err(RenderError::Damaged { .. })), "{name} {encoding:?}");
            let made = image::load_from_memory(&make(Incomplete::Keep).unwrap()).unwrap().to_rgb8();
            // Its top is the photograph's.
            let whole = render(&whole, &header, thumbnail(), encoding, &Limits::default()).unwrap();
            let whole = image::load_from_memory(&whole).unwrap().to_rgb8();
            let off = (0..100).map(|x| made.get_pixel(x, 3).0[1].abs_diff(whole.get_pixel(x, 3).0[1])).max();
            assert!(off.unwrap() < 24, "{name} {encoding:?}: {off:?}");
        }
    }
}

/// `fuzz/README.md` says where it comes from.
#[test]
fn what_fuzzing_has_found_and_kept_holds_still() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let read = |target: &str| -> Vec<Vec<u8>> {
        let entries = fs::read_dir(folder.join(target)).unwrap();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    };
    let [headers, variants, planes, frames] = ["header", "render", "planes", "vp8"].map(read);
    for bytes in &headers {
        let _ = checks::header(bytes);
    }
    variants.iter().for_each(|bytes| checks::variant(bytes));
    planes.iter().for_each(|bytes| checks::planes(bytes));
    frames.iter().for_each(|bytes| checks::vp8(bytes));
    let files = headers.len() + variants.len() + planes.len() + frames.len();
    assert!(files > 0, "{} is empty", folder.display());
}
