//! Compares planes with those of another decoder, and the scales with each other.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use jpeg_planes::{
    ColorModel, Error, Header, Incomplete, Limits, Options, Plane, PlaneLayout, PlaneRef, Scale, Scales, decode, encode,
};

/// An RGB image with edges, gradients and noise.
fn test_image(width: u16, height: u16) -> Vec<u8> {
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
struct EncoderSettings {
    sampling: SamplingFactor,
    progressive: bool,
    restart: u16,
    color: ColorType,
}

fn file(width: u16, height: u16, settings: &EncoderSettings) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 88);
    encoder.set_sampling_factor(settings.sampling);
    encoder.set_progressive(settings.progressive);
    encoder.set_restart_interval(settings.restart);
    let rgb = test_image(width, height);
    let data = if settings.color == ColorType::Luma { rgb.chunks(3).map(|p| p[1]).collect() } else { rgb };
    encoder.encode(&data, width, height, settings.color).unwrap();
    bytes
}

fn all_settings() -> Vec<EncoderSettings> {
    use SamplingFactor::{F_1_1, F_1_2, F_1_4, F_2_1, F_2_2, F_4_1, F_4_2};
    let mut all = Vec::new();
    for sampling in [F_1_1, F_2_1, F_1_2, F_2_2, F_4_1, F_4_2, F_1_4] {
        for progressive in [false, true] {
            for restart in [0, 3] {
                all.push(EncoderSettings { sampling, progressive, restart, color: ColorType::Rgb });
            }
        }
    }
    for progressive in [false, true] {
        all.push(EncoderSettings { sampling: F_1_1, progressive, restart: 0, color: ColorType::Luma });
    }
    all
}

fn decode_at(bytes: &[u8], scale: Scale) -> Vec<Plane> {
    let header = Header::read(bytes, &Limits::default()).unwrap();
    decode(bytes, &header, &Options { scales: [scale.into(); 4], ..Options::default() }).unwrap()
}

/// Luma as decoded by the `image` crate.
fn reference_luma(bytes: &[u8]) -> Vec<f32> {
    let rgb = image::load_from_memory(bytes).unwrap().to_rgb8();
    rgb.pixels().map(|p| 0.299 * f32::from(p.0[0]) + 0.587 * f32::from(p.0[1]) + 0.114 * f32::from(p.0[2])).collect()
}

#[test]
fn luma_matches_the_image_crate() {
    for settings in all_settings() {
        for (width, height) in [(64, 48), (67, 45), (9, 7), (1, 1), (130, 33)] {
            let bytes = file(width, height, &settings);
            let planes = decode_at(&bytes, Scale::Full);
            let luma = &planes[0];
            assert_eq!((luma.width, luma.height), (u32::from(width), u32::from(height)));
            let reference = reference_luma(&bytes);
            // The reference clamps colors outside of the RGB cube, so skip pixels with a clamped channel.
            let rgb = image::load_from_memory(&bytes).unwrap().to_rgb8();
            for ((ours, theirs), pixel) in luma.data.iter().zip(reference).zip(rgb.pixels()) {
                if pixel.0.iter().all(|&sample| (1..255).contains(&sample)) {
                    assert!((f32::from(*ours) - theirs).abs() < 2.6, "{ours} and {theirs}");
                }
            }
        }
    }
}

/// Mean of each block of N x N samples.
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
fn every_scale_preserves_block_means() {
    for settings in all_settings() {
        let bytes = file(128, 64, &settings);
        let full = decode_at(&bytes, Scale::Full);
        for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
            for (small, full) in decode_at(&bytes, scale).iter().zip(&full) {
                // The mean of a block is its DC coefficient at every scale, except where samples were clamped.
                for (a, b) in means(small, scale.points() as u32).iter().zip(means(full, 8)) {
                    assert!((a - b).abs() < 2.5, "{scale:?}: {a} instead of {b}");
                }
            }
        }
    }
}

#[test]
fn progressive_and_sequential_files_decode_to_equal_planes() {
    for (a, b) in all_settings().iter().zip(all_settings().iter().skip(2)).step_by(4) {
        let (a, b) = (file(97, 61, a), file(97, 61, b));
        for scale in Scale::ALL {
            assert_eq!(decode_at(&a, scale), decode_at(&b, scale), "{scale:?}");
        }
    }
}

#[test]
fn encoded_planes_decode_to_similar_planes() {
    for (width, height) in [(80, 56), (33, 17), (1, 1), (2, 3)] {
        let bytes = file(width, height, &all_settings()[12]);
        let before = decode_at(&bytes, Scale::Full);
        let refs: Vec<_> =
            before.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
        let encoded = encode(&refs, PlaneLayout::YCbCr420, 95).unwrap();
        let after = decode_at(&encoded, Scale::Full);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((before.width, before.height), (after.width, after.height));
            let worst = before.data.iter().zip(&after.data).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst.unwrap() <= 12, "{worst:?}");
        }
        assert_eq!(image::load_from_memory(&encoded).unwrap().width(), u32::from(width));
        let gray = encode(&refs[..1], PlaneLayout::Gray, 80).unwrap();
        assert_eq!(Header::read(&gray, &Limits::default()).unwrap().color_model, ColorModel::Gray);
    }
}

