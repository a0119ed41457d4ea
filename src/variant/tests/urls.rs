//! The meaning of real URLs: tables of paths and their meanings in the notation of [`meaning`].

use super::{config, grammar};
use crate::variant::{Grammar, NearMiss, ParsedPath};

/// `KEY` for a variant, `= KEY` for an object, `> KEY` for an object whose size exceeds the limit, or `! error`.
fn meaning(grammar: &Grammar, path: &str) -> String {
    match grammar.parse(path) {
        Ok(ParsedPath::Variant(addressed)) => addressed.variant.storage_key().to_string(),
        Ok(ParsedPath::Object(key, NearMiss::None)) => format!("= {key}"),
        Ok(ParsedPath::Object(key, NearMiss::SideTooLarge)) => format!("> {key}"),
        Err(error) => format!("! {error}"),
    }
}

fn check(grammar: &Grammar, table: &[(&str, &str)]) {
    for (path, expected) in table {
        let actual = meaning(grammar, path);
        match expected.strip_prefix("! ") {
            Some(words) => assert!(actual.starts_with("! ") && actual.contains(words), "{path}: {actual}"),
            None => assert_eq!(actual, *expected, "{path}"),
        }
    }
}

#[test]
fn shopify_urls() {
    check(
        &grammar(),
        &[
            ("/photos/cat_300x200.jpg", "photos/cat.jpg/300x200_q80.jpg"),
            ("/photos/cat_300x.jpg", "photos/cat.jpg/300x_q80.jpg"),
            ("/photos/cat_x300.jpg", "photos/cat.jpg/x300_q80.jpg"),
            (
                "/s/files/1/0001/products/shoe_1000x.progressive.jpg?v=1571438",
                "s/files/1/0001/products/shoe.jpg/1000x_q80.jpg",
            ),
            ("/shoe_1024x1024.progressive.png.jpg", "shoe.png/1024x1024_q80.jpg"),
            ("/shoe_grande.jpg", "shoe.jpg/600x600_q80.jpg"),
            ("/shoe_grande@2x.jpg", "shoe.jpg/1200x1200_q80.jpg"),
            ("/shoe_small.jpg", "shoe.jpg/300x300_crop_center_q80.jpg"),
            ("/shoe_small_crop_top_q50.jpg", "shoe.jpg/300x300_crop_top_q50.jpg"),
            ("/shoe_small_crop_smart.jpg", "shoe.jpg/300x300_crop_smart_q80.jpg"),
            ("/shoe_small_square.jpg", "shoe.jpg/100x100_crop_top_q70.jpg"),
            ("/shoe_small_square_q90.jpg", "shoe.jpg/100x100_crop_top_q90.jpg"),
            ("/shoe_x_small.jpg", "shoe.jpg/150x_q80.jpg"),
            ("/shoe_wide_crop.jpg", "shoe.jpg/1200x_q80.jpg"),
            ("/shoe_retina@2x.jpg", "shoe.jpg/800x400_q80.jpg"),
            ("/shoe_300x300@2x.jpg", "shoe.jpg/600x600_q80.jpg"),
            ("/shoe_300x@3x.jpg", "shoe.jpg/900x_q80.jpg"),
            ("/shoe_200x200_crop.jpg", "shoe.jpg/200x200_crop_center_q80.jpg"),
            ("/shoe_200x200_crop_center.jpg", "shoe.jpg/200x200_crop_center_q80.jpg"),
            ("/shoe_200x100_crop_top_left_q65@2x.jpg", "shoe.jpg/400x200_crop_top_left_q65.jpg"),
            ("/shoe_200x_crop_bottom.jpg", "shoe.jpg/200x_q80.jpg"),
            ("/shoe_x200_crop.jpg", "shoe.jpg/x200_q80.jpg"),
            ("/shoe_1x1.jpg", "shoe.jpg/1x1_q80.jpg"),
            ("/shoe_4096x4096.jpg", "shoe.jpg/4096x4096_q80.jpg"),
            (
                "/collections/shoe-red_b8f5c1e2-6a70-4a3e-9d3c_300x300.jpg",
                "collections/shoe-red_b8f5c1e2-6a70-4a3e-9d3c.jpg/300x300_q80.jpg",
            ),
        ],
    );
}

