//! Messages between the server and the child process. A message is a head of fixed size with little-endian numbers,
//! followed by bytes.
//!
//! Samples of more than 8 bits have native byte order, because both processes run on the same machine.

use std::io::{self, Read};
use std::time::Duration;

use pixels::{Av1Frame, ChromaSubsampling, Cicp, YuvShape};

/// Request to the child process. A payload follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Decode the AV1 data in the payload.
    Decode {
        /// Length of the payload.
        bytes: u32,
        /// Maximum number of pixels of a frame.
        pixels_max: u32,
    },
    /// Encode the planes in the payload as AV1.
    Encode {
        width: u32,
        height: u32,
        /// Luma only, or 4:2:0.
        sampling: ChromaSubsampling,
        /// Quantizer index of AV1.
        quantizer: u8,
    },
}

impl Request {
    pub(super) const BYTES: usize = 12;

    /// The request to decode `av1`, of which a frame must have the given shape.
    pub(super) fn decode(av1: &[u8], expected: YuvShape) -> io::Result<Self> {
        let pixels = u64::from(expected.width) * u64::from(expected.height);
        let fits = |n: u64| u32::try_from(n).map_err(io::Error::other);
        Ok(Self::Decode { bytes: fits(av1.len() as u64)?, pixels_max: fits(pixels)? })
    }

    /// The request to encode `frame`.
    pub(super) fn encode(frame: &Av1Frame) -> Self {
        let sampling = if frame.planes.len() == 1 { ChromaSubsampling::Cs400 } else { ChromaSubsampling::Cs420 };
        Self::Encode { width: frame.width, height: frame.height, sampling, quantizer: frame.quantizer }
    }

    /// Lengths of the planes or data in the payload, in bytes.
    pub(super) fn payload(&self) -> io::Result<Vec<usize>> {
        let lengths = match *self {
            Self::Decode { bytes, .. } => vec![u64::from(bytes)],
            Self::Encode { width, height, sampling, .. } => {
                let size = |n| sampling.plane_size(n, (width, height));
                let sizes = (0..sampling.planes()).map(size);
                sizes.map(|(width, height)| u64::from(width) * u64::from(height)).collect()
            }
        };
        lengths.into_iter().map(|bytes| usize::try_from(bytes).map_err(io::Error::other)).collect()
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let ([kind, sampling, quantizer], first, second) = match self {
            Self::Decode { bytes, pixels_max } => ([0, 0, 0], bytes, pixels_max),
            Self::Encode { width, height, sampling, quantizer } => ([1, to_code(sampling), quantizer], width, height),
        };
        let ([a, b, c, d], [e, f, g, h]) = (first.to_le_bytes(), second.to_le_bytes());
        [kind, sampling, quantizer, 0, a, b, c, d, e, f, g, h]
    }

    /// Reads the next request; `None` at the end of the input.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; Self::BYTES];
        match from.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [kind, sampling, quantizer, _, a, b, c, d, e, f, g, h] = head;
        let (first, second) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        match (kind, from_code(sampling)) {
            (0, _) => Ok(Some(Self::Decode { bytes: first, pixels_max: second })),
            (1, Some(sampling)) => Ok(Some(Self::Encode { width: first, height: second, sampling, quantizer })),
            _ => Err(invalid("unknown request")),
        }
    }
}

/// Reply of the child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The process is confined and ready to read requests.
    Ready,
    /// The system cannot confine the process. It decodes nothing, but encodes.
    Unconfined(String),
    /// The request could not be fulfilled.
    Failed(String),
    /// The planes follow, cropped to the size of the picture and without padding.
    Picture {
        shape: YuvShape,
        cicp: Cicp,
        /// CPU time of the process so far.
        cpu_time: Duration,
    },
    /// That many bytes of AV1 data follow.
    Encoded {
        bytes: u32,
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
            Self::Encoded { .. } => (4, ""),
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
            bytes.extend(to_nanos(*cpu_time));
        }
        if let Self::Encoded { bytes: length, cpu_time } = self {
            bytes.resize(4, 0);
            bytes.extend(length.to_le_bytes());
            bytes.resize(Self::BYTES - 8, 0);
            bytes.extend(to_nanos(*cpu_time));
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
            4 => {
                let [a, b, c, d, ..] = numbers;
                let cpu_time = numbers.last_chunk().map_or(Duration::ZERO, |nanos| from_nanos(*nanos));
                Ok(Self::Encoded { bytes: u32::from_le_bytes([a, b, c, d]), cpu_time })
            }
            _ => Err(invalid("unknown reply")),
        }
    }
}

fn to_nanos(time: Duration) -> [u8; 8] {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes()
}

fn from_nanos(bytes: [u8; 8]) -> Duration {
    Duration::from_nanos(u64::from_le_bytes(bytes))
}

fn picture(depth: u8, sampling: u8, numbers: &[u8; Reply::BYTES - 4]) -> Option<Reply> {
    let [width, height, low, high, ..] = *numbers.as_chunks::<4>().0 else { return None };
    let [primaries, transfer, matrix, range] =
        <[_; 4]>::try_from([low, high].as_flattened().as_chunks::<2>().0).ok()?;
    let cpu_time = from_nanos(*numbers.last_chunk()?);
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
    is_valid.then_some(Reply::Picture { shape, cicp, cpu_time })
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
