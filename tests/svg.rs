//! SVG originals, rasterized and sanitized in sandbox processes of the real executable.

#![cfg(all(target_os = "linux", feature = "svg-originals"))]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::num::NonZeroU32;
use std::sync::Once;
use std::time::{Duration, Instant};

use image::{Rgba, RgbaImage};
use pixels::{
    Codec, Codecs, Encoding, Error, Geometry, Header, Limits, OutputSpec, Quality, Region, RenderOptions, cpu_time,
    render, sanitize_svg,
};
use resized::resize::sandbox::{self, ProcessSandbox};

#[path = "svg/hostile.rs"]
mod hostile;

use hostile::hostile;

fn limits() -> Limits {
    Limits { originals: Codecs::DEFAULT.with(Codec::Svg), render_time: Duration::from_secs(4), ..Limits::default() }
}

fn set_program() {
    static PROGRAM: Once = Once::new();
    PROGRAM.call_once(|| sandbox::set_program(env!("CARGO_BIN_EXE_resized").into()));
}

fn made(svg: &str, geometry: Geometry, encoding: Encoding) -> Result<Vec<u8>, Error> {
    set_program();
    let limits = limits();
    let header = Header::read(svg.as_bytes(), &limits)?;
    let options = RenderOptions::new(&limits).with_sandbox(&ProcessSandbox);
    render(svg.as_bytes(), &header, OutputSpec { geometry, encoding }, &options)
}

fn fit(width: u32, height: u32) -> Geometry {
    Geometry::Fit { width: NonZeroU32::new(width), height: NonZeroU32::new(height) }
}

fn crop(width: u32, height: u32, region: Region) -> Geometry {
    Geometry::Crop { width: NonZeroU32::new(width).unwrap(), height: NonZeroU32::new(height).unwrap(), region }
}

fn rasterized(svg: &str, geometry: Geometry) -> RgbaImage {
    image::load_from_memory(&made(svg, geometry, Encoding::Png).unwrap()).unwrap().to_rgba8()
}

/// A picture of 100 x 100 units with these elements.
fn picture(elements: &str) -> String {
    format!(
        "<svg viewBox='0 0 100 100' xmlns='http://www.w3.org/2000/svg' \
         xmlns:xlink='http://www.w3.org/1999/xlink'>{elements}</svg>"
    )
}

/// A red square from 25 to 75, on nothing.
const SQUARE: &str = "<rect x='25' y='25' width='50' height='50' fill='#f00'/>";

const RED: Rgba<u8> = Rgba([255, 0, 0, 255]);
const NOTHING: Rgba<u8> = Rgba([0; 4]);

fn is_near(a: Rgba<u8>, b: [u8; 4]) -> bool {
    a.0.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 3)
}

#[test]
fn variants_are_sharp_at_every_size_even_if_they_are_larger() {
    let svg = SQUARE
        .replace("<rect", "<svg width='4' height='4' viewBox='0 0 100 100' xmlns='http://www.w3.org/2000/svg'><rect");
    let image = rasterized(&format!("{svg}</svg>"), fit(400, 0));
    assert_eq!(image.dimensions(), (400, 400));
    for (x, y) in [(100, 100), (299, 299), (100, 299)] {
        assert_eq!(*image.get_pixel(x, y), RED);
    }
    for (x, y) in [(99, 200), (300, 200), (200, 99), (0, 0)] {
        assert_eq!(*image.get_pixel(x, y), NOTHING);
    }
}

#[test]
fn crops_cover_the_box_and_are_not_scaled() {
    // Twice as wide as the box, so the square covers the columns from 50 to 149 of 200.
    let wide = picture(SQUARE).replace("viewBox='0 0 100 100'", "viewBox='0 0 100 50'");
    for (region, begin) in [(Region::Center, 0), (Region::Top, 0), (Region::TopLeft, 50)] {
        let image = rasterized(&wide, crop(100, 100, region));
        assert_eq!(image.dimensions(), (100, 100));
        assert_eq!((0..100).find(|x| *image.get_pixel(*x, 60) == RED), Some(begin), "{region:?}");
    }
    let smart = rasterized(&picture(SQUARE), crop(64, 32, Region::Smart));
    assert_eq!(smart.dimensions(), (64, 32));
}

