//! Which URLs name variants, and what their answers look like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a variant is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The variant's bytes.
    Stream,
    /// A redirect to the stored variant's public URL.
    Redirect,
}

/// What answers look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    pub mode: Mode,
    pub cache_control: String,
    pub redirect_cache_control: String,
    pub original_cache_control: String,
    pub error_cache_control: String,
    /// 301, 302, 307 or 308.
    pub redirect_status: u16,
    /// `Access-Control-Allow-Origin` on every image answer; empty sends none.
    pub allow_origin: String,
    /// `Timing-Allow-Origin`; empty sends none.
    pub timing_allow_origin: String,
    /// `Cross-Origin-Resource-Policy`; empty sends none.
    pub resource_policy: String,
    /// Further headers of every image answer.
    pub headers: BTreeMap<String, String>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            mode: Mode::Stream,
            cache_control: "public, max-age=86400".into(),
            redirect_cache_control: "public, max-age=86400".into(),
            original_cache_control: "public, max-age=3600".into(),
            error_cache_control: "public, max-age=10".into(),
            redirect_status: 301,
            allow_origin: "*".into(),
            timing_allow_origin: "*".into(),
            resource_policy: "cross-origin".into(),
            headers: BTreeMap::new(),
        }
    }
}

/// Which shapes of URL name a variant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Urls {
    /// Also take `/dir/300x300/name.jpeg` for `/dir/name.jpeg`.
    pub segment: bool,
}

/// Qualities, 1 to 100, where the URL names none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Formats {
    /// Formats to choose from by the client's `Accept` where the URL does not convert: `["webp"]`. Empty is off.
    pub negotiate: Vec<String>,
    pub jpeg_quality: u8,
    pub webp_quality: u8,
    pub avif_quality: u8,
    /// Whether JPEGs are progressive.
    pub jpeg_progressive: bool,
    /// The most colours of a PNG, 2 to 256; 0 is all there are.
    pub png_colours: u16,
    /// Whether pictures are made small in light rather than in numbers.
    pub linear_light: bool,
    /// Whether AVIF originals are decoded, each by a process of its own.
    pub avif_originals: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self {
            negotiate: Vec::new(),
            jpeg_quality: 80,
            webp_quality: 80,
            avif_quality: 60,
            jpeg_progressive: false,
            png_colours: 0,
            linear_light: false,
            avif_originals: true,
        }
    }
}