#[test]
fn encode_refuses_mismatched_planes() {
    let plane = PlaneRef { width: 4, height: 4, data: &[0; 16] };
    let wrong = PlaneRef { width: 4, height: 5, data: &[0; 16] };
    assert!(encode(&[plane; 3], PlaneLayout::YCbCr420, 80).is_err());
    assert!(encode(&[wrong], PlaneLayout::Gray, 80).is_err());
    assert!(encode(&[plane], PlaneLayout::Gray, 0).is_err());
    assert!(encode(&[], PlaneLayout::Gray, 80).is_err());
}

#[test]
fn a_truncated_file_is_an_error_or_decodes_partially() {
    for (n, settings) in all_settings().iter().enumerate() {
        let bytes = file(96, 96, settings);
        let half = &bytes[..bytes.len() / 2 + 200];
        let header = Header::read(half, &Limits::default()).unwrap();
        let options = Options::default();
        assert_eq!(decode(half, &header, &options), Err(Error::Truncated), "{n}");
        let kept = decode(half, &header, &Options { incomplete: Incomplete::Keep, ..options }).unwrap();
        let full = decode_at(&bytes, Scale::Full);
        // The top rows are complete. In a sequential file they are exact.
        let top = 8 * 96;
        if settings.progressive {
            let far = kept[0].data[..top].iter().zip(&full[0].data).filter(|(a, b)| a.abs_diff(**b) > 100).count();
            assert!(far < top / 10);
        } else {
            assert_eq!(kept[0].data[..top], full[0].data[..top]);
        }
    }
}

#[test]
fn decoding_stops_when_should_continue_returns_false() {
    for settings in all_settings() {
        let bytes = file(64, 64, &settings);
        let header = Header::read(&bytes, &Limits::default()).unwrap();
        let options = Options { should_continue: &|| false, incomplete: Incomplete::Keep, ..Options::default() };
        assert_eq!(decode(&bytes, &header, &options), Err(Error::Cancelled));
    }
}

#[test]
fn limits_are_enforced() {
    let bytes = file(64, 64, &all_settings()[1]);
    let few = Limits { pixels: 4095, ..Limits::default() };
    assert_eq!(Header::read(&bytes, &few).unwrap_err(), Error::Limit { what: "pixels", max: 4095 });
    let few = Limits { segments: 3, ..Limits::default() };
    assert!(matches!(Header::read(&bytes, &few), Err(Error::Limit { what: "segments", .. })));
    let header = Header::read(&bytes, &Limits::default()).unwrap();
    let progressive = file(64, 64, &all_settings()[2]);
    let header2 = Header::read(&progressive, &Limits::default()).unwrap();
    let limits = Limits { scans: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    assert!(decode(&bytes, &header, &options).is_ok());
    assert!(matches!(decode(&progressive, &header2, &options), Err(Error::Limit { what: "scans", .. })));
}

#[test]
fn unsupported_features_are_named() {
    let bytes = file(16, 16, &all_settings()[0]);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[frame + at] = to;
        Header::read(&bytes, &Limits::default()).unwrap_err().to_string()
    };
    for (marker, word) in [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xCB, "lossless arith"), (0xF7, "JPEG-LS")] {
        assert!(changed(1, marker).contains(word), "{}", changed(1, marker));
    }
    assert!(changed(4, 12).contains("12 bits"));
    assert!(changed(4, 16).contains("8 bits"));
    assert!(changed(9, 2).contains("component count"));
    let mut bytes = bytes;
    bytes[frame + 5..frame + 7].fill(0);
    assert!(Header::read(&bytes, &Limits::default()).unwrap_err().to_string().contains("height"));
    assert_eq!(Header::read(b"GIF89a", &Limits::default()).unwrap_err(), Error::WrongFormat("JPEG"));
}

#[test]
fn a_plane_does_not_depend_on_the_other_scales() {
    for settings in all_settings() {
        let bytes = file(131, 67, &settings);
        let header = Header::read(&bytes, &Limits::default()).unwrap();
        let all = Scale::ALL.map(Scales::from).into_iter().reduce(Scales::union).unwrap();
        for tolerance in [0.0, 2.0, 20.0] {
            let at = |scales: [Scales; 4]| {
                decode(&bytes, &header, &Options { scales, tolerance, ..Options::default() }).unwrap()
            };
            let together = at([all; 4]);
            let alone = (0..header.component_count())
                .flat_map(|n| Scale::ALL.map(|scale| at([scale.into(); 4]).swap_remove(n)));
            assert!(together.iter().eq(alone.collect::<Vec<_>>().iter()), "{settings:?}, {tolerance}");
        }
    }
}

/// A part of samples/cat.jpg at 192 x 128, made progressive by jpegtran, whose scan script refines coefficients one bit
/// at a time.
const REFINED: &[u8] = include_bytes!("refined.jpg");

#[test]
fn omitted_bits_change_no_block_by_more_than_the_tolerance() {
    let header = Header::read(REFINED, &Limits::default()).unwrap();
    let mut changed = 0;
    for scale in [Scale::Quarter, Scale::Half, Scale::Full] {
        let at = |tolerance| {
            let options = Options { scales: [scale.into(); 4], tolerance, ..Options::default() };
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
                    // Rounding the samples of both adds up to one level.
                    assert!(off <= tolerance + 1.0, "{scale:?}, {tolerance}: {off}");
                }
            }
        }
    }
    assert!(changed > 1000, "{changed} blocks");
}
