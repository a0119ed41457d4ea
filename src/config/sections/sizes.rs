//! Sizes that URLs may request: `[sizes]`.

use serde::{Deserialize, Serialize};

/// Kind of rule for the allowed sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SizePolicy {
    /// Every size within `[limits]`.
    #[default]
    Any,
    /// The sizes in a list.
    List,
    /// Sides that are multiples of a step. Other sizes are redirected to the next multiple.
    Step,
    /// The sizes in `[presets]`, also at twice and three times their sides.
    Presets,
}

/// The rule for all keys, and separate rules for keys with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sizes {
    pub policy: SizePolicy,
    /// Sizes such as `300x200`, `300x` or `x200`, each with any crop.
    pub list: Vec<String>,
    /// In pixels.
    pub step: u16,
    /// Qualities that URLs may request in addition to those in `[formats]`. No effect if any size is allowed.
    pub qualities: Vec<u8>,
    /// Separate rules. The longest matching prefix applies.
    pub prefixes: Vec<SizesBelow>,
}

/// The rule for keys with a prefix. It inherits nothing from the rule for all keys.
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
    /// All rules. The one for all keys has an empty prefix.
    pub fn rules(&self) -> impl Iterator<Item = SizesBelow> + '_ {
        let Self { policy, list, step, qualities, prefixes } = self.clone();
        std::iter::once(SizesBelow { prefix: String::new(), policy, list, step, qualities }).chain(prefixes)
    }
}
