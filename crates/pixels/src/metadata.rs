//! The statements about authorship and license that variants keep: creator, credit line, copyright notice, usage terms, web
//! statement and the digital source type of the IPTC. All other metadata are dropped, positions first.
//!
//! They are read from XMP, else from IPTC-IIM, else from EXIF, and written as a short XMP packet. GIF variants have
//! none.

mod apple;
mod exif;
pub(crate) mod hdr;
mod iptc;
mod source;
mod text;
mod xmp;

pub(crate) use apple::AppleHeadroom;
pub(crate) use source::{jpeg_headroom, jpeg_packet};
use text::Text;
pub(crate) use xmp::packet;

use crate::codecs::Codec;

/// Maximum length of an XMP packet or of other metadata that is parsed, in bytes. Longer ones are ignored.
const METADATA_BYTES_MAX: usize = 256 << 10;

/// Maximum number of creators.
const CREATORS_MAX: usize = 4;

/// Statements about authorship and license (IPTC Photo Metadata Standard 2024).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Copyright {
    creators: Vec<Text>,
    credit: Option<Text>,
    notice: Option<Text>,
    usage_terms: Option<Text>,
    web_statement: Option<Text>,
    digital_source_type: Option<Text>,
}

impl Copyright {
    /// Completes the statements by those of another source.
    fn or(self, other: Self) -> Self {
        Self {
            creators: if self.creators.is_empty() { other.creators } else { self.creators },
            credit: self.credit.or(other.credit),
            notice: self.notice.or(other.notice),
            usage_terms: self.usage_terms.or(other.usage_terms),
            web_statement: self.web_statement.or(other.web_statement),
            digital_source_type: self.digital_source_type.or(other.digital_source_type),
        }
    }

    fn add_creator(&mut self, creator: Text) {
        if self.creators.len() < CREATORS_MAX && !self.creators.contains(&creator) {
            self.creators.push(creator);
        }
    }
}

/// The statements of an original as an `rdf:Description` of at most 56 KB. `None` if it has none. Damaged metadata are
/// ignored.
pub(crate) fn copyright(original: &[u8], codec: Codec) -> Option<String> {
    let found = source::Metadata::find(original, codec);
    let xmp = found.xmp.as_deref().map(xmp::read).unwrap_or_default();
    let iptc = found.iptc.map(iptc::read).unwrap_or_default();
    let exif = found.exif.as_deref().map(exif::read).unwrap_or_default();
    xmp::write(&xmp.or(iptc).or(exif))
}
