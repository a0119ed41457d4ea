//! Gain maps: a second image in a JPEG, from which viewers with an HDR screen compute an HDR rendition (Android, Ultra HDR
//! Image Format 1.1; ISO 21496-1; Apple's cameras).

use std::ops::Range;

use crate::codec::jpeg;
use crate::codec::jpeg::multi_picture::other_images;
use crate::codec::jpeg::segments::segments;
use crate::encoding::Encoding;
use crate::geometry::Geometry;
use crate::header::{Header, PlanarHeader};
use crate::limits::{ColorPolicy, EncodeOptions, Limits};
use crate::metadata::hdr::GainMapXmp;
use crate::metadata::{AppleHeadroom, jpeg_headroom, jpeg_packet};
use crate::output::OutputSpec;
use crate::transform::color::{Conversion, Gamut};

/// Marks metadata of ISO 21496-1 in a segment APP2 (annex C).
const ISO: &[u8] = b"urn:iso:std:iso:ts:21496:-1\0";

/// Maximum length of these metadata in bytes. Those of three channels have less than 200.
const ISO_BYTES_MAX: usize = 1 << 10;

/// Maximum length of a profile in bytes, which fits one segment.
const PROFILE_BYTES_MAX: usize = 60_000;

/// A gain map that was found in a file.
#[derive(Debug, Clone)]
pub(crate) struct GainMap {
    /// Position of the image in the file.
    range: Range<usize>,
    pub(crate) header: Header,
    /// The ICC profile of the base image, unless that is in sRGB.
    pub(crate) profile: Option<Vec<u8>>,
    /// Its description in XMP.
    pub(crate) xmp: Option<GainMapXmp>,
    /// The headroom of a map of an Apple camera.
    pub(crate) headroom: Option<AppleHeadroom>,
}

impl GainMap {
    /// The request for the whole map, for [`Header::working_bytes`] and decoding.
    pub(crate) const WHOLE: OutputSpec =
        OutputSpec { geometry: Geometry::Fit { width: None, height: None }, encoding: Encoding::Png };

    /// Finds the gain map of a JPEG with `pixels` pixels. `profile` reads the ICC profile of the JPEG. `None` if there is
    /// no map that can be scaled as planes, it is larger than the image, or the profile is too long for one segment.
    pub(crate) fn find(
        original: &[u8],
        pixels: u64,
        profile: impl FnOnce() -> Option<Vec<u8>>,
        limits: &Limits,
    ) -> Option<Self> {
        // A gain map is a logarithm of light, which is scaled as it is, and does not have a gain map itself.
        let encode = EncodeOptions { linear_light: false, gain_maps: false, ..limits.encode };
        let limits = Limits { encode, ..*limits };
        let has_iso = iso(original).is_some();
        let headroom = jpeg_headroom(original);
        let (range, header, xmp) = other_images(original).into_iter().find_map(|range| {
            let file = original.get(range.clone())?;
            let xmp = jpeg_packet(file).and_then(|packet| GainMapXmp::read(&packet));
            let is_described_by_xmp = xmp.as_ref().is_some_and(|xmp| xmp.is_complete() || headroom.is_some());
            if !(is_described_by_xmp || has_iso && iso(file).is_some()) {
                return None;
            }
            let header = Header::read(file, &limits).ok()?;
            let map_pixels = u64::from(header.info.width) * u64::from(header.info.height);
            let is_planar = matches!(&header.planar, Some(PlanarHeader::Jpeg(jpeg)) if !jpeg::planar::is_cmyk(jpeg));
            (is_planar && map_pixels <= pixels).then_some((range, header, xmp))
        })?;
        let profile = profile();
        if profile.as_ref().is_some_and(|profile| profile.len() > PROFILE_BYTES_MAX) {
            return None;
        }
        let profile = profile.and_then(|profile| {
            let conversion = Conversion::from_icc(Some(&profile), 3, ColorPolicy::Keep);
            let short = Gamut::DisplayP3.icc_profile().filter(|_| conversion.is_display_p3());
            if conversion.is_none() { None } else { Some(short.map_or(profile, <[u8]>::to_vec)) }
        });
        let headroom = headroom.filter(|_| xmp.as_ref().is_some_and(|xmp| !xmp.is_of_adobe()));
        Some(Self { range, header, profile, xmp, headroom })
    }

    /// The file of the gain map.
    pub(crate) fn file<'a>(&self, original: &'a [u8]) -> &'a [u8] {
        original.get(self.range.clone()).unwrap_or_default()
    }
}

/// The payload of the segment with metadata of ISO 21496-1, of an image or of its gain map.
pub(crate) fn iso(file: &[u8]) -> Option<&[u8]> {
    let mut found = segments(file).filter(|(marker, data, _)| *marker == 0xE2 && data.starts_with(ISO));
    found.next().map(|(_, data, _)| data).filter(|data| data.len() <= ISO_BYTES_MAX)
}
