//! Files of every effort and scan structure, read by our decoder and by another one.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use jpeg_planes::{
    Effort, EncodeError, EncodeOptions, Header, Limits, Options, PlaneLayout, PlaneRef, Scans, decode, encode,
    encode_with,
};

const LAYOUTS: [PlaneLayout; 3] = [PlaneLayout::Gray, PlaneLayout::YCbCr420, PlaneLayout::YCbCr444];

/// The content of test planes.
#[derive(Debug, Clone, Copy)]
enum Content {
    Flat,
    Soft,
    Photo,
    Noise,
    Extremes,
}

const CONTENTS: [Content; 5] = [Content::Flat, Content::Soft, Content::Photo, Content::Noise, Content::Extremes];

fn sample(content: Content, n: u32, x: u32, y: u32) -> u8 {
    let noise =
        ((x + 31 * y + 977 * n).wrapping_mul(2_654_435_761).rotate_left(9).wrapping_mul(0x9E37_79B1) >> 24) as u8;
    let soft = (x * 3 + y * 2 + n * 50) / 5 % 256;
    match content {
        Content::Flat => 77,
        Content::Soft => soft as u8,
        Content::Photo => {
            (soft / 2
                + u32::from(noise) / if n == 0 { 12 } else { 40 }
                + if (x / 13 + y / 9).is_multiple_of(5) { 90 } else { 20 }) as u8
        }
        Content::Noise => noise,
        Content::Extremes => {
            if noise > 127 {
                255
            } else {
                0
            }
        }
    }
}

/// Planes with their widths and heights.
fn planes(content: Content, layout: PlaneLayout, width: u32, height: u32) -> Vec<(u32, u32, Vec<u8>)> {
    let sizes = match layout {
        PlaneLayout::Gray => vec![(width, height)],
        PlaneLayout::YCbCr420 => {
            vec![(width, height), (width.div_ceil(2), height.div_ceil(2)), (width.div_ceil(2), height.div_ceil(2))]
        }
        PlaneLayout::YCbCr444 => vec![(width, height); 3],
    };
    let plane = |(n, (width, height)): (u32, (u32, u32))| {
        (width, height, (0..width * height).map(|at| sample(content, n, at % width, at / width)).collect())
    };
    (0..).zip(sizes).map(plane).collect()
}

fn file(planes: &[(u32, u32, Vec<u8>)], layout: PlaneLayout, quality: u8, effort: Effort, scans: Scans) -> Vec<u8> {
    let refs: Vec<_> =
        planes.iter().map(|(width, height, data)| PlaneRef { width: *width, height: *height, data }).collect();
    encode_with(&refs, layout, &EncodeOptions { effort, scans, ..EncodeOptions::new(quality) }).unwrap()
}

fn is_progressive(file: &[u8]) -> bool {
    Header::read(file, &Limits::default()).unwrap().progressive
}

fn decoded(file: &[u8]) -> Vec<Vec<u8>> {
    let header = Header::read(file, &Limits::default()).unwrap();
    decode(file, &header, &Options::default()).unwrap().into_iter().map(|plane| plane.data).collect()
}

/// Mean absolute difference of all samples.
fn difference(planes: &[(u32, u32, Vec<u8>)], decoded: &[Vec<u8>]) -> f64 {
    let pairs = planes.iter().zip(decoded).flat_map(|(plane, decoded)| {
        assert_eq!(plane.2.len(), decoded.len());
        plane.2.iter().zip(decoded).map(|(a, b)| f64::from(a.abs_diff(*b)))
    });
    let (sum, count) = pairs.fold((0.0, 0.0), |(sum, count), difference| (sum + difference, count + 1.0));
    sum / count
}

