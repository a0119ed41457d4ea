//! Planes of a reference decoder, and the pixels it makes of them (`tests/avif`).

use std::path::{Path, PathBuf};

use super::*;
use crate::codec::avif::grid_canvas::GridCanvas;
use crate::codec::avif::heif::AvifImage;
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

/// A picture of one frame as YUV4MPEG2.
fn y4m(name: &str) -> YuvImage {
    let bytes = std::fs::read(path(name, "y4m")).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let words: Vec<_> = std::str::from_utf8(&bytes[..end]).unwrap().split(' ').collect();
    let word = |letter: char| words.iter().skip(1).find_map(|word| word.strip_prefix(letter)).unwrap();
    let (width, height) = (word('W').parse().unwrap(), word('H').parse().unwrap());
    let sampling = match word('C') {
        "mono" => ChromaSubsampling::Cs400,
        halved if halved.starts_with("420") => ChromaSubsampling::Cs420,
        narrowed if narrowed.starts_with("422") => ChromaSubsampling::Cs422,
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

/// Alpha is what the reference's pixels have.
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
fn off(made: &[u8], expected: &[u8]) -> (u8, f64) {
    assert_eq!(made.len(), expected.len());
    let off = made.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = off.clone().map(u64::from).sum();
    (off.max().unwrap(), sum as f64 / made.len() as f64)
}

#[test]
fn planes_of_every_kind_become_the_pixels_that_libavif_makes() {
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
        let mut picture = AvifImage::read(&bytes).unwrap();
        // Of PQ, libavif gives the samples as they are.
        picture.cicp.iter_mut().for_each(|cicp| (cicp.primaries, cicp.transfer) = (1, 13));
        let made = pixels(&picture, &y4m(name), None, &context()).unwrap();
        assert!(made.conversion.is_none(), "{name}");
        let expected =
            if made.pixels.channels == 1 { png(name).to_luma8().into_raw() } else { png(name).to_rgb8().into_raw() };
        let (most, mean) = off(&made.pixels.data, &expected);
        assert!(most <= 3 && mean < 0.6, "{name}: {most} {mean}");
    }
}

#[test]
fn alpha_is_put_beside_colors_and_taken_out_of_them() {
    for name in ["alpha-420", "alpha-444-premultiplied"] {
        let bytes = file(name);
        let picture = AvifImage::read(&bytes).unwrap();
        let made = pixels(&picture, &y4m(name), Some(&alpha(name)), &context()).unwrap();
        let expected = png(name).to_rgba8();
        let pairs = made.pixels.data.as_chunks::<4>().0.iter().zip(expected.pixels());
        for (made, expected) in pairs {
            assert_eq!(made[3], expected.0[3], "{name}");
            // The less there is to be seen of a color, the less of it is known.
            let most = if name.ends_with("premultiplied") { 4 + 600 / (1 + u16::from(made[3])) } else { 3 };
            for (a, b) in made.iter().zip(&expected.0) {
                assert!(u16::from(a.abs_diff(*b)) <= most, "{name}: {made:?} {:?}", expected.0);
            }
        }
    }
}

#[test]
fn alpha_of_limited_levels_and_twelve_bits_is_of_eight() {
    let bytes = file("alpha-420");
    let picture = AvifImage::read(&bytes).unwrap();
    let mut deep = alpha("alpha-420");
    deep.cicp.full_range = false;
    deep.depth = 12;
    deep.planes = vec![YuvSamples::U16((0..46 * 34).map(|n| [0, 256, 2012, 3760, 65_535][n % 5]).collect())];
    let made = pixels(&picture, &y4m("alpha-420"), Some(&deep), &context()).unwrap();
    let alphas: Vec<_> = made.pixels.data.iter().skip(3).step_by(4).take(5).copied().collect();
    assert_eq!(alphas, [0, 0, 128, 255, 255]);
}

#[test]
fn what_is_like_jpeg_goes_on_as_planes_that_show_the_same() {
    let window = Window { x: 0.0, y: 0.0, width: 46.0, height: 34.0 };
    let small = (12.try_into().unwrap(), 9.try_into().unwrap());
    for name in ["full-420", "full-422", "full-444", "full-400", "limited-420", "ten-420", "twelve-444-limited"] {
        let bytes = file(name);
        let picture = AvifImage::read(&bytes).unwrap();
        let planar = planes(&picture, y4m(name)).unwrap();
        assert!(planar.conversion.is_none());
        let made = planar.planes.scale_to_pixels(&window, small, LANCZOS).unwrap();
        let expected = pixels(&picture, &y4m(name), None, &context()).unwrap().pixels;
        let expected = resample(&expected, window, small, LANCZOS, false).unwrap();
        let (most, mean) = off(&made.data, &expected.data);
        // Yuv420 chroma is scaled as it is, not after it was interpolated.
        let (most_max, mean_max) = if name.contains("42") { (12, 2.0) } else { (3, 0.7) };
        assert!(most <= most_max && mean < mean_max, "{name}: {most} {mean}");
    }
}

#[test]
fn what_planes_cannot_say_is_given_back() {
    for name in ["bt709-420", "bt2020-ten-422", "identity", "alpha-420"] {
        let bytes = file(name);
        let picture = AvifImage::read(&bytes).unwrap();
        assert_eq!(planes(&picture, y4m(name)).err(), Some(y4m(name)), "{name}");
    }
    let bytes = file("cropped");
    let picture = AvifImage::read(&bytes).unwrap();
    assert!(planes(&picture, y4m("full-420")).is_err());
    let made = pixels(&picture, &y4m("full-420"), None, &context()).unwrap().pixels;
    assert_eq!((made.width, made.height), (20, 14));
    let whole = AvifImage { crop: super::super::heif::CropRect { x: 0, y: 0, width: 46, height: 34 }, ..picture };
    let whole = pixels(&whole, &y4m("full-420"), None, &context()).unwrap().pixels;
    assert_eq!(made.data[..60], whole.data[3 * (6 * 46 + 4)..][..60]);
}

#[test]
fn p3_becomes_srgb_whether_a_profile_says_it_or_a_number() {
    // By LittleCMS, of P3's (150, 100, 80) and (0, 200, 0).
    let expected = [159, 97, 76, 0, 204, 0];
    for name in ["p3-icc", "p3-cicp"] {
        let bytes = file(name);
        let picture = AvifImage::read(&bytes).unwrap();
        for conversion in [
            planes(&picture, y4m("full-420")).unwrap().conversion,
            pixels(&picture, &y4m("full-420"), None, &context()).unwrap().conversion,
        ] {
            let pixels = Pixels { width: 2, height: 1, channels: 3, data: vec![150, 100, 80, 0, 200, 0] };
            let (most, _) = off(&conversion.apply(pixels).data, &expected);
            assert!(most <= 1, "{name}: {most}");
        }
        // Neutral colors are what they are by any primaries.
        let gray = YuvImage {
            sampling: ChromaSubsampling::Cs400,
            planes: y4m("full-420").planes[..1].to_vec(),
            ..y4m("full-420")
        };
        assert!(pixels(&picture, &gray, None, &context()).unwrap().conversion.is_none(), "{name}");
    }
}

#[test]
fn light_of_another_curve_is_srgb_at_once() {
    let bytes = file("bt2020-ten-422");
    let picture = AvifImage::read(&bytes).unwrap();
    let made = pixels(&picture, &y4m("bt2020-ten-422"), None, &context()).unwrap();
    assert!(made.conversion.is_none());
    let without = AvifImage { cicp: picture.cicp.map(|cicp| Cicp { transfer: 13, ..cicp }), ..picture };
    let without = pixels(&without, &y4m("bt2020-ten-422"), None, &context()).unwrap();
    assert_ne!(made.pixels, without.pixels);
}

#[test]
fn colors_that_are_coded_otherwise_are_refused_by_name() {
    let bytes = file("full-420");
    let mut picture = AvifImage::read(&bytes).unwrap();
    for (matrix, name) in
        [(10, "constant luminance"), (14, "ICtCp"), (16, "YCgCo"), (77, "77"), (0, "colors themselves")]
    {
        picture.cicp.iter_mut().for_each(|cicp| cicp.matrix = matrix);
        let error = pixels(&picture, &y4m("full-420"), None, &context()).err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
        assert!(planes(&picture, y4m("full-420")).is_err());
    }
}

#[test]
fn pictures_of_other_sizes_than_were_said_are_refused() {
    let bytes = file("full-420");
    let picture = AvifImage::read(&bytes).unwrap();
    let other = YuvImage { width: 45, ..y4m("full-420") };
    assert!(pixels(&picture, &other, None, &context()).is_err());
    assert!(planes(&picture, other).is_err());
    assert!(pixels(&picture, &y4m("full-420"), Some(&y4m("full-420")), &context()).is_err(), "nobody spoke of alpha");
    let short = YuvImage { planes: vec![YuvSamples::U8(vec![0; 9]); 3], ..y4m("full-420") };
    assert!(pixels(&picture, &short, None, &context()).is_err());
    let late = RenderContext::new(&Limits { render_time: std::time::Duration::ZERO, ..Limits::default() });
    assert!(matches!(pixels(&picture, &y4m("full-420"), None, &late), Err(Error::TooSlow { .. })));
}

/// The part of a picture that a tile has; what lies beyond is gray.
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
fn tiles_are_put_together_and_cut_off() {
    for name in ["full-420", "full-422", "full-444", "full-400", "ten-420"] {
        let (bytes, whole) = (file(name), y4m(name));
        for (tile_size, columns, rows) in [((46, 34), 1, 1), ((24, 18), 2, 2), ((48, 12), 1, 3), ((10, 36), 5, 1)] {
            let mut layer = AvifImage::read(&bytes).unwrap().color;
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
fn tiles_that_are_not_what_was_said_are_refused() {
    let bytes = file("full-420");
    let layer = AvifImage::read(&bytes).unwrap().color;
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
    assert!(GridCanvas::new(&layer).finish().is_err(), "there is none");
}
