//! Messages between the server and the child process. A message is a head of fixed size with little-endian numbers,
//! followed by bytes.
//!
//! Samples of more than 8 bits have native byte order, because both processes run on the same machine.

use std::io::{self, Read};
use std::time::Duration;

use pixels::{
    Av1Frame, ChromaSubsampling, Cicp, DecodeRequest, ImageShape, JxlCoding, JxlColors, JxlPicture, PROFILE_BYTES_MAX,
    PixelLayout, PixelShape, SandboxFormat, YuvSamples, YuvShape,
};

/// Request to the child process. A payload follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Request {
    /// Decode the data in the payload.
    Decode {
        format: SandboxFormat,
        /// The shape that the image must have.
        shape: ImageShape,
        /// Length of the payload.
        bytes: u32,
    },
    /// Sanitize the SVG in the payload.
    Sanitize {
        /// Length of the payload.
        bytes: u32,
    },
    /// Decode the first frame of the animation in the payload.
    Animate {
        format: SandboxFormat,
        /// The shape that every frame must have.
        shape: ImageShape,
        /// Length of the payload.
        bytes: u32,
    },
    /// Decode the next frame of the animation.
    NextFrame,
    /// Encode the planes in the payload as AV1.
    Encode {
        shape: YuvShape,
        /// Quantizer index of AV1.
        quantizer: u8,
    },
    /// Encode the pixels in the payload as JPEG XL.
    EncodeJxl { shape: PixelShape, depth: Depth, colors: JxlColors, coding: JxlCoding },
}

/// Bits per sample of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Eight,
    Sixteen,
}

impl Request {
    pub(super) const BYTES: usize = 16;

    pub(super) fn decode(request: &DecodeRequest<'_>) -> io::Result<Self> {
        let bytes = u32::try_from(request.bytes.len()).map_err(io::Error::other)?;
        Ok(Self::Decode { format: request.format, shape: request.shape, bytes })
    }

    /// The request to sanitize `svg`.
    pub(super) fn sanitize(svg: &[u8]) -> io::Result<Self> {
        Ok(Self::Sanitize { bytes: u32::try_from(svg.len()).map_err(io::Error::other)? })
    }

    /// The request to decode the frames of an animation, of which the first is returned.
    pub(super) fn animate(request: &DecodeRequest<'_>) -> io::Result<Self> {
        let bytes = u32::try_from(request.bytes.len()).map_err(io::Error::other)?;
        Ok(Self::Animate { format: request.format, shape: request.shape, bytes })
    }

    /// The request to encode `frame`.
    pub(super) fn encode(frame: &Av1Frame) -> Self {
        Self::Encode { shape: frame.shape, quantizer: frame.quantizer }
    }

    /// The request to encode `picture`.
    pub(super) fn encode_jxl(picture: &JxlPicture) -> Self {
        let depth = match picture.samples {
            YuvSamples::U8(_) => Depth::Eight,
            YuvSamples::U16(_) => Depth::Sixteen,
        };
        Self::EncodeJxl { shape: picture.shape, depth, colors: picture.colors, coding: picture.coding }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        match self {
            Self::EncodeJxl { shape, depth, colors, coding } => {
                let (coding, distance) = match coding {
                    JxlCoding::Lossless => (0, 0.0),
                    JxlCoding::Lossy(distance) => (1, distance),
                    JxlCoding::Smaller(distance) => (2, distance),
                };
                (bytes[0], bytes[1]) = (5, coding | if colors == JxlColors::DisplayP3 { WIDE } else { 0 });
                let shape = match depth {
                    Depth::Eight => ImageShape::Pixels(shape),
                    Depth::Sixteen => ImageShape::DeepPixels(shape),
                };
                bytes[2..12].copy_from_slice(&shape_to_bytes(shape));
                bytes[12..].copy_from_slice(&distance.to_le_bytes());
            }
            Self::Decode { format, shape, bytes: length } | Self::Animate { format, shape, bytes: length } => {
                bytes[0] = if matches!(self, Self::Animate { .. }) { 2 } else { 0 };
                bytes[1] = index(&SandboxFormat::ALL, format);
                bytes[2..12].copy_from_slice(&shape_to_bytes(shape));
                bytes[12..].copy_from_slice(&length.to_le_bytes());
            }
            Self::NextFrame => bytes[0] = 3,
            Self::Sanitize { bytes: length } => {
                bytes[0] = 4;
                bytes[12..].copy_from_slice(&length.to_le_bytes());
            }
            Self::Encode { shape, quantizer } => {
                (bytes[0], bytes[1]) = (1, quantizer);
                bytes[2..12].copy_from_slice(&shape_to_bytes(ImageShape::Yuv(shape)));
            }
        }
        bytes
    }

