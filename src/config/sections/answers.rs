//! URLs, responses and formats: `[answers]`, `[urls]` and `[formats]`.

use std::fmt;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE,
    ETAG, LAST_MODIFIED, LOCATION, TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pixels::{AvifDepth, Codecs, ColorPolicy, Format, JpegEffort, PngEffort, Quality, WebpEffort};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::auto::Auto;
use crate::config::serde_with::{codecs, formats, header_value, optional_header_value, quality, redirect_status};

/// The response to a request for a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The variant's bytes.
    Stream,
    /// A redirect to the public URL of the stored variant.
    Redirect,
}

/// Response headers and the status of redirects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    pub mode: Mode,
    #[serde(with = "header_value")]
    pub cache_control: HeaderValue,
    #[serde(with = "header_value")]
    pub redirect_cache_control: HeaderValue,
    #[serde(with = "header_value")]
    pub original_cache_control: HeaderValue,
    #[serde(with = "header_value")]
    pub error_cache_control: HeaderValue,
    #[serde(with = "redirect_status")]
    pub redirect_status: StatusCode,
    /// `Access-Control-Allow-Origin` of images; `None`, written `""`, omits it.
    #[serde(with = "optional_header_value")]
    pub allow_origin: Option<HeaderValue>,
    /// Additional headers of images and redirects.
    pub headers: AdditionalHeaders,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            mode: Mode::Stream,
            cache_control: HeaderValue::from_static("public, max-age=86400"),
            redirect_cache_control: HeaderValue::from_static("public, max-age=86400"),
            original_cache_control: HeaderValue::from_static("public, max-age=3600"),
            error_cache_control: HeaderValue::from_static("public, max-age=10"),
            redirect_status: StatusCode::MOVED_PERMANENTLY,
            allow_origin: Some(HeaderValue::from_static("*")),
            headers: AdditionalHeaders::default(),
        }
    }
}

/// Headers that the server computes. A configured value would contradict the computed one.
const COMPUTED: [HeaderName; 15] = [
    ACCEPT_RANGES,
    CACHE_CONTROL,
    HeaderName::from_static("cache-status"),
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    DATE,
    ETAG,
    LAST_MODIFIED,
    LOCATION,
    HeaderName::from_static("server-timing"),
    TRANSFER_ENCODING,
    VARY,
];

/// Headers that the configuration sets in responses. An empty value removes the header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdditionalHeaders(HeaderMap);

impl AdditionalHeaders {
    /// Adds a header.
    ///
    /// # Errors
    /// The name is invalid or names a header that the server computes, or the value is invalid. The error is advice for
    /// the operator.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Ok(header) = HeaderName::try_from(name) else { return Err(format!("{name:?} is not a header name")) };
        if COMPUTED.contains(&header) {
            return Err(format!("{name:?} is computed by the server; remove it"));
        }
        let value = HeaderValue::try_from(value).map_err(|_| format!("{name:?} has an invalid value"))?;
        self.0.insert(header, value);
        Ok(())
    }

    /// Applies the headers to those of a response.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if value.is_empty() {
                headers.remove(name);
            } else {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl Serialize for AdditionalHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())))
    }
}

impl<'de> Deserialize<'de> for AdditionalHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = AdditionalHeaders;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<AdditionalHeaders, A::Error> {
                let mut headers = AdditionalHeaders::default();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    headers.insert(&name, &value).map_err(A::Error::custom)?;
                }
                Ok(headers)
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// URL forms that name a variant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Urls {
    /// Accepts `/dir/300x300/name.jpeg` as a size of `/dir/name.jpeg`.
    pub segment: bool,
}

/// Content negotiation and encoder options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Formats {
    /// Formats, best first, from which the `Accept` header selects one. A URL with an explicit output format, such as
    /// `cat_300x.jpg.webp`, is not negotiated. Empty disables negotiation.
    #[serde(with = "formats")]
    pub negotiate: Vec<Format>,
    /// A negotiated AVIF that is not stored yet is made in the background, and the first clients get the next format.
    pub avif_later: bool,
    /// Quality of JPEGs if the URL specifies no quality. The next three fields are the qualities of WebP, AVIF and JPEG XL.
    #[serde(with = "quality")]
    pub jpeg_quality: Quality,
    #[serde(with = "quality")]
    pub webp_quality: Quality,
    #[serde(with = "quality")]
    pub avif_quality: Quality,
    #[serde(with = "quality")]
    pub jxl_quality: Quality,
    /// Bits per sample of AVIF variants; `Computed` means those of the original, up to 10.
    pub avif_depth: Auto<AvifDepth>,
    pub jpeg_progressive: bool,
    pub jpeg_effort: JpegEffort,
    pub webp_effort: WebpEffort,
    pub png_effort: PngEffort,
    /// Maximum number of colors in a PNG, 2 to 256; 0 keeps all.
    pub png_colors: u16,
    /// Scales in linear light instead of sRGB values.
    pub linear_light: bool,
    /// Colors outside of sRGB.
    pub color: ColorPolicy,
    /// Keeps statements about authorship and license.
    pub keep_copyright: bool,
    /// Keeps gain maps in JPEG.
    pub gain_maps: bool,
    /// Formats of originals that are decoded.
    #[serde(with = "codecs")]
    pub originals: Codecs,
    /// Rasterizes and sanitizes SVG originals.
    pub svg: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self {
            negotiate: Vec::new(),
            avif_later: true,
            jpeg_quality: default_quality(80),
            webp_quality: default_quality(80),
            avif_quality: default_quality(60),
            jxl_quality: default_quality(80),
            avif_depth: Auto::Computed,
            jpeg_progressive: false,
            jpeg_effort: JpegEffort::default(),
            webp_effort: WebpEffort::default(),
            png_effort: PngEffort::default(),
            png_colors: 0,
            linear_light: false,
            color: ColorPolicy::Keep,
            keep_copyright: true,
            gain_maps: false,
            originals: Codecs::DEFAULT,
            svg: false,
        }
    }
}

fn default_quality(quality: u8) -> Quality {
    Quality::new(quality).unwrap_or_else(|| unreachable!("{quality} is not a quality"))
}
