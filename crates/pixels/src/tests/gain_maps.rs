//! Gain maps of JPEG originals.

use super::*;
use crate::codec::embedded::Embedded;
use crate::codec::jpeg::embed::{embed, embed_with_second};
use crate::codec::jpeg::multi_picture::other_images;
use crate::gain_map::iso;
use crate::metadata::hdr::{GainMapXmp, directory};
use crate::metadata::{jpeg_headroom, jpeg_packet, packet};

const HDRGM: &str = "<rdf:Description xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' hdrgm:Version='1.0'\
    hdrgm:GainMapMin='-1.5' hdrgm:GainMapMax='3.25' hdrgm:Gamma='1.2' hdrgm:HDRCapacityMax='3.25'/>";
const ISO: &[u8] = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0";

/// A JPEG of 640 x 480 with dark and bright halves, and a gain map of a quarter of its width and height.
fn original(profile: Option<&[u8]>, exif: Option<&[u8]>, xmp: Option<&[u8]>, iso_gain_map: Option<&[u8]>) -> Vec<u8> {
    let half = |x: u32, width: u32| if x < width / 2 { 60 } else { 190 };
    let base = RgbImage::from_fn(640, 480, |x, _| Rgb([half(x, 640), half(x, 640) + 10, 120]));
    let map = GrayImage::from_fn(160, 120, |x, y| Luma([if y < 60 { half(x, 160) } else { 20 }]));
    let map = bytes(&map.into(), ImageFormat::Jpeg);
    let map = embed(&map, Embedded { xmp, iso_gain_map, ..Embedded::default() });
    let mut base = bytes(&base.into(), ImageFormat::Jpeg);
    if let Some(exif) = exif {
        let length = u16::try_from(exif.len() + 8).unwrap().to_be_bytes();
        base.splice(2..2, [&[0xFF, 0xE1], &length[..], b"Exif\0\0", exif].concat());
    }
    let primary = packet(&directory(map.len()));
    embed_with_second(&base, Embedded { profile, xmp: Some(&primary), iso_gain_map, ..Embedded::default() }, &map)
}

fn render_as(original: &[u8], geometry: Geometry, encoding: Encoding, gain_maps: bool) -> Vec<u8> {
    let limits = Limits { encode: EncodeOptions { gain_maps, ..LIMITS.encode }, ..LIMITS };
    let header = Header::read(original, &limits).unwrap();
    render(original, &header, geometry, encoding, &limits).unwrap()
}

/// The only other image of a JPEG.
fn map_of(file: &[u8]) -> &[u8] {
    let images = other_images(file);
    assert_eq!(images.len(), 1);
    // It ends where the file ends.
    assert_eq!(images[0].end, file.len());
    &file[images[0].clone()]
}

fn color_at(file: &[u8], x: f32, y: f32) -> [u8; 3] {
    let picture = image::load_from_memory(file).unwrap().to_rgb8();
    let at = |share: f32, side: u32| ((share * side as f32) as u32).min(side - 1);
    picture.get_pixel(at(x, picture.width()), at(y, picture.height())).0
}

#[test]
fn gain_map_is_scaled_and_cropped_like_the_picture_and_keeps_its_description() {
    let xmp = packet(HDRGM);
    let original = original(None, None, Some(&xmp), Some(ISO));
    let crop = |region| Geometry::Crop { width: nonzero(120), height: nonzero(240), region };
    let cases = [
        (fit(640, 480), (160, 120), 60),
        (fit(320, 240), (80, 60), 60),
        (crop(Region::Left), (30, 60), 60),
        (crop(Region::Right), (30, 60), 190),
        (fit(2, 2), (1, 1), 72),
    ];
    for (geometry, size, top_left) in cases {
        let made = render_as(&original, geometry, jpeg_q90(), true);
        let map = map_of(&made);
        let picture = image::load_from_memory(map).unwrap();
        assert_eq!(((picture.width(), picture.height()), picture.color()), (size, image::ColorType::L8));
        assert!(color_at(map, 0.2, 0.2)[0].abs_diff(top_left) <= 8, "{geometry:?} {:?}", color_at(map, 0.2, 0.2));
        if size.1 > 1 {
            assert!(color_at(map, 0.2, 0.8)[0].abs_diff(20) <= 8);
            assert!(color_at(&made, 0.2, 0.2)[0].abs_diff(top_left) <= 8);
        }
        let description = GainMapXmp::read(&jpeg_packet(map).unwrap());
        assert_eq!(description, GainMapXmp::read(std::str::from_utf8(&xmp).unwrap()));
        assert_eq!((iso(&made), iso(map)), (Some(ISO), Some(ISO)));
        let length = format!("Item:Length=\"{}\"", map.len());
        assert!(jpeg_packet(&made).unwrap().contains(&length));
    }
}