    /// Reads the next request; `None` at the end of the input.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; Self::BYTES];
        match from.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [kind, second, shape @ .., a, b, c, d] = head;
        if kind == 3 {
            return Ok(Some(Self::NextFrame));
        }
        let bytes = u32::from_le_bytes([a, b, c, d]);
        if kind == 4 {
            return Ok(Some(Self::Sanitize { bytes }));
        }
        let shape = shape_from_bytes(&shape).ok_or_else(|| invalid("no image has this shape"))?;
        let format = SandboxFormat::ALL.get(usize::from(second)).copied();
        match (kind, shape, format) {
            (0, _, Some(format)) => Ok(Some(Self::Decode { format, shape, bytes })),
            (2, _, Some(format)) => Ok(Some(Self::Animate { format, shape, bytes })),
            (1, ImageShape::Yuv(shape), _) => Ok(Some(Self::Encode { shape, quantizer: second })),
            (5, ImageShape::Pixels(shape), _) => jxl(shape, Depth::Eight, second, bytes).map(Some),
            (5, ImageShape::DeepPixels(shape), _) => jxl(shape, Depth::Sixteen, second, bytes).map(Some),
            _ => Err(invalid("unknown request")),
        }
    }
}

/// Set in the code of the coding of pixels in Display P3.
const WIDE: u8 = 0x80;

/// The request to encode JPEG XL. `bits` are those of the distance.
fn jxl(shape: PixelShape, depth: Depth, coding: u8, bits: u32) -> io::Result<Request> {
    let colors = if coding & WIDE == 0 { JxlColors::Srgb } else { JxlColors::DisplayP3 };
    let distance = f32::from_bits(bits);
    let coding = match coding & !WIDE {
        0 => JxlCoding::Lossless,
        1 => JxlCoding::Lossy(distance),
        2 => JxlCoding::Smaller(distance),
        _ => return Err(invalid("unknown coding")),
    };
    Ok(Request::EncodeJxl { shape, depth, colors, coding })
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
    /// The ICC profile follows, then the planes or pixels, cropped to the size of the image and without padding.
    Image {
        shape: ImageShape,
        /// The color description of planes.
        cicp: Cicp,
        /// Length of the ICC profile, at most [`PROFILE_BYTES_MAX`]; 0 if there is none.
        profile_bytes: u32,
        /// CPU time of the process so far.
        cpu_time: Duration,
        /// The time that a frame is shown, in microseconds; the largest number stands for a longer time.
        duration_micros: u32,
    },
    /// The animation has no other frame.
    End {
        /// CPU time of the process so far.
        cpu_time: Duration,
    },
    /// That many bytes of AV1 data or of sanitized SVG follow.
    Encoded {
        bytes: u32,
        /// CPU time of the process so far.
        cpu_time: Duration,
    },
}

/// Maximum length of a text in bytes.
const TEXT_MAX: usize = 200;

impl Reply {
    const BYTES: usize = 36;

    /// The head, followed by the text.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (kind, text) = match self {
            Self::Ready => (0, ""),
            Self::Unconfined(text) => (1, text.as_str()),
            Self::Failed(text) => (2, text.as_str()),
            Self::Image { .. } => (3, ""),
            Self::Encoded { .. } => (4, ""),
            Self::End { .. } => (5, ""),
        };
        let text = text.as_bytes();
        let text = text.get(..TEXT_MAX).unwrap_or(text);
        let mut bytes = vec![kind, u8::try_from(text.len()).unwrap_or(0)];
        if let Self::Image { shape, cicp, profile_bytes, cpu_time, duration_micros } = self {
            bytes.extend(shape_to_bytes(*shape));
            bytes.extend(profile_bytes.to_le_bytes());
            for n in [cicp.primaries, cicp.transfer, cicp.matrix, u16::from(cicp.full_range)] {
                bytes.extend(n.to_le_bytes());
            }
            bytes.extend(to_nanos(*cpu_time));
            bytes.extend(duration_micros.to_le_bytes());
        }
        if let Self::Encoded { bytes: length, .. } = self {
            bytes.resize(4, 0);
            bytes.extend(length.to_le_bytes());
        }
        if let Self::Encoded { cpu_time, .. } | Self::End { cpu_time } = self {
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
        let [kind, text, ..] = head;
        match kind {
            0 => Ok(Self::Ready),
            1 => read_text(from, text).map(Self::Unconfined),
            2 => read_text(from, text).map(Self::Failed),
            3 => image(&head).ok_or_else(|| invalid("no image has this shape")),
            4 => {
                let [_, _, _, _, a, b, c, d, ..] = head;
                Ok(Self::Encoded { bytes: u32::from_le_bytes([a, b, c, d]), cpu_time: cpu_time(&head) })
            }
            5 => Ok(Self::End { cpu_time: cpu_time(&head) }),
            _ => Err(invalid("unknown reply")),
        }
    }
}

