//! Planes against other decoders and encoders, and scales against one another.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use jpeg_planes::{
    Colour, Error, Header, Incomplete, Limits, Options, Plane, PlaneRef, Scale, Scales, Subsampling, decode, encode,
};

/// A picture with edges, slopes and noise: RGB, row by row.
fn picture(width: u16, height: u16) -> Vec<u8> {
    let mut seed = 1_u32;
    let mut data = Vec::new();
    for y in 0..u32::from(height) {
        for x in 0..u32::from(width) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 28) as u8;
            let edge = if (x / 13 + y / 17) % 2 == 0 { 90 } else { 50 };
            data.extend([(x % 110) as u8 + edge, (y % 120) as u8 + noise + 40, ((x + y) % 100) as u8 + edge]);
        }
    }
    data
}

#[derive(Debug)]
struct Kind {
    sampling: SamplingFactor,
    progressive: bool,
    restart: u16,
    colour: ColorType,
}

fn file(width: u16, height: u16, kind: &Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 88);
    encoder.set_sampling_factor(kind.sampling);
    encoder.set_progressive(kind.progressive);
    encoder.set_restart_interval(kind.restart);
    let rgb = picture(width, height);
    let data = if kind.colour == ColorType::Luma { rgb.chunks(3).map(|p| p[1]).collect() } else { rgb };
    encoder.encode(&data, width, height, kind.colour).unwrap();
    bytes
}

fn kinds() -> Vec<Kind> {
    use SamplingFactor::{F_1_1, F_1_2, F_1_4, F_2_1, F_2_2, F_4_1, F_4_2};
    let mut kinds = Vec::new();
    for sampling in [F_1_1, F_2_1, F_1_2, F_2_2, F_4_1, F_4_2, F_1_4] {
        for progressive in [false, true] {
            for restart in [0, 3] {
                kinds.push(Kind { sampling, progressive, restart, colour: ColorType::Rgb });
            }
        }
    }
    for progressive in [false, true] {
        kinds.push(Kind { sampling: F_1_1, progressive, restart: 0, colour: ColorType::Luma });
    }
    kinds
}

fn planes(bytes: &[u8], scale: Scale) -> Vec<Plane> {
    let header = Header::read(bytes, &Limits::default()).unwrap();
    decode(bytes, &header, &Options { scales: [scale.into(); 3], ..Options::default() }).unwrap()
}

/// What another decoder makes of the file's luma.
fn luma_elsewhere(bytes: &[u8]) -> Vec<f32> {
    let rgb = image::load_from_memory(bytes).unwrap().to_rgb8();
    rgb.pixels().map(|p| 0.299 * f32::from(p.0[0]) + 0.587 * f32::from(p.0[1]) + 0.114 * f32::from(p.0[2])).collect()
}

#[test]
fn luma_is_what_another_decoder_makes_of_it() {
    for kind in kinds() {
        for (width, height) in [(64, 48), (67, 45), (9, 7), (1, 1), (130, 33)] {
            let bytes = file(width, height, &kind);
            let planes = planes(&bytes, Scale::Whole);
            let luma = &planes[0];
            assert_eq!((luma.width, luma.height), (u32::from(width), u32::from(height)));
            let elsewhere = luma_elsewhere(&bytes);
            // Colours outside of the RGB cube are cut off there: compare where none is.
            let rgb = image::load_from_memory(&bytes).unwrap().to_rgb8();
            for ((ours, theirs), pixel) in luma.data.iter().zip(elsewhere).zip(rgb.pixels()) {
                if pixel.0.iter().all(|&sample| (1..255).contains(&sample)) {
                    assert!((f32::from(*ours) - theirs).abs() < 2.6, "{ours} and {theirs}");
                }
            }
        }
    }
}

/// A plane's mean over blocks of N x N samples.
fn means(plane: &Plane, n: u32) -> Vec<f64> {
    let mut means = Vec::new();
    for y in 0..plane.height / n {
        for x in 0..plane.width / n {
            let sum: u64 = (0..n * n)
                .map(|i| u64::from(plane.data[((y * n + i / n) * plane.width + x * n + i % n) as usize]))
                .sum();
            means.push(sum as f64 / f64::from(n * n));
        }
    }
    means
}

