//! Sizes that URLs may request, according to `[sizes]`. The decision depends only on the variant and is cached with its
//! path.

use std::num::NonZeroU32;

use super::default_qualities::DefaultQualities;
use super::grammar::GrammarError;
use super::suffix::{SizeSpec, Suffixes};
use super::{Encoding, Geometry, Quality, Side, Variant};
use crate::config::{Config, SizePolicy, SizesBelow};

/// The decision of `[sizes]` about a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeDecision {
    Allowed,
    /// The client is redirected to this allowed variant.
    RedirectTo(Variant),
    /// The variant is refused. Contains the nearest allowed variant.
    Refused(Variant),
}

/// The rules, sorted by descending length of their prefixes.
#[derive(Debug, Clone)]
pub(super) struct SizeRules {
    rules: Vec<SizeRule>,
}

#[derive(Debug, Clone)]
struct SizeRule {
    prefix: String,
    allowed: AllowedSizes,
    qualities: Vec<Quality>,
}

/// Allowed geometries, and for presets their qualities.
#[derive(Debug, Clone)]
enum AllowedSizes {
    Any,
    List(Vec<Sides>),
    /// Multiples of the step up to `side_max`, which is a multiple itself.
    Step {
        step: u32,
        side_max: u32,
    },
    Presets(Vec<SizeSpec>),
}

/// Width and height; a free side is `None`.
type Sides = (Option<Side>, Option<Side>);