#[test]
fn wordpress_urls() {
    check(
        &grammar(),
        &[
            (
                "/wp-content/uploads/2024/05/cat-300x200.jpg",
                "wp-content/uploads/2024/05/cat.jpg/300x200_crop_center_q80.jpg",
            ),
            ("/cat-1536x1536.jpg", "cat.jpg/1536x1536_crop_center_q80.jpg"),
            ("/cat-1-150x150.jpg", "cat-1.jpg/150x150_crop_center_q80.jpg"),
            ("/cat-e1721071072224-768x512.jpg", "cat-e1721071072224.jpg/768x512_crop_center_q80.jpg"),
            ("/cat-scaled.jpg", "= cat-scaled.jpg"),
            ("/cat-scaled-300x200.jpg", "cat-scaled.jpg/300x200_crop_center_q80.jpg"),
            ("/cat-rotated-e1721071072224.jpg", "= cat-rotated-e1721071072224.jpg"),
            ("/cat-300x200.jpg.webp", "cat.jpg/300x200_crop_center_q80.webp"),
            ("/cat-300x.jpg", "cat.jpg/300x_q80.jpg"),
            ("/cat-x300.jpg", "cat.jpg/x300_q80.jpg"),
            ("/cat-300x200@2x.jpg", "cat.jpg/600x400_crop_center_q80.jpg"),
            ("/cat-300x200_q60.jpg", "cat.jpg/300x200_crop_center_q60.jpg"),
            ("/cat-300x200_crop_top.jpg", "= cat-300x200_crop_top.jpg"),
            ("/cat-grande.jpg", "= cat-grande.jpg"),
            ("/logo-300x300-1-150x150.jpg", "logo-300x300-1.jpg/150x150_crop_center_q80.jpg"),
            ("/cropped-favicon-32x32.png", "cropped-favicon.png/32x32_crop_center.png"),
        ],
    );
}

#[test]
fn names_that_only_resemble_sizes_are_objects() {
    check(
        &grammar(),
        &[
            ("/Darrell-1920x1080-1.jpg", "= Darrell-1920x1080-1.jpg"),
            ("/Asset_100x-8.avif", "= Asset_100x-8.avif"),
            ("/_300x300/image.jpg", "= _300x300/image.jpg"),
            ("/300x300/image.jpg", "= 300x300/image.jpg"),
            ("/_300x300.jpg", "= _300x300.jpg"),
            ("/photos/-300x300", "= photos/-300x300"),
            ("/300x300.jpg", "= 300x300.jpg"),
            ("/cat_0x300.jpg", "= cat_0x300.jpg"),
            ("/cat_300x0.jpg", "= cat_300x0.jpg"),
            ("/cat_0300x200.jpg", "= cat_0300x200.jpg"),
            ("/cat_300x020.jpg", "= cat_300x020.jpg"),
            ("/cat_x.jpg", "= cat_x.jpg"),
            ("/cat_300.jpg", "= cat_300.jpg"),
            ("/cat300x200.jpg", "= cat300x200.jpg"),
            ("/cat_300X200.jpg", "= cat_300X200.jpg"),
            ("/cat_300x200x100.jpg", "= cat_300x200x100.jpg"),
            ("/cat_300×200.jpg", "= cat_300×200.jpg"),
            ("/cat_٣x٤.jpg", "= cat_٣x٤.jpg"),
            ("/cat_-300x200.jpg", "cat_.jpg/300x200_crop_center_q80.jpg"),
            ("/cat_300x-200.jpg", "= cat_300x-200.jpg"),
            ("/cat_+300x200.jpg", "= cat_+300x200.jpg"),
            ("/cat@2x.png", "= cat@2x.png"),
            ("/cat_300x200@4x.png", "= cat_300x200@4x.png"),
            ("/cat_300x200@2x@2x.png", "= cat_300x200@2x@2x.png"),
            ("/cat_300x200@2x_q80.jpg", "= cat_300x200@2x_q80.jpg"),
            ("/cat_300x200_q0.jpg", "= cat_300x200_q0.jpg"),
            ("/cat_300x200_q101.jpg", "= cat_300x200_q101.jpg"),
            ("/cat_300x200_q080.jpg", "= cat_300x200_q080.jpg"),
            ("/cat_300x200_q80_crop.jpg", "= cat_300x200_q80_crop.jpg"),
            ("/cat_300x200_crop_middle.jpg", "= cat_300x200_crop_middle.jpg"),
            ("/cat_300x200.", "= cat_300x200."),
            ("/._300x200", "= ._300x200"),
            ("/photos/.._300x200", "= photos/.._300x200"),
            ("/small.jpg", "= small.jpg"),
            ("/_small.jpg", "= _small.jpg"),
            ("/cat_Small.jpg", "= cat_Small.jpg"),
            // These names end in a size. If `linux.png` does not exist, the literal key is tried.
            ("/linux-x86.png", "linux.png/x86.png"),
            ("/icon_2x.png", "icon.png/2x.png"),
        ],
    );
}

