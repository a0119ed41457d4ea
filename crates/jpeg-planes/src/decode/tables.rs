//! The tables that DHT, DQT and DRI segments define between scans (ITU-T T.81, section B.2.4).

use planes::Error;

use crate::decode::arithmetic::Conditioning;
use crate::decode::huffman::{HuffmanTable, TableClass};
use crate::decode::scan::Scan;
use crate::decode::standard_tables::standard_table;
use crate::marker;
use crate::segments::Segment;

/// The tables in effect for the next scan.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) dc: [Option<HuffmanTable>; 4],
    pub(super) ac: [Option<HuffmanTable>; 4],
    /// Conditioning of the arithmetic statistics at each destination.
    pub(super) conditioning: [Conditioning; 4],
    /// Quantization tables in zigzag order.
    pub(super) quantizers: [Option<[u16; 64]>; 4],
    /// Minimum coded units between restart markers. 0 means no restart markers.
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Applies a DHT, DAC, DQT or DRI segment. Other segments are ignored.
    pub(super) fn read(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        match segment.marker {
            marker::DHT => self.read_huffman(segment.body),
            marker::DAC => self.read_conditioning(segment.body),
            marker::DQT => self.read_quantizers(segment.body),
            marker::DRI => {
                let interval = segment.body.first_chunk().ok_or(Error::Damaged("restart interval too short"))?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Defines the standard tables at the destinations that the scan uses and the file does not define.
    pub(super) fn add_standard(&mut self, scan: &Scan) {
        let add = |tables: &mut [Option<HuffmanTable>; 4], class, destination: usize| {
            if let Some(table @ None) = tables.get_mut(destination) {
                *table = standard_table(class, destination);
            }
        };
        for component in &scan.components {
            add(&mut self.dc, TableClass::Dc, component.dc_table);
            add(&mut self.ac, TableClass::Ac, component.ac_table);
        }
    }

    fn read_huffman(&mut self, mut body: &[u8]) -> Result<(), Error> {
        while let [destination, rest @ ..] = body {
            let (class, tables) = match destination >> 4 {
                0 => (TableClass::Dc, &mut self.dc),
                1 => (TableClass::Ac, &mut self.ac),
                _ => return Err(Error::Damaged("invalid Huffman table class")),
            };
            let slot = tables.get_mut(usize::from(destination & 15));
            let slot = slot.ok_or(Error::Damaged("invalid Huffman table destination"))?;
            let (table, rest) = HuffmanTable::read(class, rest)?;
            *slot = Some(table);
            body = rest;
        }
        Ok(())
    }

    /// Reads a DAC segment (ITU-T T.81, section B.2.4.3).
    fn read_conditioning(&mut self, body: &[u8]) -> Result<(), Error> {
        for &[destination, value] in body.as_chunks::<2>().0 {
            let invalid = Error::Damaged("invalid arithmetic conditioning");
            let conditioning = self.conditioning.get_mut(usize::from(destination & 15)).ok_or(invalid.clone())?;
            match (destination >> 4, value & 15, value >> 4) {
                (0, low, high) if low <= high => (conditioning.dc_low, conditioning.dc_high) = (low, high),
                (1, ..) if (1..=63).contains(&value) => conditioning.ac_low = value,
                _ => return Err(invalid),
            }
        }
        Ok(())
    }

    fn read_quantizers(&mut self, mut body: &[u8]) -> Result<(), Error> {
        while let [destination, rest @ ..] = body {
            let slot = self.quantizers.get_mut(usize::from(destination & 15));
            let slot = slot.ok_or(Error::Damaged("invalid quantization table destination"))?;
            let short = Error::Damaged("quantization table too short");
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
                _ => return Err(Error::Damaged("invalid quantization table precision")),
            };
            *slot = Some(table);
            body = rest;
        }
        Ok(())
    }
}
