//! Which sizes URLs may ask for.

use serde::{Deserialize, Serialize};

/// How it is said which sizes may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SizePolicy {
    /// All, within `limits`.
    #[default]
    Any,
    /// Those listed.
    List,
    /// Sides that are multiples of a step; others are redirected to the next.
    Step,
    /// Those of `[presets]`, once, twice or three times.
    Presets,
}

/// The rule for all keys, and others for keys below prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sizes {
    pub policy: SizePolicy,
    /// Boxes such as `300x200`, `300x`, `x200`; with any crop.
    pub list: Vec<String>,
    /// In pixels.
    pub step: u16,
    /// Qualities that URLs may name beside those of `[formats]`, unless any size is allowed.
    pub qualities: Vec<u8>,
    /// Rules of their own; that of the longest prefix counts.
    pub prefixes: Vec<SizesBelow>,
}

/// A rule for keys that begin with a prefix. It takes nothing from the rule for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizesBelow {
    pub prefix: String,
    pub policy: SizePolicy,
    #[serde(default)]
    pub list: Vec<String>,
    #[serde(default)]
    pub step: u16,
    #[serde(default)]
    pub qualities: Vec<u8>,
}

impl Sizes {
    /// All rules, that for all keys as the one below the empty prefix.
    pub fn rules(&self) -> impl Iterator<Item = SizesBelow> + '_ {
        let Self { policy, list, step, qualities, prefixes } = self.clone();
        std::iter::once(SizesBelow { prefix: String::new(), policy, list, step, qualities }).chain(prefixes)
    }
}