#[test]
fn sizes_over_the_limit_are_near_misses() {
    check(
        &grammar(),
        &[
            ("/cat_5000x.jpg", "> cat_5000x.jpg"),
            ("/cat-300x4097.jpg", "> cat-300x4097.jpg"),
            ("/cat_1366x@3x.jpg", "> cat_1366x@3x.jpg"),
            ("/cat_5000x5000_crop_top_q80.png.webp", "> cat_5000x5000_crop_top_q80.png.webp"),
            ("/cat_99999999999999999999x.jpg", "> cat_99999999999999999999x.jpg"),
            ("/cat_4294967295x1@3x.jpg", "> cat_4294967295x1@3x.jpg"),
            ("/pano_5000x-1.jpg", "= pano_5000x-1.jpg"),
        ],
    );
}

#[test]
fn extensions_determine_the_format() {
    check(
        &grammar(),
        &[
            ("/cat_300x200.png", "cat.png/300x200.png"),
            ("/cat_300x200_q50.png", "cat.png/300x200.png"),
            ("/cat_300x200.webp", "cat.webp/300x200_q80.webp"),
            ("/CAT_300x200.JPG", "CAT.JPG/300x200_q80.jpg"),
            ("/cat_300x200.JPEG", "cat.JPEG/300x200_q80.jpg"),
            ("/cat_300x200.PNG.WebP", "cat.PNG/300x200_q80.webp"),
            ("/cat_300x200_q70.png.webp", "cat.png/300x200_q70.webp"),
            ("/cat_300x200.webp.jpg", "cat.webp/300x200_q80.jpg"),
            ("/cat_300x200.jpg.jpg", "cat.jpg/300x200_q80.jpg"),
            ("/cat_300x200.gif", "cat.gif/300x200.gif"),
            ("/cat_300x200.gif.png", "cat.gif/300x200.png"),
            ("/cat_300x200.heic", "cat.heic/300x200_q80.jpg"),
            ("/cat_300x200.png.heic", "= cat_300x200.png.heic"),
            ("/cat_300x200.tiff", "cat.tiff/300x200_q80.jpg"),
            ("/photos/cat_300x200", "photos/cat/300x200_q80.jpg"),
            ("/photos/cat_300x200..webp", "photos/cat/300x200_q80.webp"),
            ("/photos/v1.2/cat_300x200", "photos/v1.2/cat/300x200_q80.jpg"),
            ("/cat.v2_300x200.jpg", "cat.v2.jpg/300x200_q80.jpg"),
            ("/cat.v2_300x200", "cat.v2/300x200_q80.jpg"),
            ("/a.b.c_300x200.d", "a.b.c.d/300x200_q80.jpg"),
            ("/Screenshot 2024-05-01 at 10.11.12_300x.png", "Screenshot 2024-05-01 at 10.11.12.png/300x.png"),
            ("/cat_300x200.progressive", "cat.progressive/300x200_q80.jpg"),
            ("/cat.progressive_300x200.jpg", "cat.progressive.jpg/300x200_q80.jpg"),
            ("/cat_300x200_50x50.jpg", "cat_300x200.jpg/50x50_q80.jpg"),
            ("/cat_300x200.png_50x50.webp", "cat_300x200.png.webp/50x50_q80.webp"),
        ],
    );
}

