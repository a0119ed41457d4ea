//! The URL grammar of one configuration. Its methods are in `parse` and `canonical`.

use super::default_qualities::DefaultQualities;
use super::quality_scale::equal_quality;
use super::reserved_keys::ReservedKeys;
use super::sizes::{SizeDecision, SizeRules};
use super::suffix::Suffixes;
use super::{Format, Variant};
use crate::config::Config;

/// Parses and prints the paths of one configuration.
#[derive(Debug, Clone)]
pub struct Grammar {
    pub(super) suffixes: Suffixes,
    pub(super) reserved_keys: ReservedKeys,
    /// Also accepts `/dir/300x300/name.jpeg`.
    pub(super) segment: bool,
    pub(super) size_rules: SizeRules,
    pub(super) default_qualities: DefaultQualities,
    negotiated: Vec<Format>,
    avif_later: bool,
}

/// An invalid setting of the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct GrammarError {
    /// Key in config.toml, such as `presets.small`.
    pub key: String,
    /// Description of the problem and its solution.
    pub problem: String,
}

impl Grammar {
    /// Builds the grammar from `limits.max_side`, `[presets]`, `[sizes]`, `urls.segment`, `[formats]` and the two stores.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn new(config: &Config) -> Result<Self, GrammarError> {
        let mut suffixes = Suffixes::new(config.limits.max_side.get().into());
        for (name, text) in &config.presets {
            suffixes.add_preset(name, text).map_err(|problem| GrammarError::at(&format!("presets.{name}"), problem))?;
        }
        let reserved_keys = ReservedKeys::new(&config.originals.store, &config.variants.store)
            .map_err(|problem| GrammarError::at("variants.store", problem))?;
        Ok(Self {
            size_rules: SizeRules::new(config, &suffixes)?,
            suffixes,
            reserved_keys,
            segment: config.urls.segment,
            default_qualities: DefaultQualities::new(&config.formats),
            negotiated: config.formats.negotiate.clone(),
            avif_later: config.formats.avif_later,
        })
    }

    /// Formats from which the `Accept` header selects one, best first. Empty disables content negotiation.
    #[must_use]
    pub fn negotiated(&self) -> &[Format] {
        &self.negotiated
    }

    /// True if negotiated variants in this format are made later, because they take long (`formats.avif_later`).
    #[must_use]
    pub fn is_made_later(&self, format: Format) -> bool {
        self.avif_later && format == Format::Avif
    }

    /// The formats that `Accept` may select for a URL in the format `in_url`, best first. If that supports animation, the original may be
    /// animated, so only formats that support animation are offered.
    pub fn offers(&self, in_url: Format) -> impl Iterator<Item = Format> + '_ {
        let may_be_animated = in_url.supports_animation();
        self.negotiated.iter().copied().filter(move |offer| offer.supports_animation() || !may_be_animated)
    }

    /// Decides if clients may request `variant`.
    #[must_use]
    pub fn size_decision(&self, variant: &Variant) -> SizeDecision {
        self.size_rules.decide(variant, self.default_qualities)
    }
}

impl Variant {
    /// The same image in another format.
    ///
    /// A quality that the URL requested becomes the one that looks the same in the new format, because the scales of the formats
    /// differ. The default quality of a format becomes the default quality of the new format.
    #[must_use]
    pub fn with_format(&self, format: Format, grammar: &Grammar) -> Self {
        let qualities = grammar.default_qualities;
        let is_default = qualities.encoding(self.encoding.format(), None) == self.encoding;
        let requested = if is_default { None } else { self.encoding.quality() };
        let quality = requested.map(|quality| equal_quality(quality, self.encoding.format(), format));
        Self { encoding: qualities.encoding(format, quality), ..self.clone() }
    }
}

impl GrammarError {
    fn at(key: &str, problem: impl Into<String>) -> Self {
        Self { key: key.to_owned(), problem: problem.into() }
    }
}