#[test]
fn transparency_is_kept_where_the_format_can_and_white_elsewhere() {
    let quality = Quality::new(90).unwrap();
    let half = picture("<rect width='100' height='100' fill='#0f0' opacity='.5'/>");
    assert!(is_near(*rasterized(&half, fit(10, 0)).get_pixel(5, 5), [0, 255, 0, 128]));
    let jpeg = image::load_from_memory(&made(&half, fit(10, 0), Encoding::Jpeg(quality)).unwrap()).unwrap();
    assert!(is_near(*jpeg.to_rgba8().get_pixel(5, 5), [127, 255, 127, 255]));
    let webp = image::load_from_memory(&made(&half, fit(10, 0), Encoding::WebP(quality)).unwrap()).unwrap();
    assert!(webp.to_rgba8().get_pixel(5, 5).0[3].abs_diff(128) < 3);
}

/// A name, elements, and the color that a pixel of 100 x 100 has.
type Shown = (&'static str, &'static str, (u32, u32), [u8; 4]);

#[test]
fn elements_look_as_the_standard_says() {
    let table: [Shown; 9] = [
        (
            "gradient",
            "<linearGradient id='a'><stop stop-color='#000'/><stop offset='1' stop-color='#fff'/></linearGradient>\
             <rect width='100' height='100' fill='url(#a)'/>",
            (50, 50),
            [128, 128, 128, 255],
        ),
        (
            "clip path",
            "<clipPath id='a'><circle cx='50' cy='50' r='20'/></clipPath>\
             <rect width='100' height='100' fill='#00f' clip-path='url(#a)'/>",
            (20, 20),
            [0; 4],
        ),
        (
            "mask",
            "<mask id='a'><rect width='50' height='100' fill='#fff'/></mask>\
             <rect width='100' height='100' fill='#00f' mask='url(#a)'/>",
            (25, 50),
            [0, 0, 255, 255],
        ),
        (
            "blur",
            "<filter id='a'><feGaussianBlur stdDeviation='5'/></filter>\
             <rect x='-50' width='100' height='200' y='-50' fill='#00f' filter='url(#a)'/>",
            (50, 50),
            [0, 0, 255, 118],
        ),
        (
            "use",
            "<defs><rect id='a' width='10' height='10' fill='#0f0'/></defs><use xlink:href='#a' x='40' y='40'/>",
            (45, 45),
            [0, 255, 0, 255],
        ),
        (
            "style",
            "<style>.a{fill:#ff0}</style><rect class='a' width='100' height='100'/>",
            (50, 50),
            [255, 255, 0, 255],
        ),
        (
            "pattern",
            "<pattern id='a' width='.5' height='.5'><rect width='25' height='50' fill='#f0f'/></pattern>\
             <rect width='100' height='100' fill='url(#a)'/>",
            (60, 60),
            [255, 0, 255, 255],
        ),
        ("entity", "<rect width='100' height='100' fill='&c;'/>", (50, 50), [0, 128, 0, 255]),
        (
            "switch",
            "<switch><foreignObject/><rect width='100' height='100' fill='#f00'/></switch>",
            (50, 50),
            [255, 0, 0, 255],
        ),
    ];
    for (name, elements, (x, y), expected) in table {
        let svg = format!("<!DOCTYPE svg [<!ENTITY c 'green'>]>{}", picture(elements));
        let pixel = *rasterized(&svg, fit(100, 0)).get_pixel(x, y);
        assert!(is_near(pixel, expected), "{name}: {pixel:?}");
    }
}

#[test]
fn text_is_set_in_the_embedded_font_whatever_the_family() {
    let text = |family: &str, words: &str| {
        rasterized(
            &picture(&format!("<text x='5' y='60' font-size='30' font-family='{family}'>{words}</text>")),
            fit(200, 0),
        )
    };
    let inked = |image: &RgbaImage| image.pixels().filter(|pixel| pixel.0[3] > 128).count();
    let arial = text("Arial, Helvetica, sans-serif", "Aß");
    assert!((200..4000).contains(&inked(&arial)), "{}", inked(&arial));
    assert!(arial == text("monospace", "Aß"));
    for words in ["αβγ", "Жщя", "ấữ", "1€"] {
        assert!(inked(&text("serif", words)) > 100, "{words}");
    }
}