#[test]
fn paths_are_decoded_once_and_strictly() {
    check(
        &grammar(),
        &[
            ("/photos/my%20cat_300x200.jpg", "photos/my cat.jpg/300x200_q80.jpg"),
            ("/photos/my+cat_300x200.jpg", "photos/my+cat.jpg/300x200_q80.jpg"),
            ("/photos%2Fcat_300x200.jpg", "photos/cat.jpg/300x200_q80.jpg"),
            ("/photos/%E7%8C%AB_300x200.jpg", "photos/猫.jpg/300x200_q80.jpg"),
            ("/photos/猫_300x200.jpg", "photos/猫.jpg/300x200_q80.jpg"),
            ("/cat%5F300%78200.jpg", "cat.jpg/300x200_q80.jpg"),
            ("/100%25_300x200.jpg", "100%.jpg/300x200_q80.jpg"),
            ("/a%252Fb.jpg", "= a%2Fb.jpg"),
            ("/what%3F_300x.jpg?v=2?3", "what?.jpg/300x_q80.jpg"),
            ("/cat_300x200.jpg?size=5000x", "cat.jpg/300x200_q80.jpg"),
            ("/100%_300x200.jpg", "! %25"),
            ("/cat%2.jpg", "! %25"),
            ("/cat%", "! %25"),
            ("/cat%%41.jpg", "! %25"),
            ("/caf%E9.jpg", "! UTF-8"),
            ("/%C0%AE%C0%AE/passwd", "! UTF-8"),
            ("/a/../b.jpg", "! `..`"),
            ("/a/%2e%2e/b.jpg", "! `..`"),
            ("/..%2Fb.jpg", "! `..`"),
            ("/./b.jpg", "! `..`"),
            ("/a//b.jpg", "! empty segment"),
            ("//b.jpg", "! empty segment"),
            ("/a/", "! empty segment"),
            ("/", "! path is empty"),
            ("/?cat.jpg", "! path is empty"),
            ("/a%00.jpg", "! control character"),
            ("/a%0D%0Ab.jpg", "! control character"),
            ("/a%C2%85.jpg", "! control character"),
            ("/a%5C..%5Cb.jpg", "! backslash"),
            ("cat.jpg", "! start with a slash"),
            ("", "! start with a slash"),
            ("*", "! start with a slash"),
        ],
    );
}

#[test]
fn a_segment_can_be_a_size_if_configured() {
    let mut config = config();
    config.urls.segment = true;
    check(
        &Grammar::new(&config).unwrap(),
        &[
            ("/originals/87624234234234/300x300/name.jpeg", "originals/87624234234234/name.jpeg/300x300_q80.jpg"),
            ("/300x300/name.jpeg", "name.jpeg/300x300_q80.jpg"),
            ("/a/300x/name.png", "a/name.png/300x.png"),
            ("/a/300x300_crop_q70@2x/name.jpg", "a/name.jpg/600x600_crop_center_q70.jpg"),
            ("/a/300x300/name", "a/name/300x300_q80.jpg"),
            ("/a/300x300/my.photo.jpg", "a/my.photo.jpg/300x300_q80.jpg"),
            ("/a/300x300/name.png.webp", "a/name.png.webp/300x300_q80.webp"),
            ("/a/300x300/name_50x50.jpg", "a/300x300/name.jpg/50x50_q80.jpg"),
            ("/a/300x300/name_5000x.jpg", "a/name_5000x.jpg/300x300_q80.jpg"),
            ("/a/100x100/300x300/name.jpg", "a/100x100/name.jpg/300x300_q80.jpg"),
            ("/a/5000x5000/name.jpg", "> a/5000x5000/name.jpg"),
            ("/a/_300x300/name.jpg", "= a/_300x300/name.jpg"),
            ("/a/small/name.jpg", "= a/small/name.jpg"),
            ("/a/300x300/b/name.jpg", "= a/300x300/b/name.jpg"),
            ("/300x300", "= 300x300"),
        ],
    );
}

#[test]
fn keys_of_the_proxy_are_reserved() {
    let mut config = config();
    config.originals.store = "s3://bucket/originals".parse().unwrap();
    config.variants.store = "s3://bucket/originals/.v/made/".parse().unwrap();
    check(
        &Grammar::new(&config).unwrap(),
        &[
            ("/.v/made/cat.jpg/300x200_q80.jpg", "! reserved"),
            ("/.v%2Fmade/cat.jpg_300x200", "! reserved"),
            ("/.v/made", "! reserved"),
            ("/.v/made_300x200", "! reserved"),
            ("/.v/made2/cat.jpg", "= .v/made2/cat.jpg"),
            ("/a/.v/made/cat.jpg", "= a/.v/made/cat.jpg"),
            ("/.resized/tmp", "! reserved"),
            ("/a/.resized-3f/cat_300x.jpg", "! reserved"),
            ("/a/.Resized", "! reserved"),
            ("/a/.resize/cat.jpg", "= a/.resize/cat.jpg"),
            ("/a/x.resized/cat.jpg", "= a/x.resized/cat.jpg"),
        ],
    );
}
