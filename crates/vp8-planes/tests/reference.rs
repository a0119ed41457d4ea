//! Compares the planes, sample for sample, with those of libwebp and image-webp.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::ffi::c_int;
use std::{ptr, slice};

use libwebp_sys::{WebPDecodeYUV, WebPFree};
use vp8_planes::{Header, Limits, LoopFilter, Options, Plane, decode};

mod support;
use support::{Random, crop, decode_with_image_webp, encode, photograph, random_image, random_settings, vp8_chunk};

/// Y, U and V as decoded by libwebp.
#[expect(unsafe_code, reason = "libwebp is a C library, called only with input that these tests create")]
fn decode_with_libwebp(file: &[u8]) -> Option<[Vec<u8>; 3]> {
    let (mut width, mut height, mut stride, mut uv_stride) = (0, 0, 0, 0);
    let (mut u, mut v) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the length matches the slice, and each pointer is to a variable of its type. libwebp returns one
    // allocation with `height` lines of `stride` bytes of luma and half as many lines of each chroma plane. It is freed
    // once.
    unsafe {
        let (width, height) = (&raw mut width, &raw mut height);
        let (stride, uv_stride) = (&raw mut stride, &raw mut uv_stride);
        let (u, v) = (&raw mut u, &raw mut v);
        let y = WebPDecodeYUV(file.as_ptr(), file.len(), width, height, u, v, stride, uv_stride);
        if y.is_null() {
            return None;
        }
        let (width, height) = (*width as u32, *height as u32);
        let half = (width.div_ceil(2), height.div_ceil(2));
        let plane = |data: *const u8, stride: c_int, size: (u32, u32)| {
            let length = stride as usize * (size.1 as usize - 1) + size.0 as usize;
            crop(slice::from_raw_parts(data, length), stride as usize, size)
        };
        let planes = [plane(y, *stride, (width, height)), plane(*u, *uv_stride, half), plane(*v, *uv_stride, half)];
        WebPFree(y.cast());
        Some(planes)
    }
}

fn decode_planes(frame: &[u8], filters: &[LoopFilter]) -> Vec<Plane> {
    let header = Header::read(frame, &Limits::default()).unwrap();
    let planes = decode(frame, &header, filters, &Options::default()).unwrap();
    let expected = filters.iter().flat_map(|filter| [0, 1, 2].map(|component| (component, *filter)));
    assert!(planes.iter().map(|plane| (plane.component, plane.mode)).eq(expected));
    for plane in &planes {
        assert_eq!((plane.width, plane.height), header.plane_size(plane.component));
        assert_eq!(plane.data.len(), (plane.width * plane.height) as usize);
    }
    planes
}

#[track_caller]
fn assert_same(ours: &[Plane], theirs: &[Vec<u8>; 3], case: &str) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let difference = ours.data.iter().zip(theirs).position(|(a, b)| a != b);
        let position = difference.map(|n| (n % ours.width as usize, n / ours.width as usize));
        assert_eq!(position, None, "{case}: plane {} of {} x {}", ours.component, ours.width, ours.height);
        assert_eq!(ours.data.len(), theirs.len());
    }
}

/// Number of random frames to compare, which the environment variable CASES overrides.
fn cases() -> usize {
    std::env::var("CASES").map_or(400, |cases| cases.parse().unwrap())
}

#[test]
fn planes_equal_those_of_libwebp_and_image_webp() {
    let (mut random, photograph) = (Random(7), photograph());
    for case in 0..cases() {
        let image = random_image(&mut random, &photograph, if case % 4 == 0 { 17 } else { 70 });
        let config = random_settings(&mut random);
        let file = encode(&image, &config);
        let ours = decode_planes(vp8_chunk(&file), &[LoopFilter::Apply]);
        let case = format!("case {case}, {config:?}");
        assert_same(&ours, &decode_with_libwebp(&file).unwrap(), &case);
        assert_same(&ours, &decode_with_image_webp(vp8_chunk(&file)).unwrap(), &case);
    }
}

#[test]
fn a_plane_does_not_depend_on_the_other_filters() {
    let (mut random, photograph) = (Random(11), photograph());
    for case in 0..100 {
        let file = encode(&random_image(&mut random, &photograph, 70), &random_settings(&mut random));
        let frame = vp8_chunk(&file);
        let separate = [LoopFilter::Skip, LoopFilter::Apply].map(|filter| decode_planes(frame, &[filter]));
        let together = decode_planes(frame, &[LoopFilter::Skip, LoopFilter::Apply]);
        assert!(together == separate.concat(), "case {case}");
    }
}

#[test]
fn both_filter_settings_are_equal_at_filter_level_0() {
    let (mut random, photograph) = (Random(13), photograph());
    for _ in 0..60 {
        let image = random_image(&mut random, &photograph, 70);
        let mut config = random_settings(&mut random);
        (config.autofilter, config.filter_strength) = (0, 0);
        let file = encode(&image, &config);
        let [applied, skipped] =
            [LoopFilter::Apply, LoopFilter::Skip].map(|filter| decode_planes(vp8_chunk(&file), &[filter]));
        assert!(applied.iter().zip(&skipped).all(|(applied, skipped)| applied.data == skipped.data));
    }
}