/// The CPU time at the end of a head.
fn cpu_time(head: &[u8; Reply::BYTES]) -> Duration {
    head.last_chunk().map_or(Duration::ZERO, |nanos| from_nanos(*nanos))
}

fn to_nanos(time: Duration) -> [u8; 8] {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes()
}

fn from_nanos(bytes: [u8; 8]) -> Duration {
    Duration::from_nanos(u64::from_le_bytes(bytes))
}

/// The reply [`Reply::Image`] with this head; `None` if it is invalid.
fn image(head: &[u8; Reply::BYTES]) -> Option<Reply> {
    let (_, fields) = head.split_at(2);
    let (shape, fields) = fields.split_first_chunk()?;
    let (profile_bytes, fields) = fields.split_first_chunk()?;
    let (cicp, fields) = fields.split_first_chunk::<8>()?;
    let (cpu_time, duration) = fields.split_first_chunk()?;
    let duration_micros = u32::from_le_bytes(*duration.first_chunk()?);
    let [primaries, transfer, matrix, range] = <[_; 4]>::try_from(cicp.as_chunks::<2>().0).ok()?;
    let profile_bytes = u32::from_le_bytes(*profile_bytes);
    let cicp = Cicp {
        primaries: u16::from_le_bytes(primaries),
        transfer: u16::from_le_bytes(transfer),
        matrix: u16::from_le_bytes(matrix),
        full_range: u16::from_le_bytes(range) != 0,
    };
    let is_valid = usize::try_from(profile_bytes).is_ok_and(|bytes| bytes <= PROFILE_BYTES_MAX);
    let (shape, cpu_time) = (shape_from_bytes(shape)?, from_nanos(*cpu_time));
    is_valid.then_some(Reply::Image { shape, cicp, profile_bytes, cpu_time, duration_micros })
}

/// Code of the samples, bits per sample, width and height.
fn shape_to_bytes(shape: ImageShape) -> [u8; 10] {
    let (samples, depth, width, height) = match shape {
        ImageShape::Yuv(YuvShape { width, height, depth, sampling }) => {
            (index(&SAMPLINGS, sampling), depth, width, height)
        }
        ImageShape::Pixels(PixelShape { width, height, layout }) => {
            (PIXELS | index(&PixelLayout::ALL, layout), 8, width, height)
        }
        ImageShape::DeepPixels(PixelShape { width, height, layout }) => {
            (PIXELS | index(&PixelLayout::ALL, layout), 16, width, height)
        }
    };
    let ([a, b, c, d], [e, f, g, h]) = (width.to_le_bytes(), height.to_le_bytes());
    [samples, depth, a, b, c, d, e, f, g, h]
}

/// `None` if no image has this shape.
fn shape_from_bytes(bytes: &[u8; 10]) -> Option<ImageShape> {
    let [samples, depth, a, b, c, d, e, f, g, h] = *bytes;
    let (width, height) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if width == 0 || height == 0 {
        return None;
    }
    if samples & PIXELS != 0 {
        let layout = *PixelLayout::ALL.get(usize::from(samples & !PIXELS))?;
        let shape = PixelShape { width, height, layout };
        return match depth {
            8 => Some(ImageShape::Pixels(shape)),
            16 => Some(ImageShape::DeepPixels(shape)),
            _ => None,
        };
    }
    let sampling = *SAMPLINGS.get(usize::from(samples))?;
    matches!(depth, 8 | 10 | 12).then_some(ImageShape::Yuv(YuvShape { width, height, depth, sampling }))
}

/// Set in the code of the samples of pixels, and not of planes.
const PIXELS: u8 = 0x80;

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

/// The position of `value` among all values of its type.
fn index<T: PartialEq>(all: &[T], value: T) -> u8 {
    all.iter().zip(0..).find(|(known, _)| **known == value).map_or(u8::MAX, |(_, n)| n)
}
