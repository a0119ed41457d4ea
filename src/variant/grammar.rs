//! The URL grammar of one configuration, built once. Its verbs are in `parse` and `canonical`.

use super::reserved_keys::ReservedKeys;
use super::sizes::Sizes;
use super::suffix::Suffixes;
use super::{Encoding, Format, Quality, Variant};
use crate::config::Config;

/// How this configuration's paths are read and written.
#[derive(Debug, Clone)]
pub struct Grammar {
    pub(super) suffixes: Suffixes,
    pub(super) reserved_keys: ReservedKeys,
    /// Whether `/dir/300x300/name.jpeg` is read too.
    pub(super) segment: bool,
    pub(super) sizes: Sizes,
    jpeg: Quality,
    webp: Quality,
    avif: Quality,
    negotiated: Vec<Format>,
}

/// A setting that the grammar cannot be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct GrammarError {
    /// As in config.toml, such as `presets.small`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl Grammar {
    /// Builds the grammar from `limits.max_side`, `[presets]`, `[sizes]`, `urls.segment`, `[formats]` and the two stores.
    ///
    /// # Errors
    /// Names the key of the first setting that cannot be used.
    pub fn new(config: &Config) -> Result<Self, GrammarError> {
        let mut suffixes = Suffixes::new(config.limits.max_side.get().into());
        for (name, text) in &config.presets {
            suffixes.add_preset(name, text).map_err(|problem| GrammarError::at(&format!("presets.{name}"), problem))?;
        }
        let reserved_keys = ReservedKeys::new(&config.originals.store, &config.variants.store)
            .map_err(|problem| GrammarError::at("variants.store", problem))?;
        Ok(Self {
            sizes: Sizes::new(config, &suffixes)?,
            suffixes,
            reserved_keys,
            segment: config.urls.segment,
            jpeg: quality("formats.jpeg_quality", config.formats.jpeg_quality)?,
            webp: quality("formats.webp_quality", config.formats.webp_quality)?,
            avif: quality("formats.avif_quality", config.formats.avif_quality)?,
            negotiated: negotiated(&config.formats.negotiate)?,
        })
    }

    /// The formats to choose from by the client's `Accept`, as listed in `formats.negotiate`; empty is off.
    #[must_use]
    pub fn negotiated(&self) -> &[Format] {
        &self.negotiated
    }

    /// `format` at `asked` quality, else at the configured one. PNG and GIF drop the quality: one variant, one key.
    pub(super) fn encoding(&self, format: Format, asked: Option<Quality>) -> Encoding {
        match format {
            Format::Jpeg => Encoding::Jpeg(asked.unwrap_or(self.jpeg)),
            Format::Png => Encoding::Png,
            Format::WebP => Encoding::WebP(asked.unwrap_or(self.webp)),
            Format::Avif => Encoding::Avif(asked.unwrap_or(self.avif)),
            Format::Gif => Encoding::Gif,
        }
    }
}

impl Variant {
    /// The same picture in another format.
    ///
    /// A quality other than its format's default was asked for, and is kept; a default one becomes the default of the
    /// new format, as the same number means different things to different encoders.
    #[must_use]
    pub fn with_format(&self, format: Format, grammar: &Grammar) -> Self {
        let usual = grammar.encoding(self.encoding.format(), None) == self.encoding;
        let asked = if usual { None } else { self.encoding.quality() };
        Self { encoding: grammar.encoding(format, asked), ..self.clone() }
    }
}

impl GrammarError {
    fn at(key: &str, problem: impl Into<String>) -> Self {
        Self { key: key.to_owned(), problem: problem.into() }
    }
}

fn quality(key: &str, n: u8) -> Result<Quality, GrammarError> {
    Quality::new(n).ok_or_else(|| GrammarError::at(key, "must be 1 to 100"))
}

/// The names of what is written, for an operator.
fn written() -> String {
    Format::SUPPORTED.iter().map(|format| format!("{:?}", format.extension())).collect::<Vec<_>>().join(", ")
}

fn negotiated(names: &[String]) -> Result<Vec<Format>, GrammarError> {
    let mut formats = Vec::new();
    for name in names {
        let Some(format) = Format::from_extension(name) else {
            let problem = format!("{name:?} is no format that is written; take from {}", written());
            return Err(GrammarError::at("formats.negotiate", problem));
        };
        if formats.contains(&format) {
            return Err(GrammarError::at("formats.negotiate", format!("{name:?} is listed twice")));
        }
        formats.push(format);
    }
    Ok(formats)
}
