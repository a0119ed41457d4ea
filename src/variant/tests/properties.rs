//! Properties of all paths and variants.
//!
//! Names are built from the parts of suffixes, so that most of them resemble suffixes.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::config::Config;
use crate::variant::*;

const PARTS: &[&str] = &[
    "_",
    "-",
    ".",
    "..",
    "x",
    "0",
    "3",
    "300x200",
    "_300x200",
    "-64x64",
    "_x9",
    "_5000x",
    "_crop",
    "_top",
    "_crop_left",
    "_q",
    "_q80",
    "_q7",
    "@",
    "@2x",
    "@3x",
    "_small",
    "small",
    "_smart",
    ".progressive",
    "progressive",
    ".jpg",
    ".JPEG",
    ".png",
    ".webp",
    ".gif",
    "jpg",
    "cat",
    "é",
    "猫",
    " ",
    "+",
    "%",
    "?",
    "#",
    "%2F",
    "/",
    "/300x300/",
    ".resized",
];

/// Text made mostly of the parts of suffixes.
fn soup() -> impl Strategy<Value = String> {
    let part = prop_oneof![9 => select(PARTS).prop_map(str::to_owned), 1 => "\\PC{0,3}"];
    vec(part, 1..9).prop_map(|parts| parts.concat())
}

fn original() -> impl Strategy<Value = ObjectKey> {
    soup().prop_filter_map("a key that clients may address", |text| {
        ObjectKey::new(&text).ok().filter(|key| !key.as_str().contains(".resized"))
    })
}

fn side() -> impl Strategy<Value = NonZeroU32> {
    prop_oneof![1..=3u32, 1..=4096u32].prop_filter_map("a side", NonZeroU32::new)
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let fit = |(width, height)| Geometry::Fit { width, height };
    prop_oneof![
        (side().prop_map(Some), proptest::option::of(side())).prop_map(fit),
        (proptest::option::of(side()), side().prop_map(Some)).prop_map(fit),
        (side(), side(), select(&Region::ALL[..])).prop_map(|(width, height, region)| Geometry::Crop {
            width,
            height,
            region
        }),
    ]
}

fn encoding() -> impl Strategy<Value = Encoding> {
    let quality = || prop_oneof![79..=81u8, 1..=100u8].prop_filter_map("a quality", Quality::new);
    prop_oneof![
        quality().prop_map(Encoding::Jpeg),
        Just(Encoding::Png),
        quality().prop_map(Encoding::WebP),
        Just(Encoding::Gif)
    ]
}

fn variant() -> impl Strategy<Value = Variant> {
    (original(), geometry(), encoding()).prop_map(|(original, geometry, encoding)| Variant {
        original,
        geometry,
        encoding,
    })
}

/// The default grammar, or one with segments and presets.
fn grammar() -> impl Strategy<Value = Grammar> {
    any::<bool>().prop_map(|everything| {
        let mut config = Config::default();
        config.urls.segment = everything;
        if everything {
            for (name, text) in [("small", "300x300_crop"), ("top", "9x9"), ("smart", "8x_q7@2x"), ("x-cat", "7x7")] {
                config.presets.insert(name.into(), text.into());
            }
        }
        Grammar::new(&config).unwrap()
    })
}