#[test]
fn files_of_any_size_and_content_decode_to_their_planes() {
    let mut progressive = 0;
    for (width, height) in [(1, 1), (17, 9), (8, 8), (16, 33), (130, 70)] {
        for layout in LAYOUTS {
            for content in CONTENTS {
                let planes = planes(content, layout, width, height);
                for quality in [1, 30, 80, 95, 100] {
                    let fast = file(&planes, layout, quality, Effort::Fast, Scans::Sequential);
                    let same = file(&planes, layout, quality, Effort::Fast, Scans::Progressive);
                    assert_eq!(decoded(&fast), decoded(&same), "the same coefficients");
                    assert!(same.len() <= fast.len());
                    let small = file(&planes, layout, quality, Effort::Small, Scans::Sequential);
                    let smaller = file(&planes, layout, quality, Effort::Small, Scans::Progressive);
                    assert_eq!(decoded(&small), decoded(&smaller), "the same coefficients");
                    assert!(smaller.len() <= small.len());
                    let (ours, theirs) = (difference(&planes, &decoded(&small)), difference(&planes, &decoded(&fast)));
                    let name = format!("{width} x {height} {layout:?} {content:?} q{quality}: {ours} {theirs}");
                    assert!(ours <= 1.5 * theirs + 2.0 || quality < 80, "{name}");
                    progressive += usize::from(is_progressive(&smaller)) + usize::from(is_progressive(&same));
                    for file in [&same, &smaller] {
                        let image = image::load_from_memory(file).unwrap();
                        assert_eq!((image.width(), image.height()), (width, height));
                    }
                }
            }
        }
    }
    assert!(progressive > 40, "{progressive}");
}

#[test]
fn progressive_files_decode_to_the_same_pixels_in_another_decoder() {
    for layout in LAYOUTS {
        for (content, quality) in [(Content::Photo, 60), (Content::Photo, 95), (Content::Noise, 85)] {
            let planes = planes(content, layout, 203, 155);
            for effort in [Effort::Fast, Effort::Small] {
                let [baseline, progressive] =
                    [Scans::Sequential, Scans::Progressive].map(|scans| file(&planes, layout, quality, effort, scans));
                let pixels = |file| image::load_from_memory(file).unwrap();
                assert_eq!(pixels(&baseline), pixels(&progressive), "{layout:?} {content:?} {effort:?}");
            }
        }
    }
}

#[test]
fn small_effort_and_progressive_scans_save_bytes_of_photographs() {
    for layout in LAYOUTS {
        let planes = planes(Content::Photo, layout, 320, 240);
        for quality in [30, 50, 70, 80, 90, 95] {
            let fast = file(&planes, layout, quality, Effort::Fast, Scans::Sequential);
            let progressive = file(&planes, layout, quality, Effort::Fast, Scans::Progressive);
            let small = file(&planes, layout, quality, Effort::Small, Scans::Sequential);
            let smallest = file(&planes, layout, quality, Effort::Small, Scans::Progressive);
            let sizes = [&fast, &progressive, &small, &smallest].map(Vec::len);
            assert!(
                sizes[1] < sizes[0] && sizes[2] < sizes[0] && sizes[3] <= sizes[2],
                "{layout:?} {quality} {sizes:?}"
            );
            assert!(is_progressive(&progressive) && !is_progressive(&small));
        }
    }
}

#[test]
fn encoding_is_deterministic_and_the_default_is_fast_and_sequential() {
    let planes = planes(Content::Photo, PlaneLayout::YCbCr420, 100, 75);
    let made = |effort, scans| file(&planes, PlaneLayout::YCbCr420, 80, effort, scans);
    let refs: Vec<_> =
        planes.iter().map(|(width, height, data)| PlaneRef { width: *width, height: *height, data }).collect();
    let plain = encode(&refs, PlaneLayout::YCbCr420, 80).unwrap();
    assert_eq!(plain, made(Effort::default(), Scans::default()));
    for effort in [Effort::Fast, Effort::Small] {
        assert_eq!(made(effort, Scans::Progressive), made(effort, Scans::Progressive));
    }
}

#[test]
fn encoding_stops_at_every_call_of_should_continue() {
    let planes = planes(Content::Photo, PlaneLayout::YCbCr420, 64, 64);
    let refs: Vec<_> =
        planes.iter().map(|(width, height, data)| PlaneRef { width: *width, height: *height, data }).collect();
    for effort in [Effort::Fast, Effort::Small] {
        for scans in [Scans::Sequential, Scans::Progressive] {
            let stopping_at = |stop: u32| {
                let calls = std::cell::Cell::new(0);
                let should_continue = || calls.replace(calls.get() + 1) < stop;
                let options =
                    EncodeOptions { effort, scans, should_continue: &should_continue, ..EncodeOptions::new(80) };
                (encode_with(&refs, PlaneLayout::YCbCr420, &options), calls.get())
            };
            let (complete, calls) = stopping_at(u32::MAX);
            assert!(complete.is_ok());
            for stop in 0..calls {
                assert_eq!(stopping_at(stop), (Err(EncodeError::Cancelled), stop + 1), "{effort:?} {scans:?}");
            }
        }
    }
}