#[test]
fn every_scale_keeps_the_means_of_blocks() {
    for kind in kinds() {
        let bytes = file(128, 64, &kind);
        let whole = planes(&bytes, Scale::Whole);
        for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
            for (small, whole) in planes(&bytes, scale).iter().zip(&whole) {
                // The mean of a block is its DC at every scale, but for clamped samples.
                for (a, b) in means(small, scale.points() as u32).iter().zip(means(whole, 8)) {
                    assert!((a - b).abs() < 2.5, "{scale:?}: {a} for {b}");
                }
            }
        }
    }
}

#[test]
fn a_progressive_file_is_its_sequential_one() {
    for (a, b) in kinds().iter().zip(kinds().iter().skip(2)).step_by(4) {
        let (a, b) = (file(97, 61, a), file(97, 61, b));
        for scale in Scale::ALL {
            assert_eq!(planes(&a, scale), planes(&b, scale), "{scale:?}");
        }
    }
}

#[test]
fn planes_survive_encoding() {
    for (width, height) in [(80, 56), (33, 17), (1, 1), (2, 3)] {
        let bytes = file(width, height, &kinds()[12]);
        let before = planes(&bytes, Scale::Whole);
        let refs: Vec<_> =
            before.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
        let encoded = encode(&refs, Subsampling::Half, 95).unwrap();
        let after = planes(&encoded, Scale::Whole);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((before.width, before.height), (after.width, after.height));
            let worst = before.data.iter().zip(&after.data).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst.unwrap() <= 12, "{worst:?}");
        }
        assert_eq!(image::load_from_memory(&encoded).unwrap().width(), u32::from(width));
        let grey = encode(&refs[..1], Subsampling::Grey, 80).unwrap();
        assert_eq!(Header::read(&grey, &Limits::default()).unwrap().colour, Colour::Grey);
    }
}

#[test]
fn planes_that_do_not_fit_are_refused() {
    let plane = PlaneRef { width: 4, height: 4, data: &[0; 16] };
    let wrong = PlaneRef { width: 4, height: 5, data: &[0; 16] };
    assert!(encode(&[plane; 3], Subsampling::Half, 80).is_err());
    assert!(encode(&[wrong], Subsampling::Grey, 80).is_err());
    assert!(encode(&[plane], Subsampling::Grey, 0).is_err());
    assert!(encode(&[], Subsampling::Grey, 80).is_err());
}

#[test]
fn a_file_cut_short_is_an_error_or_its_first_part() {
    for (n, kind) in kinds().iter().enumerate() {
        let bytes = file(96, 96, kind);
        let half = &bytes[..bytes.len() / 2 + 200];
        let header = Header::read(half, &Limits::default()).unwrap();
        let options = Options::default();
        assert_eq!(decode(half, &header, &options), Err(Error::Truncated), "{n}");
        let kept = decode(half, &header, &Options { incomplete: Incomplete::Keep, ..options }).unwrap();
        let whole = planes(&bytes, Scale::Whole);
        // The top is there, exactly in a sequential file.
        let top = 8 * 96;
        if kind.progressive {
            let far = kept[0].data[..top].iter().zip(&whole[0].data).filter(|(a, b)| a.abs_diff(**b) > 100).count();
            assert!(far < top / 10);
        } else {
            assert_eq!(kept[0].data[..top], whole[0].data[..top]);
        }
    }
}