/// Files that would load something, with the picture that remains.
const REFERENCES: [&str; 17] = [
    "<image width='100' height='100' href='file:///etc/passwd'/>",
    "<image width='100' height='100' xlink:href='/etc/hostname.svg'/>",
    "<image width='100' height='100' href='http://127.0.0.1:9/a.png'/>",
    "<image width='100' height='100' href='data:image/svg+xml,&lt;svg xmlns=\"http://www.w3.org/2000/svg\"&gt;&lt;rect width=\"9\" height=\"9\"/&gt;&lt;/svg&gt;'/>",
    "<use xlink:href='http://127.0.0.1:9/a.svg#a'/>",
    "<style>@import url(http://127.0.0.1:9/a.css); @font-face{font-family:a;src:url(file:///etc/passwd)}</style>",
    "<script>alert(1)</script><script href='http://127.0.0.1:9/a.js'/>",
    "<foreignObject width='100' height='100'><body xmlns='http://www.w3.org/1999/xhtml'><iframe src='/'/></body></foreignObject>",
    "<a xlink:href='javascript:alert(1)' onclick='alert(1)'/>",
    "<rect id='a' width='0' height='9'><animate attributeName='width' to='100'/></rect>",
    "<filter id='f'><feImage href='http://127.0.0.1:9/a.png'/></filter>",
    "<iframe xmlns='http://www.w3.org/1999/xhtml' src='data:text/html,a'/>",
    "<image width='100' height='100' href='https://127.0.0.1:9/b/a.png'/>",
    "<style>svg{background:url(//127.0.0.1:9/a.png),URL( 'https://127.0.0.1:9/b.png' )}</style>",
    "<g style='background:image-set(url(http://127.0.0.1:9/a.png) 1x)'/>",
    "<style>svg{background:\\75rl(http://127.0.0.1:9/a.png)}</style>",
    "<style>@IMPORT 'http://127.0.0.1:9/a.css';</style>",
];

/// CSS with addresses in strings, which the sanitizer does not rewrite.
const STRINGS: [&str; 5] = [
    "<style>svg{background:image-set(\"http://127.0.0.1:9/a.png\" 1x)}</style>",
    "<g style='background:-webkit-image-set(\"http://127.0.0.1:9/a.png\" 1x)'/>",
    "<style>svg{background:image(\"http://127.0.0.1:9/a.png\")}</style>",
    "<style>svg{background:src(\"http://127.0.0.1:9/a.png\")}</style>",
    "<style>@namespace \"http://127.0.0.1:9/\";</style>",
];

#[test]
fn references_out_of_the_file_and_scripts_are_ignored() {
    let expected = rasterized(&picture(SQUARE), fit(50, 0));
    for elements in REFERENCES.into_iter().chain(STRINGS) {
        assert!(rasterized(&picture(&format!("{elements}{SQUARE}")), fit(50, 0)) == expected, "{elements}");
    }
}

#[test]
fn hostile_files_end_in_an_error_or_a_harmless_picture_within_their_limits() {
    for (name, svg, expected) in hostile() {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        let result = made(&svg, fit(300, 0), Encoding::Png);
        let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu_start);
        let text = result.as_ref().map_or_else(ToString::to_string, |png| format!("{} bytes", png.len()));
        println!("{name}: {text} in {elapsed:?}, of which CPU time {cpu:?}");
        assert!(result.is_err() || expected.is_empty(), "{name}: a picture");
        assert!(result.is_ok() || text.contains(expected), "{name}: {text}");
        assert!(cpu < CPU_TIME_MAX, "{name} took {cpu:?}");
        assert!(elapsed < Duration::from_secs(60), "{name} took {elapsed:?}");
    }
}

/// The limit of the test, and the second to which that of the process is rounded up.
const CPU_TIME_MAX: Duration = Duration::from_secs(6);

