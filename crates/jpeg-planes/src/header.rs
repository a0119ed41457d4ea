//! The part of a file before its first scan: size, components, color model, EXIF and ICC segments.

use std::ops::Range;

use planes::{Error, Limits};

use crate::marker;
use crate::options::{Scale, Scales};
use crate::segments::{Segment, SegmentReader};

/// The meaning of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorModel {
    /// One luma component.
    Gray,
    /// Full-range luma and two color differences, by the matrix of ITU-R BT.601 (JFIF 1.02; ITU-T T.871).
    YCbCr,
    /// Red, green and blue: the file has an Adobe marker with transform 0, or its components are named R, G and B.
    Rgb,
    /// Cyan, magenta, yellow and black. See [`Header::has_adobe_marker`] for the sample that means full ink.
    Cmyk,
    /// The inverse of cyan, magenta and yellow as luma and color differences, and black (Adobe Technical Note 5116,
    /// section 18).
    Ycck,
}

/// Sampling factors of a component (ITU-T T.81, section A.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Horizontal factor, 1 to 4.
    pub horizontal: u8,
    /// Vertical factor, 1 to 4.
    pub vertical: u8,
}

/// A component's entry in the frame header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameComponent {
    pub(crate) id: u8,
    pub(crate) sampling: Sampling,
    /// Index of the quantization table, 0 to 3.
    pub(crate) quantizer: u8,
}

/// The parsed header of a file that this crate can decode.
#[derive(Debug, Clone)]
pub struct Header {
    /// Stored width in pixels.
    pub width: u32,
    /// Stored height in pixels.
    pub height: u32,
    /// True if the frame is progressive rather than sequential.
    pub progressive: bool,
    /// True if the entropy coding is arithmetic rather than Huffman coding.
    pub arithmetic: bool,
    /// The meaning of the components.
    pub color_model: ColorModel,
    /// True if the file has an Adobe APP14 segment. Adobe programs write such CMYK files with inverted samples: 0 is
    /// full ink.
    pub has_adobe_marker: bool,
    /// Position in the file of the TIFF structure in the first EXIF segment.
    pub exif: Option<Range<usize>>,
    /// Positions in the file of the parts of the ICC profile, in the order of concatenation (ICC.1, annex B.4). Empty
    /// if there is no profile or a part is missing.
    pub icc: Vec<Range<usize>>,
    pub(crate) components: Vec<FrameComponent>,
}

impl Header {
    /// Reads all segments up to the first scan.
    ///
    /// # Errors
    /// The data is not a JPEG, uses an unsupported feature, has a damaged header, or exceeds `limits`.
    pub fn read(data: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut segments = SegmentReader::new(data, limits.segments)?;
        let mut frame = None;
        let mut metadata = AppSegments::default();
        loop {
            let segment = segments.next()?;
            match segment.marker {
                marker::SOF0 | marker::SOF1 | marker::SOF2 | marker::SOF9 | marker::SOF10 if frame.is_none() => {
                    frame = Some(FrameHeader::read(&segment, limits)?);
                }
                0xC0..=0xC2 | marker::SOF9 | marker::SOF10 => return Err(Error::Damaged("more than one frame header")),
                0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF | marker::SOF55 => {
                    return Err(Error::Unsupported(unsupported_process(segment.marker)));
                }
                marker::SOS => break,
                marker::EOI => return Err(Error::Truncated),
                _ => metadata.read(&segment),
            }
        }
        let FrameHeader { width, height, progressive, arithmetic, components } =
            frame.ok_or(Error::Damaged("a scan before the frame header"))?;
        let color_model = metadata.color_model(&components);
        let has_adobe_marker = metadata.adobe_transform.is_some();
        let (exif, icc) = (metadata.exif, complete_profile(metadata.icc));
        Ok(Self { width, height, progressive, arithmetic, color_model, has_adobe_marker, exif, icc, components })
    }

    /// Number of components: 1, 3 or 4.
    #[must_use]
    pub fn component_count(&self) -> usize {
        self.components.len()
    }