impl SizeRules {
    /// # Errors
    /// The first invalid setting.
    pub(super) fn new(config: &Config, suffixes: &Suffixes) -> Result<Self, GrammarError> {
        let mut rules = Vec::new();
        for (n, below) in config.sizes.rules().enumerate() {
            let section = if n == 0 { "sizes".to_owned() } else { format!("sizes.prefixes ({:?})", below.prefix) };
            let refused = |(key, problem): (&str, String)| GrammarError { key: format!("{section}.{key}"), problem };
            let allowed = AllowedSizes::new(&below, config, suffixes).map_err(refused)?;
            let qualities = below.qualities.iter().map(|n| Quality::new(*n)).collect::<Option<_>>();
            let qualities = qualities.ok_or_else(|| refused(("qualities", "must be 1 to 100".into())))?;
            rules.push(SizeRule { prefix: below.prefix, allowed, qualities });
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        Ok(Self { rules })
    }

    fn rule(&self, variant: &Variant) -> Option<&SizeRule> {
        self.rules.iter().find(|rule| variant.original.as_str().starts_with(&rule.prefix))
    }
}

impl AllowedSizes {
    fn new(below: &SizesBelow, config: &Config, suffixes: &Suffixes) -> Result<Self, (&'static str, String)> {
        let side_max = u32::from(config.limits.max_side.get());
        match below.policy {
            SizePolicy::Any => Ok(Self::Any),
            SizePolicy::List if below.list.is_empty() => Err(("list", "is required by policy = \"list\"".into())),
            SizePolicy::List => {
                below.list.iter().map(|text| parse_listed(text, suffixes)).collect::<Result<_, _>>().map(Self::List)
            }
            SizePolicy::Step => {
                let step = u32::from(below.step);
                if step == 0 || step > side_max {
                    return Err(("step", format!("must be 1 to limits.max_side = {side_max} with policy = \"step\"")));
                }
                Ok(Self::Step { step, side_max: side_max / step * step })
            }
            SizePolicy::Presets if config.presets.is_empty() => {
                Err(("policy", "is \"presets\" but [presets] is empty: add a preset".into()))
            }
            SizePolicy::Presets => {
                let names = config.presets.keys().flat_map(|name| (1..=3).map(move |scale| (name, scale)));
                let specs = names.filter_map(|(name, scale)| {
                    let suffix = if scale == 1 { format!("a_{name}") } else { format!("a_{name}@{scale}x") };
                    suffixes.parse_trailing(&suffix)?.1.ok()
                });
                Ok(Self::Presets(specs.collect()))
            }
        }
    }
}

/// Parses an entry of `sizes.list`.
fn parse_listed(text: &str, suffixes: &Suffixes) -> Result<Sides, (&'static str, String)> {
    match suffixes.parse_exact(text) {
        Some(Ok(SizeSpec { geometry: Geometry::Fit { width, height }, quality: None })) => Ok((width, height)),
        Some(Err(_)) => Err(("list", format!("{text:?} has a side that exceeds limits.max_side"))),
        Some(Ok(_)) | None => {
            Err(("list", format!("{text:?} is not a size; write 300x200, 300x or x200, which allows any crop of it")))
        }
    }
}

impl SizeRules {
    pub(super) fn decide(&self, variant: &Variant, qualities: DefaultQualities) -> SizeDecision {
        let Some(rule) = self.rule(variant) else { return SizeDecision::Allowed };
        let nearest = match &rule.allowed {
            AllowedSizes::Any => return SizeDecision::Allowed,
            AllowedSizes::List(list) => nearest_listed(variant, list, &rule.qualities, qualities),
            AllowedSizes::Step { step, side_max } => {
                let geometry = variant.geometry.map(|side| next_multiple(side, *step, *side_max));
                let encoding = nearest_quality(variant.encoding, &rule.qualities, qualities);
                let rounded = Variant { geometry, encoding, ..variant.clone() };
                if encoding == variant.encoding && geometry != variant.geometry {
                    return SizeDecision::RedirectTo(rounded);
                }
                rounded
            }
            AllowedSizes::Presets(specs) => nearest_preset(variant, specs, qualities),
        };
        if nearest == *variant { SizeDecision::Allowed } else { SizeDecision::Refused(nearest) }
    }
}

/// The nearest allowed size in a list.
fn nearest_listed(
    variant: &Variant,
    list: &[Sides],
    listed_qualities: &[Quality],
    defaults: DefaultQualities,
) -> Variant {
    let sides = variant.geometry.sides();
    let nearest = list.iter().copied().min_by_key(|listed| distance(*listed, sides)).unwrap_or(sides);
    let geometry = match (nearest, variant.geometry) {
        ((Some(width), Some(height)), Geometry::Crop { region, .. }) => Geometry::Crop { width, height, region },
        ((width, height), _) => Geometry::Fit { width, height },
    };
    Variant { geometry, encoding: nearest_quality(variant.encoding, listed_qualities, defaults), ..variant.clone() }
}

/// The nearest preset.
fn nearest_preset(variant: &Variant, specs: &[SizeSpec], defaults: DefaultQualities) -> Variant {
    let preset = |spec: &SizeSpec| Variant {
        geometry: spec.geometry,
        encoding: defaults.encoding(variant.encoding.format(), spec.quality),
        ..variant.clone()
    };
    let sides = variant.geometry.sides();
    // Several presets may have the same sides with different crops or qualities. The variant itself is preferred.
    let preference = |preset: &Variant| (preset != variant, distance(preset.geometry.sides(), sides));
    specs.iter().map(preset).min_by_key(preference).unwrap_or_else(|| variant.clone())
}

/// The encoding with the nearest allowed quality: the configured one or a listed one.
fn nearest_quality(encoding: Encoding, listed: &[Quality], defaults: DefaultQualities) -> Encoding {
    let format = encoding.format();
    let default = defaults.encoding(format, None);
    let difference = |one: &Encoding| match (one.quality(), encoding.quality()) {
        (Some(one), Some(asked)) => one.get().abs_diff(asked.get()),
        _ => 0,
    };
    let others = listed.iter().map(|quality| defaults.encoding(format, Some(*quality)));
    std::iter::once(default).chain(others).min_by_key(difference).unwrap_or(default)
}

/// The next multiple of `step`, at most `side_max`.
fn next_multiple(side: Side, step: u32, side_max: u32) -> Side {
    let next = side.get().div_ceil(step).saturating_mul(step).min(side_max);
    NonZeroU32::new(next).unwrap_or(side)
}

/// The distance between two sizes: first the number of sides that only one of them has, then the difference in pixels.
fn distance(one: Sides, other: Sides) -> (u32, u32) {
    let side_distance = |one: Option<Side>, other: Option<Side>| match (one, other) {
        (Some(one), Some(other)) => (0, one.get().abs_diff(other.get())),
        (None, None) => (0, 0),
        _ => (1, 0),
    };
    let (width, height) = (side_distance(one.0, other.0), side_distance(one.1, other.1));
    (width.0 + height.0, width.1.saturating_add(height.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::variant::{Grammar, ParsedPath};

    fn grammar(sizes: config::Sizes) -> Result<Grammar, GrammarError> {
        let mut config = Config { sizes, ..Config::default() };
        config.presets.insert("small".into(), "300x300_crop".into());
        config.presets.insert("tiny".into(), "50x_q60".into());
        Grammar::new(&config)
    }

    /// `ok`, `> PATH` for a redirect, or `! PATH` for the nearest size of a refusal.
    fn decision(grammar: &Grammar, path: &str) -> String {
        match grammar.parse(path) {
            Ok(ParsedPath::Variant(addressed)) => match addressed.size_decision {
                SizeDecision::Allowed => "ok".into(),
                SizeDecision::RedirectTo(other) => format!("> {}", grammar.canonical_path(&other)),
                SizeDecision::Refused(nearest) => format!("! {}", grammar.canonical_path(&nearest)),
            },
            other => panic!("{path}: {other:?}"),
        }
    }

    #[track_caller]
    fn check(sizes: config::Sizes, table: &[(&str, &str)]) {
        let grammar = grammar(sizes).unwrap();
        for (path, expected) in table {
            assert_eq!(decision(&grammar, path), *expected, "{path}");
            if let Some(other) = expected.strip_prefix("> ").or(expected.strip_prefix("! ")) {
                assert_eq!(decision(&grammar, other), "ok", "{path} leads to {other}");
            }
        }
    }

    fn rule(policy: SizePolicy) -> config::Sizes {
        config::Sizes {
            policy,
            list: vec!["300x200".into(), "640x".into(), "100x100".into()],
            step: 50,
            ..Default::default()
        }
    }

    #[test]
    fn any_size_and_quality_is_allowed_by_default() {
        check(config::Sizes::default(), &[("/cat_1x1.jpg", "ok"), ("/cat_4096x_q7.jpg", "ok")]);
    }

    #[test]
    fn a_list_allows_its_sizes_with_any_crop_and_refusals_name_the_nearest() {
        check(
            rule(SizePolicy::List),
            &[
                ("/cat_300x200.jpg", "ok"),
                ("/cat-300x200.jpg", "ok"),
                ("/cat_300x200_crop_top.png.webp", "ok"),
                ("/cat_150x100@2x.jpg", "ok"),
                ("/cat_320x@2x.jpg", "ok"),
                ("/cat_301x200.jpg", "! /cat_300x200_q80.jpg"),
                ("/cat_90x90_crop_top.jpg", "! /cat_100x100_crop_top_q80.jpg"),
                ("/cat_700x.jpg", "! /cat_640x_q80.jpg"),
                ("/cat_x200.jpg", "! /cat_300x200_q80.jpg"),
                ("/cat_300x200_q81.jpg", "! /cat_300x200_q80.jpg"),
                ("/cat_small.jpg", "! /cat_300x200_crop_center_q80.jpg"),
            ],
        );
    }

    #[test]
    fn listed_qualities_are_allowed() {
        let sizes = config::Sizes { qualities: vec![50, 95], ..rule(SizePolicy::List) };
        check(
            sizes,
            &[
                ("/cat_640x_q50.jpg", "ok"),
                ("/cat_640x_q95.webp", "ok"),
                ("/cat_640x_q60.jpg", "! /cat_640x_q50.jpg"),
                ("/cat_640x_q60.png", "ok"),
            ],
        );
    }

    #[test]
    fn a_step_redirects_to_the_next_multiple_within_the_limit() {
        check(
            rule(SizePolicy::Step),
            &[
                ("/cat_300x.jpg", "ok"),
                ("/cat_301x.jpg", "> /cat_350x_q80.jpg"),
                ("/a/cat_1x333_crop_left.png", "> /a/cat_50x350_crop_left.png"),
                ("/cat_4096x.jpg", "> /cat_4050x_q80.jpg"),
                ("/cat_300x_q1.jpg", "! /cat_300x_q80.jpg"),
            ],
        );
    }

    #[test]
    fn presets_are_allowed_with_their_crop_and_quality_at_three_densities() {
        check(
            rule(SizePolicy::Presets),
            &[
                ("/cat_small.jpg", "ok"),
                ("/cat_small@2x.jpg", "ok"),
                ("/cat-300x300.jpg", "ok"),
                ("/cat_tiny.webp", "ok"),
                ("/cat_tiny_q61.jpg", "! /cat_50x_q60.jpg"),
                ("/cat_300x300.jpg", "! /cat_300x300_crop_center_q80.jpg"),
                ("/cat_160x.jpg", "! /cat_150x_q60.jpg"),
            ],
        );
    }

    #[test]
    fn the_rule_of_the_longest_prefix_applies() {
        let below = |prefix: &str, policy| SizesBelow {
            prefix: prefix.into(),
            policy,
            list: vec!["10x".into()],
            step: 100,
            qualities: vec![],
        };
        let prefixes = vec![below("shop/", SizePolicy::Any), below("shop/old/", SizePolicy::List)];
        check(
            config::Sizes { prefixes, ..rule(SizePolicy::Step) },
            &[
                ("/cat_99x.jpg", "> /cat_100x_q80.jpg"),
                ("/shop/cat_99x.jpg", "ok"),
                ("/shop/old/cat_99x.jpg", "! /shop/old/cat_10x_q80.jpg"),
                ("/shop/old/cat_10x.jpg", "ok"),
            ],
        );
    }

    #[test]
    fn invalid_rules_are_refused_with_their_key() {
        let with = |change: &dyn Fn(&mut config::Sizes), policy| {
            let mut sizes = rule(policy);
            change(&mut sizes);
            grammar(sizes).unwrap_err().key
        };
        assert_eq!(with(&|sizes| sizes.list.clear(), SizePolicy::List), "sizes.list");
        for entry in ["300", "300x300_crop", "300x_q80", "9999x", ""] {
            assert_eq!(with(&|sizes| sizes.list = vec![entry.into()], SizePolicy::List), "sizes.list", "{entry}");
        }
        assert_eq!(with(&|sizes| sizes.step = 0, SizePolicy::Step), "sizes.step");
        assert_eq!(with(&|sizes| sizes.step = 5000, SizePolicy::Step), "sizes.step");
        assert_eq!(with(&|sizes| sizes.qualities = vec![101], SizePolicy::Step), "sizes.qualities");
        let config = Config { sizes: rule(SizePolicy::Presets), ..Config::default() };
        assert_eq!(Grammar::new(&config).unwrap_err().key, "sizes.policy");
    }
}
