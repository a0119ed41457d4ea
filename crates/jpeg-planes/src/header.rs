//! What a JPEG says of itself before its first scan. Nothing is allocated but a few words.

use std::ops::Range;

use crate::error::Error;
use crate::segments::{Segments, marker};
use crate::{Limits, Scale, Scales};

/// What the three components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// One component.
    Grey,
    /// Luma and two differences of colour, full range, by the matrix of ITU-R BT.601 (JFIF 1.02; ITU-T T.871).
    YCbCr,
    /// Red, green and blue as they are (an Adobe marker with transform 0, or components called R, G and B).
    Rgb,
}

/// A component's place in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Samples a minimum coded unit across, 1 to 4.
    pub horizontal: u8,
    /// Samples a minimum coded unit down, 1 to 4.
    pub vertical: u8,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameComponent {
    pub(crate) id: u8,
    pub(crate) sampling: Sampling,
    pub(crate) quantizer: u8,
}

/// A header that has been read, of a kind that is decoded here.
#[derive(Debug, Clone)]
pub struct Header {
    /// In pixels, as stored.
    pub width: u32,
    /// In pixels, as stored.
    pub height: u32,
    /// Whether the frame is progressive rather than sequential.
    pub progressive: bool,
    /// What the components are.
    pub colour: Colour,
    /// Where the TIFF structure of the first EXIF segment lies in the file.
    pub exif: Option<Range<usize>>,
    /// Where the parts of an ICC profile lie in the file, in the order in which they are to be put together (ICC.1,
    /// annex B.4). Empty where there is none or a part is missing.
    pub icc: Vec<Range<usize>>,
    pub(crate) components: Vec<FrameComponent>,
}

impl Header {
    /// Reads up to the first scan.
    ///
    /// # Errors
    /// No JPEG, a kind that is not decoded here (by name), a damaged header, or more pixels or segments than `limits`.
    pub fn read(data: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut segments = Segments::of(data, limits.segments)?;
        let mut frame = None;
        let mut marks = Marks::default();
        loop {
            let segment = segments.next()?;
            let offset = segment.start;
            match segment.marker {
                marker::SOF0 | marker::SOF1 | marker::SOF2 if frame.is_none() => {
                    frame = Some(frame_header(segment.marker == marker::SOF2, segment.body, limits)?);
                }
                0xC0..=0xC2 => return Err(Error::Damaged("two frames")),
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Err(Error::Unsupported(kind(segment.marker))),
                marker::SOS => break,
                marker::EOI => return Err(Error::Truncated),
                _ => marks.note(segment.marker, segment.body, offset),
            }
        }
        let (width, height, progressive, components) = frame.ok_or(Error::Damaged("a scan before its frame"))?;
        let colour = marks.colour(&components);
        Ok(Self { width, height, progressive, colour, exif: marks.exif, icc: whole_profile(marks.icc), components })
    }

    /// How many components there are: one or three.
    #[must_use]
    pub fn component_count(&self) -> usize {
        self.components.len()
    }

    /// The sampling of a component. One that is alone fills its frame, whatever it says (section A.2.2).
    #[must_use]
    pub fn sampling(&self, component: usize) -> Option<Sampling> {
        match self.components.as_slice() {
            [_] if component == 0 => Some(Sampling { horizontal: 1, vertical: 1 }),
            components => components.get(component).map(|component| component.sampling),
        }
    }

    /// The largest sampling factors of the frame.
    pub(crate) fn sampling_max(&self) -> (u32, u32) {
        let all = (0..self.components.len()).filter_map(|n| self.sampling(n));
        all.fold((1, 1), |(h, v), s| (h.max(u32::from(s.horizontal)), v.max(u32::from(s.vertical))))
    }

    /// Width and height of a component's plane at `scale`: of what it has at whole size, that part rounded up.
    #[must_use]
    pub fn plane_size(&self, component: usize, scale: Scale) -> Option<(u32, u32)> {
        let sampling = self.sampling(component)?;
        let (h, v) = self.sampling_max();
        let points = scale.points() as u32;
        let side = |length: u32, own: u8, most: u32| {
            let whole = (length * u32::from(own)).div_ceil(most);
            (whole * points).div_ceil(8)
        };
        Some((side(self.width, sampling.horizontal, h), side(self.height, sampling.vertical, v)))
    }

    /// An upper bound, in bytes, of what [`decode`](crate::decode) allocates at these scales.
    #[must_use]
    pub fn working_bytes(&self, scales: [Scales; 3]) -> u64 {
        // Tables of four destinations of two classes.
        let mut bytes = 8 * 16 * 1024;
        for (n, scales) in (0..self.components.len()).zip(scales) {
            let mut last = 0;
            for scale in scales.iter() {
                let (width, height) = self.plane_size(n, scale).unwrap_or_default();
                bytes += u64::from(width) * u64::from(height);
                last = last.max(scale.last_coefficient() as u64);
            }
            if self.progressive {
                // A block's coefficients up to the last used, and its history, for blocks up to the last unit's end.
                let (w, h) = self.plane_size(n, Scale::Eighth).unwrap_or_default();
                let blocks = (u64::from(w) + 4) * (u64::from(h) + 4);
                bytes += blocks * (2 * (last + 1) + 8);
            }
        }
        bytes
    }
}

