//! What the two processes say to one another: heads of a fixed size, numbers with the lowest byte first, then bytes.
//!
//! Samples of more than eight bits are as the machine has them: both processes run on it.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use super::super::coded::{Cicp, Sampling};

/// What a coded picture looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Shape {
    pub(in super::super) width: u32,
    pub(in super::super) height: u32,
    /// Bits of a sample: 8, 10 or 12.
    pub(in super::super) depth: u8,
    pub(in super::super) sampling: Sampling,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, depth, sampling } = self;
        let sampling = match sampling {
            Sampling::Grey => "4:0:0",
            Sampling::Halved => "4:2:0",
            Sampling::Narrowed => "4:2:2",
            Sampling::Full => "4:4:4",
        };
        write!(f, "{width}x{height} pixels of {depth} bits in {sampling}")
    }
}

/// Decode the bytes that follow.
pub(super) struct Ask {
    pub(super) bytes: u32,
    /// Width times height, at most.
    pub(super) pixels_max: u32,
}

impl Ask {
    pub(super) const BYTES: usize = 8;

    pub(super) fn new(av1: &[u8], promised: Shape) -> io::Result<Self> {
        let pixels = u64::from(promised.width) * u64::from(promised.height);
        let fits = |n: u64| u32::try_from(n).map_err(io::Error::other);
        Ok(Self { bytes: fits(av1.len() as u64)?, pixels_max: fits(pixels)? })
    }

    pub(super) fn to_bytes(&self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.bytes.to_le_bytes();
        let [e, f, g, h] = self.pixels_max.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// The next one; `None` if there is none.
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

/// What the decoding process answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Confined, and about to read.
    Ready,
    /// The machine does not confine it: nothing will be decoded.
    Unconfined(String),
    /// What cannot be decoded, and why.
    Failed(String),
    /// The planes follow, cropped and without padding.
    Picture {
        shape: Shape,
        colour: Cicp,
        /// Processor time of the process until now.
        worked: Duration,
    },
}

/// The most bytes of a text.
const TEXT_MAX: usize = 200;

impl Reply {
    const BYTES: usize = 28;

    /// The head, and the text behind it.
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
        if let Self::Picture { shape, colour, worked } = self {
            let Shape { width, height, depth, sampling } = shape;
            bytes.extend([*depth, code(*sampling)]);
            bytes.extend(width.to_le_bytes());
            bytes.extend(height.to_le_bytes());
            for n in [colour.primaries, colour.transfer, colour.matrix, u16::from(colour.full_range)] {
                bytes.extend(n.to_le_bytes());
            }
            bytes.extend(u64::try_from(worked.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
        }
        bytes.resize(Self::BYTES, 0);
        bytes.extend(text);
        bytes
    }

    /// Reads one that may say anything.
    ///
    /// # Errors
    /// It cannot be read, or says what no picture can be.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; Self::BYTES];
        from.read_exact(&mut head)?;
        let [kind, text, depth, sampling, numbers @ ..] = head;
        match kind {
            0 => Ok(Self::Ready),
            1 => read_text(from, text).map(Self::Unconfined),
            2 => read_text(from, text).map(Self::Failed),
            3 => picture(depth, sampling, &numbers).ok_or_else(|| nonsense("no picture is like that")),
            _ => Err(nonsense("there is no such reply")),
        }
    }
}

fn picture(depth: u8, sampling: u8, numbers: &[u8; Reply::BYTES - 4]) -> Option<Reply> {
    let [width, height, low, high, ..] = *numbers.as_chunks::<4>().0 else { return None };
    let [primaries, transfer, matrix, range] =
        <[_; 4]>::try_from([low, high].as_flattened().as_chunks::<2>().0).ok()?;
    let worked = u64::from_le_bytes(*numbers.last_chunk()?);
    let shape = Shape {
        width: u32::from_le_bytes(width),
        height: u32::from_le_bytes(height),
        depth,
        sampling: decode(sampling)?,
    };
    let colour = Cicp {
        primaries: u16::from_le_bytes(primaries),
        transfer: u16::from_le_bytes(transfer),
        matrix: u16::from_le_bytes(matrix),
        full_range: u16::from_le_bytes(range) != 0,
    };
    let is_possible = matches!(depth, 8 | 10 | 12) && shape.width > 0 && shape.height > 0;
    is_possible.then_some(Reply::Picture { shape, colour, worked: Duration::from_nanos(worked) })
}

/// Printable, whatever it is, and of bounded length.
fn read_text(from: &mut impl Read, length: u8) -> io::Result<String> {
    let mut text = vec![0; usize::from(length)];
    from.read_exact(&mut text)?;
    text.truncate(TEXT_MAX);
    let printable = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
    Ok(text.into_iter().map(printable).collect())
}

fn nonsense(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const SAMPLINGS: [Sampling; 4] = [Sampling::Grey, Sampling::Halved, Sampling::Narrowed, Sampling::Full];

fn code(sampling: Sampling) -> u8 {
    SAMPLINGS.iter().zip(0..).find(|(known, _)| **known == sampling).map_or(u8::MAX, |(_, n)| n)
}

fn decode(code: u8) -> Option<Sampling> {
    SAMPLINGS.get(usize::from(code)).copied()
}