fn sanitized(svg: &str) -> Result<String, Error> {
    set_program();
    sanitize_svg(svg.as_bytes(), &limits(), &ProcessSandbox).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn sanitized_files_have_no_scripts_and_their_addresses_lead_to_the_same_site() {
    for elements in REFERENCES {
        let text = sanitized(&picture(&format!("{elements}{SQUARE}"))).unwrap().to_lowercase();
        for word in [
            "script",
            "onclick",
            "foreignobject",
            "iframe",
            "url(http",
            "url(//",
            "=\"//",
            "=\"http://127",
            "@import",
            "file:",
            "text/html",
            "svg+xml",
        ] {
            assert!(!text.contains(word), "{elements} keeps {word}: {text}");
        }
        assert!(text.contains("#f00"), "{text}");
    }
    let absolute = "<image href='https://127.0.0.1:9/b/a.png'/><g style='fill:url(http://127.0.0.1:9/b/c.svg#a)'/>";
    let text = sanitized(&picture(absolute)).unwrap();
    assert!(text.contains("\"/b/a.png\"") && text.contains("url(/b/c.svg#a)"), "{text}");
    let image = "<image href='data:image/png;base64,iVBORw0KGgo='/>";
    assert!(sanitized(&picture(image)).unwrap().contains("data:image/png"));
    let events = picture("<rect onload='alert(1)' style='fill:url(javascript:alert(1))' width='9' height='9'/>");
    let text = sanitized(&events).unwrap();
    assert!(!text.contains("alert"), "{text}");
}

#[test]
fn strings_of_style_sheets_stay_so_the_policy_of_responses_must_block_requests() {
    for elements in STRINGS {
        let text = sanitized(&picture(&format!("{elements}{SQUARE}"))).unwrap();
        assert!(text.contains("http://127.0.0.1:9/"), "docs/FORMATS.md and SECURITY.md say that these stay: {text}");
    }
}

#[test]
fn sanitized_bytes_change_only_with_their_etag() {
    let svg = picture(
        "<!-- a --><style>.a{fill:url(#b)}</style><g onclick='a' class='a'><rect height='9' width='9'/></g>\
         <use xlink:href='#a'/><image href='http://127.0.0.1:9/a.png'/><text>A &amp; ß</text><script>a</script>",
    );
    let expected = r##"<?xml version="1.0" encoding="utf-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
  <style>.a{fill:url(#b)}</style>
  <g class="a">
    <rect height="9" width="9"/>
  </g>
  <use href="#a"/>
  <image href="/a.png"/>
  <text>A &amp; ß</text>
</svg>"##;
    assert_eq!(sanitized(&svg).unwrap(), expected, "change ETAG_SUFFIX, because clients cache the bytes by their ETag");
}

#[test]
fn paths_that_reach_far_beyond_the_picture_are_refused_by_name() {
    let made = |path: &str| made(&picture(&format!("<path d='{path}'/>")), fit(100, 0), Encoding::Png);
    assert!(made("M-9999 0H9999V99z").is_ok());
    for path in ["M1 1a2 2e7 4 0 1 5 5e6z", "M0 0L0 9L2e6 9z", "M0 0h1e9v9z"] {
        let text = made(path).unwrap_err().to_string();
        assert!(text.contains("a path reaches more than 1048576 pixels beyond the picture"), "{path}: {text}");
    }
    // An arc of that radius would be drawn as a hundred thousand curves.
    let text = made("M1 1a2 3e30 4 0 1 5 5z").unwrap_err().to_string();
    assert!(text.contains("an attribute d has a number of more than 10 digits"), "{text}");
}

#[test]
fn errors_of_the_sanitizer_say_what_is_wrong_with_the_file() {
    // Each level is indented.
    let growing = picture(&format!("{}{}", "<g>".repeat(2000), "</g>".repeat(2000)));
    for (svg, expected) in [
        ("<svg><g/></svg>", "it has no element in the namespace http://www.w3.org/2000/svg"),
        (growing.as_str(), "the sanitized file would be too long"),
        ("<svg xmlns='http://www.w3.org/2000/svg'><g>", "it is not XML: "),
    ] {
        let text = sanitized(svg).unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains("emitter") && !text.contains("I/O"), "{text}");
    }
}

#[test]
fn sanitized_files_look_the_same() {
    let svg = picture(&format!(
        "<defs><g id='a'>{SQUARE}</g></defs><style>rect{{stroke:#00f}}</style><use xlink:href='#a'/><text y='20'>Text</text>"
    ));
    assert!(rasterized(&svg, fit(200, 0)) == rasterized(&sanitized(&svg).unwrap(), fit(200, 0)));
}

#[test]
fn hostile_files_are_sanitized_within_limits_or_refused() {
    for (name, svg, _) in hostile() {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        let result = sanitized(&svg);
        let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu_start);
        println!("{name}: {:?} in {elapsed:?}, of which CPU time {cpu:?}", result.as_ref().map(String::len));
        assert!(cpu < CPU_TIME_MAX, "{name} took {cpu:?}");
        assert!(elapsed < Duration::from_secs(60), "{name} took {elapsed:?}");
        assert!(result.is_err() || result.unwrap().len() <= 4 * svg.len() + (64 << 10), "{name}");
    }
    assert!(sanitized("<svg").is_err() && sanitized("").is_err() && sanitized("<html/>").is_err());
}