#[test]
fn decoding_ends_when_the_caller_says_so() {
    for kind in kinds() {
        let bytes = file(64, 64, &kind);
        let header = Header::read(&bytes, &Limits::default()).unwrap();
        let options = Options { proceed: &|| false, incomplete: Incomplete::Keep, ..Options::default() };
        assert_eq!(decode(&bytes, &header, &options), Err(Error::Cancelled));
    }
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let bytes = file(64, 64, &kinds()[1]);
    let few = Limits { pixels: 4095, ..Limits::default() };
    assert_eq!(Header::read(&bytes, &few).unwrap_err(), Error::Limit { what: "pixels", max: 4095 });
    let few = Limits { segments: 3, ..Limits::default() };
    assert!(matches!(Header::read(&bytes, &few), Err(Error::Limit { what: "segments", .. })));
    let header = Header::read(&bytes, &Limits::default()).unwrap();
    let progressive = file(64, 64, &kinds()[2]);
    let header2 = Header::read(&progressive, &Limits::default()).unwrap();
    let limits = Limits { scans: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    assert!(decode(&bytes, &header, &options).is_ok());
    assert!(matches!(decode(&progressive, &header2, &options), Err(Error::Limit { what: "scans", .. })));
}

#[test]
fn other_kinds_are_refused_by_name() {
    let bytes = file(16, 16, &kinds()[0]);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[frame + at] = to;
        Header::read(&bytes, &Limits::default()).unwrap_err().to_string()
    };
    for (marker, word) in [(0xC3, "lossless"), (0xC9, "arithmetic"), (0xC5, "hierarchical"), (0xCB, "lossless arith")] {
        assert!(changed(1, marker).contains(word), "{}", changed(1, marker));
    }
    assert!(changed(4, 12).contains("8 bits"));
    assert!(changed(9, 4).contains("CMYK"));
    let mut bytes = bytes;
    bytes[frame + 5..frame + 7].fill(0);
    assert!(Header::read(&bytes, &Limits::default()).unwrap_err().to_string().contains("height"));
    assert_eq!(Header::read(b"GIF89a", &Limits::default()).unwrap_err(), Error::NotJpeg);
}

#[test]
fn a_plane_is_the_same_whether_it_comes_alone_or_with_others() {
    for kind in kinds() {
        let bytes = file(131, 67, &kind);
        let header = Header::read(&bytes, &Limits::default()).unwrap();
        let all = Scale::ALL.map(Scales::from).into_iter().reduce(Scales::and).unwrap();
        for tolerance in [0.0, 2.0, 20.0] {
            let at = |scales: [Scales; 3]| {
                decode(&bytes, &header, &Options { scales, tolerance, ..Options::default() }).unwrap()
            };
            let together = at([all; 3]);
            let alone = (0..header.component_count())
                .flat_map(|n| Scale::ALL.map(|scale| at([scale.into(); 3]).swap_remove(n)));
            assert!(together.iter().eq(alone.collect::<Vec<_>>().iter()), "{kind:?}, {tolerance}");
        }
    }
}

/// A part of samples/cat.jpg at 192 x 128, progressive as jpegtran makes it: what is coarse first, and then finer bit by bit.
const REFINED: &[u8] = include_bytes!("refined.jpg");

#[test]
fn what_is_left_out_of_a_progressive_file_moves_no_block_by_more_than_the_tolerance() {
    let header = Header::read(REFINED, &Limits::default()).unwrap();
    let mut changed = 0;
    for scale in [Scale::Quarter, Scale::Half, Scale::Whole] {
        let at = |tolerance| {
            let options = Options { scales: [scale.into(); 3], tolerance, ..Options::default() };
            decode(REFINED, &header, &options).unwrap()
        };
        for tolerance in [1.0, 3.0, 9.0, 30.0] {
            for (exact, loose) in at(0.0).iter().zip(&at(tolerance)) {
                let (across, n) = (exact.width as usize, scale.points());
                for (row, column) in (0..exact.height as usize / n).flat_map(|y| (0..across / n).map(move |x| (y, x))) {
                    let off = (0..n * n).map(|i| {
                        let at = (row * n + i / n) * across + column * n + i % n;
                        f32::from(exact.data[at].abs_diff(loose.data[at])).powi(2)
                    });
                    let off = (off.sum::<f32>() / (n * n) as f32).sqrt();
                    changed += usize::from(off > 0.0);
                    // Samples of both are rounded.
                    assert!(off <= tolerance + 1.0, "{scale:?}, {tolerance}: {off}");
                }
            }
        }
    }
    assert!(changed > 1000, "{changed} blocks");
}