fn parsed(grammar: &Grammar, path: &str) -> Option<Variant> {
    match grammar.parse(path) {
        Ok(ParsedPath::Variant(addressed)) => Some(addressed.variant),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096,
        // About one text in five is not a key. The default limit would stop long runs.
        max_local_rejects: u32::MAX,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn parsing_a_canonical_path_returns_the_variant(grammar in grammar(), variant in variant()) {
        let shown = grammar.canonical_path(&variant);
        prop_assert_eq!(parsed(&grammar, &shown), Some(variant), "{}", shown);
    }

    #[test]
    fn every_parsed_variant_has_a_canonical_path_and_a_valid_key(grammar in grammar(), path in soup()) {
        if let Some(variant) = parsed(&grammar, &format!("/{path}")) {
            let key = variant.storage_key();
            prop_assert!(ObjectKey::new(key.as_str()).is_ok());
            let leaf = key.as_str().strip_prefix(variant.original.as_str()).and_then(|rest| rest.strip_prefix('/'));
            prop_assert!(leaf.is_some_and(|leaf| !leaf.contains('/')));
            prop_assert_eq!(parsed(&grammar, &grammar.canonical_path(&variant)), Some(variant));
        }
    }

    #[test]
    fn distinct_variants_have_distinct_keys_and_paths(
        grammar in grammar(), one in variant(), geometry in geometry(), encoding in encoding(), which in 0..4u8,
    ) {
        // The original is the same, so the variants differ little or not at all.
        let mut other = one.clone();
        if which & 1 != 0 { other.geometry = geometry; }
        if which & 2 != 0 { other.encoding = encoding; }
        prop_assert_eq!(one == other, one.storage_key() == other.storage_key());
        prop_assert_eq!(one == other, grammar.canonical_path(&one) == grammar.canonical_path(&other));
    }

    #[test]
    fn variants_of_distinct_originals_have_distinct_keys_and_paths(
        grammar in grammar(), one in variant(), original in original(),
    ) {
        let other = Variant { original, ..one.clone() };
        prop_assert_eq!(one == other, one.storage_key() == other.storage_key());
        prop_assert_eq!(one == other, grammar.canonical_path(&one) == grammar.canonical_path(&other));
    }

    #[test]
    fn all_spellings_of_a_variant_have_the_same_key(
        width in 1..=1000u32, height in 1..=1000u32, scale in 1..=3u32, quality in select(&["", "_q80"][..]),
        progressive in select(&["", ".progressive"][..]), second in select(&["", ".jpg", ".jpeg", ".JPG"][..]),
        center in select(&["_crop", "_crop_center"][..]), percent in any::<bool>(),
    ) {
        let grammar = Grammar::new(&Config::default()).unwrap();
        let at = if scale == 1 { String::new() } else { format!("@{scale}x") };
        let dir = if percent { "photos%2F%63at" } else { "photos/cat" };
        let (wide, high) = (width * scale, height * scale);
        for (size, key) in [
            (format!("_{width}x{height}{quality}{at}"), format!("photos/cat.png/{wide}x{high}_q80.jpg")),
            (format!("_{width}x{center}{quality}{at}"), format!("photos/cat.png/{wide}x_q80.jpg")),
            (format!("_{width}x{height}{center}{quality}{at}"), format!("photos/cat.png/{wide}x{high}_crop_center_q80.jpg")),
            (format!("-{width}x{height}{quality}{at}"), format!("photos/cat.png/{wide}x{high}_crop_center_q80.jpg")),
        ] {
            let second = if second.is_empty() { ".jpg" } else { second };
            let path = format!("/{dir}{size}{progressive}.png{second}");
            let variant = parsed(&grammar, &path);
            prop_assert_eq!(variant.map(|variant| variant.storage_key().to_string()), Some(key), "{}", path);
        }
    }

    #[test]
    fn the_literal_key_is_the_requested_path(grammar in grammar(), key in original()) {
        let encoded = key.as_str().replace('%', "%25").replace('?', "%3F");
        let literal = match grammar.parse(&format!("/{encoded}?v=1")) {
            Ok(ParsedPath::Object(key, _)) => Some(key),
            Ok(ParsedPath::Variant(addressed)) => Some(addressed.literal_key),
            Err(_) => None,
        };
        prop_assert_eq!(literal, Some(key));
    }

    #[test]
    fn no_path_panics_or_leads_out_of_its_folder(grammar in grammar(), path in prop_oneof![soup(), ".*"]) {
        for path in [path.clone(), format!("/{path}")] {
            let keys = match grammar.parse(&path) {
                Ok(ParsedPath::Object(key, _)) => vec![key],
                Ok(ParsedPath::Variant(addressed)) => vec![addressed.variant.original, addressed.literal_key],
                Err(error) => { prop_assert!(!error.to_string().is_empty()); vec![] }
            };
            for key in keys {
                prop_assert!(ObjectKey::new(key.as_str()).is_ok());
                prop_assert!(!key.as_str().split('/').any(|segment| segment.starts_with(".resized")));
            }
        }
    }
}