#[test]
fn gain_map_of_an_apple_camera_keeps_its_headroom_and_nothing_else() {
    let xmp = packet(
        "<rdf:Description xmlns:HDRGainMap='http://ns.apple.com/HDRGainMap/1.0/' HDRGainMap:HDRGainMapVersion='65536'/>",
    );
    // The orientation, the camera's settings, and in these the maker note with two values and a third one between them.
    let note = b"Apple iOS\0\0\x01MM\0\x03\0\x21\0\x0A\0\0\0\x01\0\0\0\x38\0\x22\0\x04\0\0\0\x01\0\0\0\x07\
        \0\x30\0\x0A\0\0\0\x01\0\0\0\x40\0\0\0\0\0\0\0\x03\0\0\0\x02\0\0\0\x01\0\0\0\x64";
    let exif = [
        &b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87\x69\0\x04\0\0\0\x01\0\0\0\x26\0\0\0\0"[..],
        b"\0\x01\x92\x7C\0\x07\0\0\0\x48\0\0\0\x38\0\0\0\0",
        note,
    ]
    .concat();
    assert_eq!(note.len(), 0x48);
    let apple = original(None, Some(&exif), Some(&xmp), None);
    let made = render_as(&apple, fit(240, 320), jpeg_q90(), true);
    let description = GainMapXmp::read(&jpeg_packet(map_of(&made)).unwrap());
    assert_eq!(description, GainMapXmp::read(std::str::from_utf8(&xmp).unwrap()));
    let headroom = jpeg_headroom(&made);
    assert!(headroom.is_some() && headroom == jpeg_headroom(&apple));
    let header = Header::read(&made, &LIMITS).unwrap();
    assert_eq!(header.info.orientation, image::metadata::Orientation::NoTransforms);
    // Without the headroom, viewers cannot use the map.
    let unknown = original(None, None, Some(&xmp), None);
    assert!(other_images(&render_as(&unknown, fit(240, 320), jpeg_q90(), true)).is_empty());
}

#[test]
fn gain_map_is_turned_with_the_picture() {
    // Orientation 6: the stored image is turned clockwise by a quarter.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let original = original(None, Some(exif), Some(&packet(HDRGM)), None);
    let made = render_as(&original, fit(240, 320), jpeg_q90(), true);
    let map = map_of(&made);
    let picture = image::load_from_memory(map).unwrap();
    assert_eq!((picture.width(), picture.height()), (60, 80));
    // The stored top left, top right and bottom left.
    let expected = [(0.8, 0.2, 60), (0.8, 0.8, 190), (0.2, 0.2, 20)];
    for (x, y, sample) in expected {
        assert!(color_at(map, x, y)[0].abs_diff(sample) <= 8, "{x} {y} {:?}", color_at(map, x, y));
    }
    assert!(color_at(&made, 0.5, 0.2)[0].abs_diff(60) <= 8 && color_at(&made, 0.5, 0.8)[0].abs_diff(190) <= 8);
    assert_eq!(iso(map), None);
}

#[test]
fn picture_with_a_gain_map_keeps_its_color_space() {
    let profiles = [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_srgb()];
    for (profile, is_kept) in profiles.into_iter().zip([true, true, false]) {
        let original = original(Some(&profile.encode().unwrap()), None, Some(&packet(HDRGM)), None);
        for geometry in [fit(640, 480), fit(64, 48)] {
            let made = render_as(&original, geometry, jpeg_q90(), true);
            assert!(color_at(&made, 0.2, 0.2).iter().zip([60, 70, 120]).all(|(a, b)| a.abs_diff(b) <= 6));
            let mut decoder = image::codecs::jpeg::JpegDecoder::new(Cursor::new(&made)).unwrap();
            let made = image::ImageDecoder::icc_profile(&mut decoder).unwrap();
            let weights = made.map(|made| ColorProfile::new_from_slice(&made).unwrap().transform_matrix(&profile).v);
            assert_eq!(weights.map(|weights| (weights[0][0] - 1.0).abs() < 1e-3), is_kept.then_some(true));
        }
    }
}

#[test]
fn gain_map_is_dropped_by_default_in_other_formats_and_if_it_is_none() {
    let with_map = original(None, None, Some(&packet(HDRGM)), None);
    assert!(other_images(&render_as(&with_map, fit(64, 48), jpeg_q90(), false)).is_empty());
    for encoding in [Encoding::Png, webp_q90()] {
        let made = render_as(&with_map, fit(64, 48), encoding, true);
        assert_eq!(made, render_as(&with_map, fit(64, 48), encoding, false));
    }
    // A second picture without a description is not a gain map.
    let other = original(None, None, None, None);
    let made = render_as(&other, fit(64, 48), jpeg_q90(), true);
    assert_eq!(made, render_as(&other, fit(64, 48), jpeg_q90(), false));
    // A damaged map is damage.
    let mut damaged = with_map.clone();
    damaged.truncate(damaged.len() - 2);
    let limits = Limits { encode: EncodeOptions { gain_maps: true, ..LIMITS.encode }, ..LIMITS };
    let header = Header::read(&damaged, &limits).unwrap();
    // The index claims more bytes than there are.
    assert!(header.gain_map.is_none());
    for n in 0..with_map.len() {
        let mut damaged = with_map.clone();
        damaged[n] ^= 0xFF;
        if n < 1500 || n + 900 > with_map.len() {
            let _ = Header::read(&damaged, &limits);
        }
    }
}
