//! Headers of SVG originals and the costs that follow from them. The root package tests how they are rasterized.

use super::*;

const ON: Limits = Limits { originals: Codecs::DEFAULT.with(Codec::Svg), ..LIMITS };

#[test]
fn svg_is_off_by_default_and_the_error_says_how_to_turn_it_on() {
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>";
    assert!(!Limits::default().originals.contains(Codec::Svg));
    let error = Header::read(svg, &LIMITS).unwrap_err().to_string();
    let expected = match cfg!(feature = "svg-originals") {
        true => "formats.svg = true",
        false => "cargo build --features svg-originals",
    };
    assert!(error.contains(expected), "{error}");
    assert_eq!(Header::read(svg, &ON).is_ok(), cfg!(feature = "svg-originals"));
}

#[cfg(feature = "svg-originals")]
#[test]
fn memory_and_time_are_those_of_the_variant_and_not_of_the_nominal_size() {
    let svg = |size: &str| format!("<svg {size} xmlns='http://www.w3.org/2000/svg'/>");
    let huge = Header::read(svg("viewBox='0 0 2e6 1e6'").as_bytes(), &ON).unwrap();
    let tiny = Header::read(svg("viewBox='0 0 .20 .10'").as_bytes(), &ON).unwrap();
    let output = |side| OutputSpec { geometry: fit(side, side), encoding: Encoding::Png };
    let small = [output(100)];
    assert_eq!(huge.working_bytes(&small), tiny.working_bytes(&small));
    assert!(huge.working_bytes(&small) < 64 << 20);
    assert!(tiny.working_bytes(&[output(100), output(2000)]) > 2000 * 1000 * 4 * 10);
    let time = |outputs: &[OutputSpec]| huge.cpu_estimate(outputs, &EncodeOptions::default()).total();
    assert_eq!(time(&[output(100), output(100)]), 2 * time(&small));
    // A cover of an extreme ratio would be a picture of 10^10 pixels.
    let thin = Header::read(svg("viewBox='0 0 1e6 1'").as_bytes(), &ON).unwrap();
    let crop = Geometry::Crop { width: nonzero(1000), height: nonzero(1000), region: Region::Center };
    let error = render(b"", &thin, crop, Encoding::Png, &ON).unwrap_err();
    assert!(matches!(error, Error::TooManyPixels { .. }), "{error}");
}

#[cfg(feature = "svg-originals")]
#[test]
fn files_of_more_than_4_mib_are_refused() {
    let file = format!("<svg>{}</svg>", " ".repeat(4 << 20));
    for error in [Header::read(file.as_bytes(), &ON).unwrap_err(), sanitizing_bytes(file.len() as u64).unwrap_err()] {
        assert!(error.to_string().contains("at most 4194304"), "{error}");
    }
}