/// Width, height, progressive, components.
type Frame = (u32, u32, bool, Vec<FrameComponent>);

fn frame_header(progressive: bool, body: &[u8], limits: &Limits) -> Result<Frame, Error> {
    let [precision, h1, h0, w1, w0, count, components @ ..] = body else {
        return Err(Error::Damaged("a short frame header"));
    };
    let (height, width) = (u16::from_be_bytes([*h1, *h0]), u16::from_be_bytes([*w1, *w0]));
    if *precision != 8 {
        return Err(Error::Unsupported("other than 8 bits a sample"));
    }
    if height == 0 {
        return Err(Error::Unsupported("its height behind its first scan"));
    }
    if width == 0 {
        return Err(Error::Damaged("it has no pixels"));
    }
    match count {
        1 | 3 => {}
        4 => return Err(Error::Unsupported("four components (CMYK or YCCK)")),
        _ => return Err(Error::Unsupported("two components, or more than four")),
    }
    let (width, height) = (u32::from(width), u32::from(height));
    if u64::from(width) * u64::from(height) > limits.pixels {
        return Err(Error::Limit { what: "pixels", max: limits.pixels });
    }
    let (entries, rest) = components.as_chunks::<3>();
    if entries.len() != usize::from(*count) || !rest.is_empty() {
        return Err(Error::Damaged("a frame header of the wrong length"));
    }
    let mut components = Vec::with_capacity(entries.len());
    for &[id, sampling, quantizer] in entries {
        let (horizontal, vertical) = (sampling >> 4, sampling & 15);
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || quantizer > 3 {
            return Err(Error::Damaged("an impossible component"));
        }
        if components.iter().any(|other: &FrameComponent| other.id == id) {
            return Err(Error::Damaged("two components of one name"));
        }
        components.push(FrameComponent { id, sampling: Sampling { horizontal, vertical }, quantizer });
    }
    Ok((width, height, progressive, components))
}

/// The processes of table B.1 that are not decoded here.
fn kind(marker: u8) -> &'static str {
    match marker {
        0xC3 => "lossless coding",
        0xC5..=0xC7 => "hierarchical coding",
        0xC9 | 0xCA => "arithmetic coding",
        0xCB => "lossless arithmetic coding",
        _ => "hierarchical arithmetic coding",
    }
}

/// What the application segments say.
#[derive(Debug, Default)]
struct Marks {
    jfif: bool,
    adobe_transform: Option<u8>,
    exif: Option<Range<usize>>,
    /// Number, count, place.
    icc: Vec<(u8, u8, Range<usize>)>,
}

impl Marks {
    fn note(&mut self, marker: u8, body: &[u8], offset: usize) {
        let end = offset + body.len();
        match marker {
            marker::APP0 if body.starts_with(b"JFIF\0") => self.jfif = true,
            marker::APP1 if body.starts_with(b"Exif\0") && self.exif.is_none() && body.len() > 6 => {
                self.exif = Some(offset + 6..end);
            }
            marker::APP2 if body.starts_with(b"ICC_PROFILE\0") => {
                if let Some([number, count]) = body.get(12..14)
                    && self.icc.len() < 255
                {
                    self.icc.push((*number, *count, offset + 14..end));
                }
            }
            marker::APP14 if body.starts_with(b"Adobe") => self.adobe_transform = body.get(11).copied(),
            _ => {}
        }
    }

    /// As libjpeg decides: JFIF has one colour space, Adobe names it, and else the components' names tell.
    fn colour(&self, components: &[FrameComponent]) -> Colour {
        let named_rgb = components.iter().map(|component| component.id).eq(*b"RGB");
        match (components.len(), self.jfif, self.adobe_transform) {
            (1, ..) => Colour::Grey,
            (_, true, _) => Colour::YCbCr,
            (_, false, Some(0)) => Colour::Rgb,
            (_, false, None) if named_rgb => Colour::Rgb,
            _ => Colour::YCbCr,
        }
    }
}

/// The parts in their order, if they are all there.
fn whole_profile(mut parts: Vec<(u8, u8, Range<usize>)>) -> Vec<Range<usize>> {
    parts.sort_by_key(|(number, ..)| *number);
    let count = parts.len();
    let whole =
        parts.iter().zip(1..).all(|((number, of, _), n)| usize::from(*number) == n && usize::from(*of) == count);
    if whole { parts.into_iter().map(|(.., place)| place).collect() } else { Vec::new() }
}