    /// Sampling factors of a component. A single component always covers its frame, so its factors count as 1 (ITU-T
    /// T.81, section A.2.2).
    #[must_use]
    pub fn sampling(&self, component: usize) -> Option<Sampling> {
        match self.components.as_slice() {
            [_] if component == 0 => Some(Sampling { horizontal: 1, vertical: 1 }),
            components => components.get(component).map(|component| component.sampling),
        }
    }

    /// The largest horizontal and vertical sampling factors of the frame.
    pub(crate) fn sampling_max(&self) -> (u32, u32) {
        let all = (0..self.components.len()).filter_map(|n| self.sampling(n));
        all.fold((1, 1), |(h, v), s| (h.max(u32::from(s.horizontal)), v.max(u32::from(s.vertical))))
    }

    /// Width and height of a component's plane at `scale`, both rounded up.
    #[must_use]
    pub fn plane_size(&self, component: usize, scale: Scale) -> Option<(u32, u32)> {
        let sampling = self.sampling(component)?;
        let (h, v) = self.sampling_max();
        let points = scale.points() as u32;
        // ITU-T T.81, section A.1.1, then the same rounding for the scale.
        let side = |length: u32, factor: u8, factor_max: u32| {
            let full = (length * u32::from(factor)).div_ceil(factor_max);
            (full * points).div_ceil(8)
        };
        Some((side(self.width, sampling.horizontal, h), side(self.height, sampling.vertical, v)))
    }

    /// Upper bound, in bytes, on the memory that [`decode`](crate::decode()) allocates for these scales.
    #[must_use]
    pub fn working_bytes(&self, scales: [Scales; 4]) -> u64 {
        // Huffman tables of two classes with four destinations each.
        let mut bytes = 8 * 16 * 1024;
        for (n, scales) in (0..self.components.len()).zip(scales) {
            let mut last = 0;
            for scale in scales.iter() {
                let (width, height) = self.plane_size(n, scale).unwrap_or_default();
                bytes += u64::from(width) * u64::from(height);
                last = last.max(scale.last_coefficient() as u64);
            }
            if self.progressive {
                // The stored coefficients and history of each block. The last unit adds up to four blocks of padding.
                let (w, h) = self.plane_size(n, Scale::Eighth).unwrap_or_default();
                let blocks = (u64::from(w) + 4) * (u64::from(h) + 4);
                bytes += blocks * (2 * (last + 1) + 8);
            }
        }
        bytes
    }
}

/// The parameters of a SOF segment (ITU-T T.81, section B.2.2).
struct FrameHeader {
    width: u32,
    height: u32,
    progressive: bool,
    arithmetic: bool,
    components: Vec<FrameComponent>,
}

impl FrameHeader {
    fn read(segment: &Segment<'_>, limits: &Limits) -> Result<Self, Error> {
        let [precision, h1, h0, w1, w0, count, entries @ ..] = segment.body else {
            return Err(Error::Damaged("frame header too short"));
        };
        let (height, width) = (u16::from_be_bytes([*h1, *h0]), u16::from_be_bytes([*w1, *w0]));
        match precision {
            8 => {}
            12 => return Err(Error::Unsupported("12 bits per sample")),
            _ => return Err(Error::Unsupported("a sample precision other than 8 bits")),
        }
        if height == 0 {
            return Err(Error::Unsupported("a height given after the first scan (DNL)"));
        }
        if width == 0 {
            return Err(Error::Damaged("zero width"));
        }
        match count {
            1 | 3 | 4 => {}
            _ => return Err(Error::Unsupported("a component count other than 1, 3 or 4")),
        }
        let (width, height) = (u32::from(width), u32::from(height));
        if u64::from(width) * u64::from(height) > limits.pixels {
            return Err(Error::Limit { what: "pixels", max: limits.pixels });
        }
        let (entries, rest) = entries.as_chunks::<3>();
        if entries.len() != usize::from(*count) || !rest.is_empty() {
            return Err(Error::Damaged("wrong frame header length"));
        }
        let mut components = Vec::with_capacity(entries.len());
        for &[id, sampling, quantizer] in entries {
            let (horizontal, vertical) = (sampling >> 4, sampling & 15);
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || quantizer > 3 {
                return Err(Error::Damaged("invalid component parameters"));
            }
            components.push(FrameComponent { id, sampling: Sampling { horizontal, vertical }, quantizer });
        }
        let progressive = matches!(segment.marker, marker::SOF2 | marker::SOF10);
        let arithmetic = matches!(segment.marker, marker::SOF9 | marker::SOF10);
        // Some encoders give all components the same id. Scans with all components are unambiguous even then.
        if progressive && components.iter().enumerate().any(|(n, one)| components[..n].iter().any(|o| o.id == one.id)) {
            return Err(Error::Damaged("duplicate component id in a progressive frame"));
        }
        Ok(Self { width, height, progressive, arithmetic, components })
    }
}

