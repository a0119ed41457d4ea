//! From a file to its planes: the segments in their order, and a scan at a time.

use crate::decode::bit_reader::scan_end;
use crate::decode::component::Component;
use crate::decode::huffman::{Class, Table};
use crate::error::Error;
use crate::header::Header;
use crate::segments::{Segment, Segments, marker};
use crate::{Incomplete, Options, Plane};

pub(crate) mod bit_reader;
mod component;
mod huffman;
pub(crate) mod idct;
mod progressive;
mod scan_script;
mod sequential;

/// Decodes to one plane for each scale of each component, at its own size (see [`Header::plane_size`]): no upsampling, no
/// colours. They come by component, and of each the smallest first.
///
/// `header` must have been read from the same bytes.
///
/// # Errors
/// The bytes are damaged, cut short (unless that is to be kept), beyond the limits, or decoding was cancelled.
pub fn decode(data: &[u8], header: &Header, options: &Options<'_>) -> Result<Vec<Plane>, Error> {
    let mut components = Vec::with_capacity(header.component_count());
    for (n, scales) in (0..header.component_count()).zip(options.scales) {
        components.push(Component::new(header, n, scales)?);
    }
    let mut frame = Frame { data, header, options, tables: Tables::default(), components };
    let result = if header.progressive { progressive::decode(&mut frame) } else { sequential::decode(&mut frame) };
    match (result, options.incomplete) {
        (Ok(()), _) | (Err(Error::Truncated | Error::Damaged(_)), Incomplete::Keep) => {}
        (Err(error), _) => return Err(error),
    }
    Ok(frame.components.into_iter().flat_map(|component| component.planes).collect())
}

/// Everything that decoding the scans of a frame needs.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) header: &'a Header,
    pub(crate) options: &'a Options<'a>,
    pub(crate) tables: Tables,
    pub(crate) components: Vec<Component>,
}

impl Frame<'_> {
    /// # Errors
    /// The caller wants no more.
    pub(crate) fn proceed(&self) -> Result<(), Error> {
        if (self.options.proceed)() { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Minimum coded units of an interleaved scan, across and down (section A.2.3).
    pub(crate) fn units(&self) -> (usize, usize) {
        let (h, v) = self.header.sampling_max();
        (self.header.width.div_ceil(8 * h) as usize, self.header.height.div_ceil(8 * v) as usize)
    }

    /// Where the scan that begins at `position` ends; the end of the file if nothing follows it.
    pub(crate) fn scan_end(&self, position: usize) -> usize {
        scan_end(self.data, position).unwrap_or(self.data.len())
    }
}

/// What the segments between the scans set.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) dc: [Option<Table>; 4],
    pub(crate) ac: [Option<Table>; 4],
    /// In zigzag order.
    pub(crate) quantizers: [Option<[u16; 64]>; 4],
    /// Units between two restart markers; 0 is none.
    pub(crate) restart_interval: usize,
}

impl Tables {
    /// Takes in a DHT, DQT or DRI segment; others are nothing to it.
    pub(crate) fn read(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        match segment.marker {
            marker::DHT => self.read_huffman(segment.body),
            marker::DQT => self.read_quantizers(segment.body),
            marker::DRI => {
                let interval = segment.body.first_chunk().ok_or(Error::Damaged("a short restart interval"))?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_huffman(&mut self, mut body: &[u8]) -> Result<(), Error> {
        while let [destination, rest @ ..] = body {
            let (class, tables) = match destination >> 4 {
                0 => (Class::Dc, &mut self.dc),
                1 => (Class::Ac, &mut self.ac),
                _ => return Err(Error::Damaged("a Huffman table of no class")),
            };
            let place = tables.get_mut(usize::from(destination & 15));
            let place = place.ok_or(Error::Damaged("a Huffman table for no destination"))?;
            let (table, rest) = Table::read(class, rest)?;
            *place = Some(table);
            body = rest;
        }
        Ok(())
    }

    fn read_quantizers(&mut self, mut body: &[u8]) -> Result<(), Error> {
        while let [destination, rest @ ..] = body {
            let place = self.quantizers.get_mut(usize::from(destination & 15));
            let place = place.ok_or(Error::Damaged("a quantization table for no destination"))?;
            let short = Error::Damaged("a short quantization table");
            let (table, rest): ([u16; 64], _) = match destination >> 4 {
                0 => {
                    let (bytes, rest) = rest.split_first_chunk::<64>().ok_or(short)?;
                    (bytes.map(u16::from), rest)
                }
                1 => {
                    let (bytes, rest) = rest.split_first_chunk::<128>().ok_or(short)?;
                    let (pairs, _) = bytes.as_chunks::<2>();
                    (std::array::from_fn(|k| u16::from_be_bytes(pairs[k])), rest)
                }
                _ => return Err(Error::Damaged("a quantization table of no precision")),
            };
            *place = Some(table);
            body = rest;
        }
        Ok(())
    }
}

/// A scan's header (section B.2.3).
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// Component of the frame, DC table, AC table.
    pub(crate) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub(crate) band: (u32, u32),
    /// Bits that were left off before this scan, and that are after it.
    pub(crate) approximation: (u32, u32),
}

impl Scan {
    pub(crate) fn read(body: &[u8], header: &Header) -> Result<Self, Error> {
        let damaged = Error::Damaged("an impossible scan header");
        let (&count, rest) = body.split_first().ok_or(damaged.clone())?;
        let selectors = rest.as_chunks::<2>().0.get(..usize::from(count)).ok_or(damaged.clone())?;
        let tail = body.get(1 + 2 * usize::from(count)..).and_then(<[u8]>::first_chunk::<3>).ok_or(damaged.clone())?;
        let mut components: Vec<(usize, usize, usize)> = Vec::with_capacity(3);
        for &[id, tables] in selectors {
            let component = header.components.iter().position(|component| component.id == id).ok_or(damaged.clone())?;
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            if dc > 3 || ac > 3 || components.iter().any(|(other, ..)| *other == component) {
                return Err(damaged);
            }
            components.push((component, dc, ac));
        }
        if components.is_empty() {
            return Err(damaged);
        }
        let [first, last, bits] = tail.map(u32::from);
        Ok(Self { components, band: (first, last), approximation: (bits >> 4, bits & 15) })
    }
}

/// The segments behind the start of image, as the header found them.
pub(crate) fn segments<'a>(frame: &Frame<'a>) -> Result<Segments<'a>, Error> {
    // Each scan may have segments of its own; those before the first were counted when the header was read.
    Segments::of(frame.data, frame.options.limits.segments)
}
