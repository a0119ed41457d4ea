//! Converts planes that a reference decoder wrote, and compares the results with the pixels of that decoder
//! (`tests/avif`).

use std::path::{Path, PathBuf};

use super::*;
use crate::codec::heif::container::{Coding, HeifImage};
use crate::codec::heif::grid_canvas::GridCanvas;
use crate::limits::Limits;
use crate::pixels::Window;
use crate::transform::scale::{LANCZOS, resample};
use crate::yuv_image::ChromaSubsampling;

fn path(name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/avif").join(name).with_extension(extension)
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name, "avif")).unwrap()
}

/// Reads a YUV4MPEG2 file of one frame.
fn y4m(name: &str) -> YuvImage {
    let bytes = std::fs::read(path(name, "y4m")).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let words: Vec<_> = std::str::from_utf8(&bytes[..end]).unwrap().split(' ').collect();
    let word = |letter: char| words.iter().skip(1).find_map(|word| word.strip_prefix(letter)).unwrap();
    let (width, height) = (word('W').parse().unwrap(), word('H').parse().unwrap());
    let sampling = match word('C') {
        "mono" => ChromaSubsampling::Cs400,
        name if name.starts_with("420") => ChromaSubsampling::Cs420,
        name if name.starts_with("422") => ChromaSubsampling::Cs422,
        _ => ChromaSubsampling::Cs444,
    };
    let depth = word('C').rsplit_once('p').and_then(|(_, depth)| depth.parse().ok()).filter(|d| *d > 8).unwrap_or(8);
    let mut rest = &bytes[end + 1 + b"FRAME\n".len()..];
    let planes = (0..sampling.planes()).map(|n| {
        let (width, height) = sampling.plane_size(n, (width, height));
        let samples = (width * height) as usize;
        let (plane, after) = rest.split_at(if depth > 8 { 2 * samples } else { samples });
        rest = after;
        match depth {
            8 => YuvSamples::U8(plane.to_vec()),
            _ => YuvSamples::U16(plane.as_chunks().0.iter().map(|sample| u16::from_le_bytes(*sample)).collect()),
        }
    });
    let planes = planes.collect();
    YuvImage { width, height, depth, sampling, cicp: Cicp::UNSPECIFIED, planes }
}

fn png(name: &str) -> image::DynamicImage {
    image::open(path(name, "png")).unwrap()
}

/// The alpha channel of the reference pixels.
fn alpha(name: &str) -> YuvImage {
    let png = png(name).to_rgba8();
    let samples = png.pixels().map(|pixel| pixel.0[3]).collect();
    let cicp = Cicp { full_range: true, ..Cicp::UNSPECIFIED };
    let (width, height) = png.dimensions();
    YuvImage {
        width,
        height,
        depth: 8,
        sampling: ChromaSubsampling::Cs400,
        cicp,
        planes: vec![YuvSamples::U8(samples)],
    }
}

fn context() -> RenderContext<'static> {
    RenderContext::new(&Limits::default())
}

/// The largest and the mean difference.
fn difference(actual: &[u8], expected: &[u8]) -> (u8, f64) {
    assert_eq!(actual.len(), expected.len());
    let differences = actual.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences.clone().map(u64::from).sum();
    (differences.max().unwrap(), sum as f64 / actual.len() as f64)
}

#[test]
fn pixels_match_those_of_libavif() {
    for name in [
        "full-420",
        "full-422",
        "full-444",
        "full-400",
        "limited-420",
        "ten-420",
        "twelve-444-limited",
        "bt709-420",
        "bt2020-ten-422",
        "identity",
    ] {
        let bytes = file(name);
        let mut image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        // libavif does not convert PQ samples, so replace the transfer function.
        image.cicp.iter_mut().for_each(|cicp| (cicp.primaries, cicp.transfer) = (1, 13));
        let result = pixels(&image, &y4m(name), None, &context()).unwrap();
        assert!(result.conversion.is_none(), "{name}");
        let expected =
            if result.pixels.channels == 1 { png(name).to_luma8().into_raw() } else { png(name).to_rgb8().into_raw() };
        let (max, mean) = difference(&result.pixels.data, &expected);
        assert!(max <= 3 && mean < 0.6, "{name}: {max} {mean}");
    }
}