/// Names the coding process of a SOF marker (ITU-T T.81, table B.1) that this crate does not implement.
fn unsupported_process(marker: u8) -> &'static str {
    match marker {
        0xC3 => "lossless coding",
        0xC5..=0xC7 => "hierarchical coding",
        marker::SOF55 => "JPEG-LS coding",
        0xCB => "lossless arithmetic coding",
        _ => "hierarchical arithmetic coding",
    }
}

/// One APP2 segment of an ICC profile.
#[derive(Debug)]
struct IccPart {
    /// Position in the sequence of parts, starting at 1.
    number: u8,
    /// Number of parts of the profile.
    count: u8,
    range: Range<usize>,
}

/// The information gathered from the application segments.
#[derive(Debug, Default)]
struct AppSegments {
    has_jfif: bool,
    adobe_transform: Option<u8>,
    exif: Option<Range<usize>>,
    icc: Vec<IccPart>,
}

impl AppSegments {
    fn read(&mut self, segment: &Segment<'_>) {
        let (start, body) = (segment.start, segment.body);
        let end = start + body.len();
        match segment.marker {
            marker::APP0 if body.starts_with(b"JFIF\0") => self.has_jfif = true,
            marker::APP1 if body.starts_with(b"Exif\0") && self.exif.is_none() && body.len() > 6 => {
                self.exif = Some(start + 6..end);
            }
            marker::APP2 if body.starts_with(b"ICC_PROFILE\0") => {
                if let Some(&[number, count]) = body.get(12..14)
                    && self.icc.len() < 255
                {
                    self.icc.push(IccPart { number, count, range: start + 14..end });
                }
            }
            marker::APP14 if body.starts_with(b"Adobe") => self.adobe_transform = body.get(11).copied(),
            _ => {}
        }
    }

    /// Follows `default_decompress_parms` of libjpeg-turbo. Of three components, JFIF implies YCbCr, an Adobe segment
    /// names the transform, and otherwise the component ids decide. Four components are CMYK, unless an Adobe segment
    /// names a transform.
    fn color_model(&self, components: &[FrameComponent]) -> ColorModel {
        let named_rgb = components.iter().map(|component| component.id).eq(*b"RGB");
        match (components.len(), self.has_jfif, self.adobe_transform) {
            (1, ..) => ColorModel::Gray,
            (4, _, None | Some(0)) => ColorModel::Cmyk,
            (4, ..) => ColorModel::Ycck,
            (_, true, _) => ColorModel::YCbCr,
            (_, false, Some(0)) => ColorModel::Rgb,
            (_, false, None) if named_rgb => ColorModel::Rgb,
            _ => ColorModel::YCbCr,
        }
    }
}

/// The ranges of all parts in sequence, or an empty list if a part is missing.
fn complete_profile(mut parts: Vec<IccPart>) -> Vec<Range<usize>> {
    parts.sort_by_key(|part| part.number);
    let total = parts.len();
    let is_complete =
        parts.iter().zip(1..).all(|(part, n)| usize::from(part.number) == n && usize::from(part.count) == total);
    if is_complete { parts.into_iter().map(|part| part.range).collect() } else { Vec::new() }
}
