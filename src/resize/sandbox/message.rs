//! Messages between the server and the child process. A message is a head of fixed size with little-endian numbers,
//! followed by bytes.
//!
//! Samples of more than 8 bits have native byte order, because both processes run on the same machine.

use std::io::{self, Read};
use std::time::Duration;

use pixels::{ChromaSubsampling, Cicp, YuvShape};

/// Request to decode the AV1 data that follow.
pub(super) struct DecodeRequest {
    /// Length of the AV1 data.
    pub(super) bytes: u32,
    /// Maximum number of pixels of a frame.
    pub(super) pixels_max: u32,
}

impl DecodeRequest {
    pub(super) const BYTES: usize = 8;

    pub(super) fn new(av1: &[u8], expected: YuvShape) -> io::Result<Self> {
        let pixels = u64::from(expected.width) * u64::from(expected.height);
        let fits = |n: u64| u32::try_from(n).map_err(io::Error::other);
        Ok(Self { bytes: fits(av1.len() as u64)?, pixels_max: fits(pixels)? })
    }

    pub(super) fn to_bytes(&self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.bytes.to_le_bytes();
        let [e, f, g, h] = self.pixels_max.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// Reads the next request; `None` at the end of the input.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; Self::BYTES];
        match from.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [a, b, c, d, e, f, g, h] = head;
        Ok(Some(Self { bytes: u32::from_le_bytes([a, b, c, d]), pixels_max: u32::from_le_bytes([e, f, g, h]) }))
    }
}

/// Reply of the child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The process is confined and ready to read requests.
    Ready,
    /// The system cannot confine the process. It decodes nothing.
    Unconfined(String),
    /// The data could not be decoded.
    Failed(String),
    /// The planes follow, cropped to the size of the picture and without padding.
    Picture {
        shape: YuvShape,
        cicp: Cicp,
        /// CPU time of the process so far.
        cpu_time: Duration,
    },
}

/// Maximum length of a text in bytes.
const TEXT_MAX: usize = 200;

impl Reply {
    const BYTES: usize = 28;

    /// The head, followed by the text.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (kind, text) = match self {
            Self::Ready => (0, ""),
            Self::Unconfined(text) => (1, text.as_str()),
            Self::Failed(text) => (2, text.as_str()),
            Self::Picture { .. } => (3, ""),
        };
        let text = text.as_bytes();
        let text = text.get(..TEXT_MAX).unwrap_or(text);
        let mut bytes = vec![kind, u8::try_from(text.len()).unwrap_or(0)];
        if let Self::Picture { shape, cicp, cpu_time } = self {
            let YuvShape { width, height, depth, sampling } = shape;
            bytes.extend([*depth, to_code(*sampling)]);
            bytes.extend(width.to_le_bytes());
            bytes.extend(height.to_le_bytes());
            for n in [cicp.primaries, cicp.transfer, cicp.matrix, u16::from(cicp.full_range)] {
                bytes.extend(n.to_le_bytes());
            }
            bytes.extend(u64::try_from(cpu_time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
        }
        bytes.resize(Self::BYTES, 0);
        bytes.extend(text);
        bytes
    }

    /// Reads a reply, which is untrusted.
    ///
    /// # Errors
    /// The reply could not be read or is invalid.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; Self::BYTES];
        from.read_exact(&mut head)?;
        let [kind, text, depth, sampling, numbers @ ..] = head;
        match kind {
            0 => Ok(Self::Ready),
            1 => read_text(from, text).map(Self::Unconfined),
            2 => read_text(from, text).map(Self::Failed),
            3 => picture(depth, sampling, &numbers).ok_or_else(|| invalid("no picture has this shape")),
            _ => Err(invalid("unknown reply")),
        }
    }
}

fn picture(depth: u8, sampling: u8, numbers: &[u8; Reply::BYTES - 4]) -> Option<Reply> {
    let [width, height, low, high, ..] = *numbers.as_chunks::<4>().0 else { return None };
    let [primaries, transfer, matrix, range] =
        <[_; 4]>::try_from([low, high].as_flattened().as_chunks::<2>().0).ok()?;
    let cpu_time = u64::from_le_bytes(*numbers.last_chunk()?);
    let shape = YuvShape {
        width: u32::from_le_bytes(width),
        height: u32::from_le_bytes(height),
        depth,
        sampling: from_code(sampling)?,
    };
    let cicp = Cicp {
        primaries: u16::from_le_bytes(primaries),
        transfer: u16::from_le_bytes(transfer),
        matrix: u16::from_le_bytes(matrix),
        full_range: u16::from_le_bytes(range) != 0,
    };
    let is_valid = matches!(depth, 8 | 10 | 12) && shape.width > 0 && shape.height > 0;
    is_valid.then_some(Reply::Picture { shape, cicp, cpu_time: Duration::from_nanos(cpu_time) })
}

/// Reads a text of limited length and replaces bytes that are not printable ASCII.
fn read_text(from: &mut impl Read, length: u8) -> io::Result<String> {
    let mut text = vec![0; usize::from(length)];
    from.read_exact(&mut text)?;
    text.truncate(TEXT_MAX);
    let printable = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
    Ok(text.into_iter().map(printable).collect())
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

const SAMPLINGS: [ChromaSubsampling; 4] =
    [ChromaSubsampling::Cs400, ChromaSubsampling::Cs420, ChromaSubsampling::Cs422, ChromaSubsampling::Cs444];

fn to_code(sampling: ChromaSubsampling) -> u8 {
    SAMPLINGS.iter().zip(0..).find(|(known, _)| **known == sampling).map_or(u8::MAX, |(_, n)| n)
}

fn from_code(code: u8) -> Option<ChromaSubsampling> {
    SAMPLINGS.get(usize::from(code)).copied()
}