#[test]
fn alpha_is_added_and_premultiplied_colors_are_divided() {
    for name in ["alpha-420", "alpha-444-premultiplied"] {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        let result = pixels(&image, &y4m(name), Some(&alpha(name)), &context()).unwrap();
        let expected = png(name).to_rgba8();
        let pairs = result.pixels.data.as_chunks::<4>().0.iter().zip(expected.pixels());
        for (pixel, expected) in pairs {
            assert_eq!(pixel[3], expected.0[3], "{name}");
            // Dividing by a small alpha amplifies rounding errors.
            let max = if name.ends_with("premultiplied") { 4 + 600 / (1 + u16::from(pixel[3])) } else { 3 };
            for (a, b) in pixel.iter().zip(&expected.0) {
                assert!(u16::from(a.abs_diff(*b)) <= max, "{name}: {pixel:?} {:?}", expected.0);
            }
        }
    }
}

#[test]
fn limited_range_alpha_with_12_bits_is_converted_to_8_bits() {
    let bytes = file("alpha-420");
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    let mut deep = alpha("alpha-420");
    deep.cicp.full_range = false;
    deep.depth = 12;
    deep.planes = vec![YuvSamples::U16((0..46 * 34).map(|n| [0, 256, 2012, 3760, 65_535][n % 5]).collect())];
    let result = pixels(&image, &y4m("alpha-420"), Some(&deep), &context()).unwrap();
    let alphas: Vec<_> = result.pixels.data.iter().skip(3).step_by(4).take(5).copied().collect();
    assert_eq!(alphas, [0, 0, 128, 255, 255]);
}

#[test]
fn bt601_images_scale_as_planes_to_similar_pixels() {
    let window = Window { x: 0.0, y: 0.0, width: 46.0, height: 34.0 };
    let small = (12.try_into().unwrap(), 9.try_into().unwrap());
    for name in ["full-420", "full-422", "full-444", "full-400", "limited-420", "ten-420", "twelve-444-limited"] {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        let planar = planes(&image, y4m(name), ColorPolicy::Keep).unwrap();
        assert!(planar.conversion.is_none());
        let result = planar.planes.scale_to_pixels(&window, small, LANCZOS).unwrap();
        let expected = pixels(&image, &y4m(name), None, &context()).unwrap().pixels;
        let expected = resample(&expected, window, small, LANCZOS, false).unwrap();
        let (max, mean) = difference(&result.data, &expected.data);
        // Subsampled chroma is scaled directly instead of after upsampling.
        let (max_limit, mean_limit) = if name.contains("42") { (12, 2.0) } else { (3, 0.7) };
        assert!(max <= max_limit && mean < mean_limit, "{name}: {max} {mean}");
    }
}

#[test]
fn images_that_planes_cannot_represent_are_returned_unchanged() {
    for name in ["bt709-420", "bt2020-ten-422", "identity", "alpha-420"] {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        assert_eq!(planes(&image, y4m(name), ColorPolicy::Keep).err(), Some(y4m(name)), "{name}");
    }
    let bytes = file("cropped");
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    assert!(planes(&image, y4m("full-420"), ColorPolicy::Keep).is_err());
    let result = pixels(&image, &y4m("full-420"), None, &context()).unwrap().pixels;
    assert_eq!((result.width, result.height), (20, 14));
    let whole =
        HeifImage { crop: crate::codec::heif::container::CropRect { x: 0, y: 0, width: 46, height: 34 }, ..image };
    let whole = pixels(&whole, &y4m("full-420"), None, &context()).unwrap().pixels;
    assert_eq!(result.data[..60], whole.data[3 * (6 * 46 + 4)..][..60]);
}

#[test]
fn p3_is_converted_by_profile_and_by_code_point() {
    // (150, 100, 80) and (0, 200, 0) in Display P3, converted by LittleCMS.
    let expected = [159, 97, 76, 0, 204, 0];
    for name in ["p3-icc", "p3-cicp"] {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        for conversion in [
            planes(&image, y4m("full-420"), ColorPolicy::Keep).unwrap().conversion,
            pixels(&image, &y4m("full-420"), None, &context()).unwrap().conversion,
        ] {
            let pixels = Pixels { width: 2, height: 1, channels: 3, data: vec![150, 100, 80, 0, 200, 0] };
            let (max, _) = difference(&conversion.apply_srgb(pixels).data, &expected);
            assert!(max <= 1, "{name}: {max}");
        }
        // Gray is the same color with all primaries.
        let gray = YuvImage {
            sampling: ChromaSubsampling::Cs400,
            planes: y4m("full-420").planes[..1].to_vec(),
            ..y4m("full-420")
        };
        assert!(pixels(&image, &gray, None, &context()).unwrap().conversion.is_none(), "{name}");
    }
}

