//! The planes are those of other decoders, sample for sample.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::ffi::c_int;
use std::{ptr, slice};

use libwebp_sys::{WebPDecodeYUV, WebPFree};
use vp8_planes::{Filter, Header, Limits, Options, Plane, decode};

mod support;
use support::{Random, by_image_webp, cropped, encode, frame, photograph, picture, settings};

/// Y, U and V by libwebp.
#[expect(unsafe_code, reason = "libwebp is C, and is given nothing but what these tests make")]
fn by_libwebp(file: &[u8]) -> Option<[Vec<u8>; 3]> {
    let (mut width, mut height, mut stride, mut uv_stride) = (0, 0, 0, 0);
    let (mut u, mut v) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the bytes are as long as is said, and every pointer is to a variable of its type. Of what is returned, `height` lines of
    // `stride` bytes of luma and half as many of each chroma lie in one allocation, which is freed once.
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
            cropped(slice::from_raw_parts(data, length), stride as usize, size)
        };
        let planes = [plane(y, *stride, (width, height)), plane(*u, *uv_stride, half), plane(*v, *uv_stride, half)];
        WebPFree(y.cast());
        Some(planes)
    }
}

fn planes(frame: &[u8], filters: &[Filter]) -> Vec<Plane> {
    let header = Header::read(frame, &Limits::default()).unwrap();
    let planes = decode(frame, &header, filters, &Options::default()).unwrap();
    let expected = filters.iter().flat_map(|filter| [0, 1, 2].map(|component| (component, *filter)));
    assert!(planes.iter().map(|plane| (plane.component, plane.filter)).eq(expected));
    for plane in &planes {
        assert_eq!((plane.width, plane.height), header.plane_size(plane.component));
        assert_eq!(plane.data.len(), (plane.width * plane.height) as usize);
    }
    planes
}

#[track_caller]
fn same(ours: &[Plane], theirs: &[Vec<u8>; 3], what: &str) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let off = ours.data.iter().zip(theirs).position(|(a, b)| a != b);
        let place = off.map(|n| (n % ours.width as usize, n / ours.width as usize));
        assert_eq!(place, None, "{what}: plane {} of {} x {}", ours.component, ours.width, ours.height);
        assert_eq!(ours.data.len(), theirs.len());
    }
}

/// How many frames of each kind are compared; the environment may ask for more.
fn cases() -> usize {
    std::env::var("CASES").map_or(400, |cases| cases.parse().unwrap())
}

#[test]
fn frames_of_every_kind_are_what_others_see() {
    let (mut random, photograph) = (Random(7), photograph());
    for case in 0..cases() {
        let picture = picture(&mut random, &photograph, if case % 4 == 0 { 17 } else { 70 });
        let config = settings(&mut random);
        let file = encode(&picture, &config);
        let ours = planes(frame(&file), &[Filter::Full]);
        let what = format!("case {case}, {config:?}");
        same(&ours, &by_libwebp(&file).unwrap(), &what);
        same(&ours, &by_image_webp(frame(&file)).unwrap(), &what);
    }
}

#[test]
fn planes_are_the_same_whatever_comes_with_them() {
    let (mut random, photograph) = (Random(11), photograph());
    for case in 0..100 {
        let file = encode(&picture(&mut random, &photograph, 70), &settings(&mut random));
        let frame = frame(&file);
        let apart = [planes(frame, &[Filter::Skip]), planes(frame, &[Filter::Full])];
        assert!(planes(frame, &[Filter::Skip, Filter::Full]) == apart.concat(), "case {case}");
    }
}

#[test]
fn what_is_not_filtered_is_what_the_filter_is_given() {
    let (mut random, photograph) = (Random(13), photograph());
    for _ in 0..60 {
        let picture = picture(&mut random, &photograph, 70);
        let mut config = settings(&mut random);
        (config.autofilter, config.filter_strength) = (0, 0);
        let file = encode(&picture, &config);
        let (full, skipped) = (planes(frame(&file), &[Filter::Full]), planes(frame(&file), &[Filter::Skip]));
        assert!(full.iter().zip(&skipped).all(|(full, skipped)| full.data == skipped.data));
    }
}
