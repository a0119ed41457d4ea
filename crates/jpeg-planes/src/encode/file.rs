//! The segments of a file (ITU-T T.81, annex B.2).

use super::coefficients::Coefficients;
use super::entropy_encode::{BitWriter, HuffmanCode};
use super::scans::{Bits, Scan};
use super::script::PlannedScan;
use super::sink::{CodeWriter, TABLES};
use super::symbols::SymbolList;
use crate::dct::ZIGZAG;
use crate::marker;

/// The parameters in the header segments of the file.
pub(super) struct FrameParameters {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) planes: usize,
    /// Luma blocks per minimum coded unit in each direction.
    pub(super) luma_blocks: usize,
    /// Quantizers of luma and chroma, row by row.
    pub(super) quantizers: [[u8; 64]; 2],
}

/// The coding process of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Baseline,
    Progressive,
}

impl FrameParameters {
    /// Writes a baseline file.
    pub(super) fn write_symbols(&self, symbols: &SymbolList) -> Vec<u8> {
        let codes = symbols.frequencies.each_ref().map(HuffmanCode::optimal);
        let mut bytes = Vec::with_capacity(symbols.len() + 1024);
        self.write_header(Process::Baseline, &mut bytes);
        self.write_scan_header(Scan::Sequential, &codes, &mut bytes);
        let mut writer = BitWriter::new(bytes);
        symbols.write(&codes, &mut writer);
        let mut bytes = writer.finish();
        bytes.extend_from_slice(&[0xFF, marker::EOI]);
        bytes
    }

    /// Writes a file with these scans. `None` if `should_continue` returned false.
    pub(super) fn write(
        &self,
        process: Process,
        scans: &[PlannedScan],
        coefficients: &Coefficients,
        should_continue: &dyn Fn() -> bool,
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(scans.iter().map(PlannedScan::bytes).sum::<usize>() * 65 / 64 + 1024);
        self.write_header(process, &mut bytes);
        for PlannedScan { scan, codes, .. } in scans {
            self.write_scan_header(*scan, codes, &mut bytes);
            let mut sink = CodeWriter { codes, writer: BitWriter::new(bytes) };
            scan.code(coefficients, should_continue, &mut sink)?;
            bytes = sink.writer.finish();
        }
        bytes.extend_from_slice(&[0xFF, marker::EOI]);
        Some(bytes)
    }

    /// The segments before the first scan.
    fn write_header(&self, process: Process, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&[0xFF, marker::SOI]);
        write_segment(bytes, marker::APP0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        for (n, table) in self.quantizers.iter().enumerate().take(self.planes) {
            let zigzag = ZIGZAG.map(|index| table[usize::from(index)]);
            write_segment(bytes, marker::DQT, &[&[n as u8][..], &zigzag].concat());
        }
        let (height, width) = (self.height.to_be_bytes(), self.width.to_be_bytes());
        let mut frame = vec![8, height[0], height[1], width[0], width[1], self.planes as u8];
        for n in 0..self.planes as u8 {
            let sampling = if n == 0 { self.luma_blocks as u8 * 0x11 } else { 0x11 };
            frame.extend([n + 1, sampling, n.min(1)]);
        }
        let marker = match process {
            Process::Baseline => marker::SOF0,
            Process::Progressive => marker::SOF2,
        };
        write_segment(bytes, marker, &frame);
    }

    /// The Huffman codes of a scan and its header.
    fn write_scan_header(&self, scan: Scan, codes: &[HuffmanCode; TABLES], bytes: &mut Vec<u8>) {
        for (n, code) in codes.iter().enumerate().filter(|(_, code)| !code.symbols.is_empty()) {
            let destination = ((n & 1) << 4 | n >> 1) as u8;
            write_segment(bytes, marker::DHT, &[&[destination][..], &code.counts, &code.symbols].concat());
        }
        let (first, last, bits) = match scan {
            Scan::Sequential => (0, 63, Bits::First { low: 0 }),
            Scan::Dc(bits) => (0, 0, bits),
            Scan::Ac { first, last, bits, .. } => (first, last, bits),
        };
        let components = match scan {
            Scan::Ac { component, .. } => component..component + 1,
            Scan::Sequential | Scan::Dc(_) => 0..self.planes,
        };
        let mut body = vec![components.len() as u8];
        for n in components {
            body.extend([n as u8 + 1, n.min(1) as u8 * 0x11]);
        }
        let approximation = match bits {
            Bits::First { low } => low,
            Bits::Refinement { low } => (low + 1) << 4 | low,
        };
        body.extend([first, last, approximation]);
        write_segment(bytes, marker::SOS, &body);
    }
}

fn write_segment(bytes: &mut Vec<u8>, marker: u8, body: &[u8]) {
    bytes.extend_from_slice(&[0xFF, marker]);
    bytes.extend_from_slice(&((body.len() + 2) as u16).to_be_bytes());
    bytes.extend_from_slice(body);
}
