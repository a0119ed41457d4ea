//! Tests of the grammar: keys, negotiation, canonical paths and invalid settings.

use super::*;
use crate::config::Config;

mod properties;
mod urls;

/// The default settings with six presets.
pub(super) fn config() -> Config {
    let mut config = Config::default();
    for (name, text) in [
        ("grande", "600x600"),
        ("small", "300x300_crop"),
        ("small_square", "100x100_crop_top_q70"),
        ("x_small", "150x"),
        ("wide", "1200x"),
        ("retina", "200x100@2x"),
    ] {
        config.presets.insert(name.into(), text.into());
    }
    config
}

pub(super) fn grammar() -> Grammar {
    Grammar::new(&config()).unwrap()
}

fn addressed(grammar: &Grammar, path: &str) -> AddressedVariant {
    match grammar.parse(path) {
        Ok(ParsedPath::Variant(addressed)) => addressed,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn originals_whose_variants_would_have_too_long_keys_are_refused() {
    let grammar = grammar();
    let fits = format!("/{}_4096x4096_crop_bottom_right_q100", "a".repeat(984));
    let key = addressed(&grammar, &fits).variant.storage_key();
    assert!(ObjectKey::new(key.as_str()).is_ok());
    let over = format!("/{}_300x", "a".repeat(985));
    assert_eq!(grammar.parse(&over), Err(PathError::NoRoomForSize { bytes: 985, max: 984 }));
    assert!(matches!(grammar.parse(&format!("/{}", "a".repeat(1024))), Ok(ParsedPath::Object(..))));
    assert!(matches!(grammar.parse(&format!("/{}", "a".repeat(1025))), Err(PathError::Key(KeyError::TooLong { .. }))));
}

#[test]
fn the_literal_key_is_the_whole_decoded_path() {
    let addressed = addressed(&grammar(), "/a%20b/LoneStar_1920x1080.png.webp?v=1");
    assert_eq!(addressed.literal_key.as_str(), "a b/LoneStar_1920x1080.png.webp");
    assert_eq!(addressed.variant.original.as_str(), "a b/LoneStar.png");
}

#[test]
fn urls_without_a_second_format_are_negotiable_if_configured() {
    let mut config = config();
    config.urls.segment = true;
    assert!(!addressed(&Grammar::new(&config).unwrap(), "/cat_300x.jpg").negotiable);
    config.formats.negotiate = vec![Format::WebP, Format::Jpeg];
    let grammar = Grammar::new(&config).unwrap();
    assert_eq!(grammar.negotiated(), [Format::WebP, Format::Jpeg]);
    for path in ["/cat_300x.jpg", "/cat_300x", "/a/300x300/cat.jpg"] {
        assert!(addressed(&grammar, path).negotiable, "{path}");
    }
    assert!(!addressed(&grammar, "/cat_300x.jpg.jpg").negotiable);
}

#[test]
fn another_format_gets_the_quality_that_looks_like_the_requested_one() {
    let mut config = config();
    config.formats.webp_quality = Quality::new(72).unwrap();
    let grammar = Grammar::new(&config).unwrap();
    let as_webp = |path| addressed(&grammar, path).variant.with_format(Format::WebP, &grammar).encoding.quality();
    assert_eq!(as_webp("/cat_300x.jpg"), Quality::new(72));
    assert_eq!(as_webp("/cat_300x_q80.jpg"), Quality::new(72), "the same variant as without a quality");
    assert_eq!(as_webp("/cat_300x_q60.jpg"), Quality::new(65));
    assert_eq!(as_webp("/cat_300x.png"), Quality::new(72));
}

#[test]
fn variants_have_a_canonical_path() {
    let grammar = grammar();
    for (path, canonical) in [
        ("/a/cat_300x.jpg", "/a/cat_300x_q80.jpg"),
        ("/a/cat-300x200.JPG", "/a/cat_300x200_crop_center_q80.JPG"),
        ("/a/cat_small@2x.png.webp", "/a/cat_600x600_crop_center_q80.png.webp"),
        ("/a/cat_x9.gif", "/a/cat_x9.gif"),
        ("/a/cat_x9", "/a/cat_x9_q80"),
        ("/a/cat_x9..png", "/a/cat_x9..png"),
        ("/.cat_x9.jpg", "/.cat_x9_q80.jpg"),
        ("/猫 100%25?_x9.jpg", "! no variant"),
        ("/猫 100%25%3F_x9.jpg", "/%E7%8C%AB%20100%25%3F_x9_q80.jpg"),
        ("/it's(1)@home,+_x9.jpg", "/it's(1)@home,+_x9_q80.jpg"),
    ] {
        let shown = match grammar.parse(path) {
            Ok(ParsedPath::Variant(addressed)) => grammar.canonical_path(&addressed.variant),
            _ => "! no variant".into(),
        };
        assert_eq!(shown, canonical, "{path}");
    }
}

#[test]
fn invalid_settings_are_refused_with_their_key() {
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        Grammar::new(&config).map(|_| ()).unwrap_err().key
    };
    for (name, text) in [
        ("", "300x300"),
        ("sm all", "300x300"),
        ("klein·", "300x300"),
        ("300x", "300x300"),
        ("q80", "300x300"),
        ("a_crop", "300x300"),
        ("a_crop_top", "300x300"),
        ("small", ""),
        ("small", "300"),
        ("small", "_300x300"),
        ("small", "300x300_crop_middle"),
        ("small", "a300x300"),
        ("small", "5000x"),
        ("small", "2000x@3x"),
    ] {
        let key = refused(&|config| drop(config.presets.insert(name.into(), text.into())));
        assert_eq!(key, format!("presets.{name}"), "{text}");
    }
    assert_eq!(refused(&|config| config.variants.store = config.originals.store.clone()), "variants.store");
}