#[test]
fn pixels_with_another_transfer_function_are_converted_to_srgb() {
    let bytes = file("bt2020-ten-422");
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    let result = pixels(&image, &y4m("bt2020-ten-422"), None, &context()).unwrap();
    assert!(result.conversion.is_display_p3());
    let without = HeifImage { cicp: image.cicp.map(|cicp| Cicp { transfer: 13, ..cicp }), ..image };
    let without = pixels(&without, &y4m("bt2020-ten-422"), None, &context()).unwrap();
    assert_ne!(result.pixels, without.pixels);
}

#[test]
fn unsupported_color_matrices_are_named() {
    let bytes = file("full-420");
    let mut image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    for (matrix, name) in [(10, "constant luminance"), (14, "ICtCp"), (16, "YCgCo"), (77, "77"), (0, "RGB planes")] {
        image.cicp.iter_mut().for_each(|cicp| cicp.matrix = matrix);
        let error = pixels(&image, &y4m("full-420"), None, &context()).err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
        assert!(planes(&image, y4m("full-420"), ColorPolicy::Keep).is_err());
    }
}

#[test]
fn planes_of_unexpected_size_are_refused() {
    let bytes = file("full-420");
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    let other = YuvImage { width: 45, ..y4m("full-420") };
    assert!(pixels(&image, &other, None, &context()).is_err());
    assert!(planes(&image, other, ColorPolicy::Keep).is_err());
    assert!(pixels(&image, &y4m("full-420"), Some(&y4m("full-420")), &context()).is_err(), "unexpected alpha");
    let short = YuvImage { planes: vec![YuvSamples::U8(vec![0; 9]); 3], ..y4m("full-420") };
    assert!(pixels(&image, &short, None, &context()).is_err());
    let late = RenderContext::new(&Limits { render_time: std::time::Duration::ZERO, ..Limits::default() });
    assert!(matches!(pixels(&image, &y4m("full-420"), None, &late), Err(Error::RenderTimeout { .. })));
}

/// The part of an image that a tile covers, padded with a constant.
fn tile(whole: &YuvImage, (across, down): (u32, u32), (width, height): (u32, u32)) -> YuvImage {
    let planes = whole.planes.iter().enumerate().map(|(n, plane)| {
        let (columns, rows) = whole.sampling.plane_size(n, (whole.width, whole.height));
        let (width, height) = whole.sampling.plane_size(n, (width, height));
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (across * width + x, down * height + y)));
        let place = |(x, y)| (x < columns && y < rows).then_some((y * columns + x) as usize);
        match plane {
            YuvSamples::U8(all) => YuvSamples::U8(samples.map(|at| place(at).map_or(9, |n| all[n])).collect()),
            YuvSamples::U16(all) => YuvSamples::U16(samples.map(|at| place(at).map_or(9, |n| all[n])).collect()),
        }
    });
    YuvImage { width, height, planes: planes.collect(), ..whole.clone() }
}

#[test]
fn tiles_are_composed_and_cropped() {
    for name in ["full-420", "full-422", "full-444", "full-400", "ten-420"] {
        let (bytes, whole) = (file(name), y4m(name));
        for (tile_size, columns, rows) in [((46, 34), 1, 1), ((24, 18), 2, 2), ((48, 12), 1, 3), ((10, 36), 5, 1)] {
            let mut layer = HeifImage::read(&bytes, Coding::Av1).unwrap().color;
            layer.tiles = vec![layer.tiles[0].clone(); columns * rows];
            (layer.tile_size, layer.columns) = (tile_size, u32::try_from(columns).unwrap());
            let mut assembly = GridCanvas::new(&layer);
            for n in 0..u32::try_from(columns * rows).unwrap() {
                let place = (n % layer.columns, n / layer.columns);
                assembly.push_tile(tile(&whole, place, tile_size)).unwrap();
            }
            assert_eq!(assembly.finish().unwrap(), whole, "{name} {columns}x{rows}");
        }
    }
}

#[test]
fn tiles_that_do_not_match_the_header_are_refused() {
    let bytes = file("full-420");
    let layer = HeifImage::read(&bytes, Coding::Av1).unwrap().color;
    let whole = y4m("full-420");
    let others = [
        YuvImage { width: 47, ..whole.clone() },
        YuvImage { depth: 10, ..whole.clone() },
        YuvImage { sampling: ChromaSubsampling::Cs444, ..whole.clone() },
        YuvImage { planes: whole.planes[..2].to_vec(), ..whole.clone() },
        YuvImage { planes: vec![YuvSamples::U8(vec![0; 7]); 3], ..whole.clone() },
        YuvImage { planes: y4m("ten-420").planes, ..whole.clone() },
    ];
    for other in others {
        assert!(GridCanvas::new(&layer).push_tile(other).is_err());
    }
    assert!(GridCanvas::new(&layer).finish().is_err(), "no tile was added");
}
