//! Decodes GIF (GIF89a, CompuServe 1990).

mod blocks;
pub(crate) mod encode;
pub(crate) mod strip;

use std::fs::File;
use std::io::Read;
use std::num::NonZeroU64;
use std::time::Duration;

use gif::{DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};

use self::blocks::{BlockKind, Blocks, FrameBlocks, has_table};
use crate::codec::animation::{AnimationFrames, Canvas, FrameRect, LoopCount, normalize_delay};
use crate::context::RenderContext;
use crate::deadline::Deadline;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::pixels::Pixels;

/// Memory limit of the decoder for a table. The pixels are not included, because this module allocates them.
const TABLE_BYTES_MAX: NonZeroU64 = NonZeroU64::new(1 << 16).unwrap();

/// Memory of the decoder in addition to the canvas: the indices of a row, the tables of the decompressor, and a frame
/// beyond its canvas.
const DECODER_BYTES: u64 = BEYOND_CANVAS_MAX + (1 << 18);

/// Reads the block structure without decoding pixels. Extensions that do not affect frames, such as XMP, are skipped and
/// may have any size.
///
/// # Errors
/// The header is damaged, or reading takes too long.
pub(crate) fn read_info(original: &[u8], deadline: Deadline) -> Result<ImageInfo, Error> {
    let mut decoder = open(original, true, deadline)?;
    let FirstFrame { canvas: (width, height), is_read } = FirstFrame::read(&mut decoder);
    deadline.check()?;
    let mut frames = u32::from(is_read == Ok(true));
    // If the file is truncated or damaged after the first frame, only the frames before that count.
    while frames > 0 && matches!(decoder.next_frame_info(), Ok(Some(_))) {
        frames += 1;
        if frames % FRAMES_PER_CHECK == 0 {
            deadline.check()?;
        }
    }
    deadline.check()?;
    Ok(ImageInfo { width, height, pixel_bytes: 4, extra_bytes: DECODER_BYTES, frames, ..ImageInfo::default() })
}

/// Number of frame headers that are read between two checks of the deadline.
const FRAMES_PER_CHECK: u32 = 1 << 10;

/// The size of the canvas, and the result of reading the header of the first frame.
struct FirstFrame {
    /// The logical screen, enlarged to contain the first frame, as in browsers.
    canvas: (u32, u32),
    /// False if there is no frame.
    is_read: Result<bool, Error>,
}

impl FirstFrame {
    fn read<R: Read>(decoder: &mut Decoder<R>) -> Self {
        let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
        match decoder.next_frame_info() {
            Ok(Some(frame)) => {
                let right = u32::from(frame.left) + u32::from(frame.width);
                let bottom = u32::from(frame.top) + u32::from(frame.height);
                Self { canvas: (width.max(right), height.max(bottom)), is_read: Ok(true) }
            }
            Ok(None) => Self { canvas: (width, height), is_read: Ok(false) },
            Err(error) => Self { canvas: (width, height), is_read: Err(damaged(error.to_string())) },
        }
    }
}

/// Size of the canvas of a file. Blocks on file I/O.
///
/// # Errors
/// The header is damaged.
pub(crate) fn canvas_size(file: File) -> Result<(u32, u32), Error> {
    blocks::canvas_size(file).map_err(|error| damaged(error.to_string()))
}

/// Decodes the first frame.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<Pixels, Error> {
    let mut frames = GifFrames::open(original, 1, context)?;
    match frames.next(context)? {
        Some(_) => Ok(frames.canvas.into_pixels()),
        None => Err(damaged("no frames")),
    }
}

/// The frames of a GIF.
pub(crate) struct GifFrames<'a> {
    decoder: Decoder<FrameBlocks<'a>>,
    /// True if the file has a color table for all frames.
    has_table: bool,
    canvas: Canvas,
    /// The disposal of the current frame, applied before the next one is drawn.
    disposal: Disposal,
    /// The palette indices of one row.
    indices: Vec<u8>,
    loop_count: LoopCount,
    pixels_max: u64,
    /// The result of reading the header of the first frame, until that frame is drawn.
    first: Option<Result<bool, Error>>,
    /// Number of frames to draw.
    frames: u32,
    /// Number of frames drawn so far.
    drawn: u32,
    /// The blocks after the last drawn frame.
    blocks: Blocks<'a>,
    /// Bytes of the blocks before, without metadata.
    bytes: usize,
}

/// The changes that the disposal method of a frame makes to the canvas.
enum Disposal {
    None,
    Clear(FrameRect),
    Restore(FrameRect, Vec<u8>),
}

/// Maximum number of pixels of a frame that is larger than its canvas. The memory permit covers only the canvas.
const BEYOND_CANVAS_MAX: u64 = 1 << 20;

impl<'a> GifFrames<'a> {
    /// Opens a file of which `frames` frames are drawn. Reads the header of the first one.
    pub(crate) fn open(original: &'a [u8], frames: u32, context: &RenderContext) -> Result<Self, Error> {
        let mut decoder = open(original, false, context.deadline)?;
        let FirstFrame { canvas: (width, height), is_read } = FirstFrame::read(&mut decoder);
        Ok(Self {
            decoder,
            has_table: has_table(original),
            canvas: Canvas::clear(width, height),
            disposal: Disposal::None,
            indices: Vec::new(),
            loop_count: LoopCount::ONCE,
            pixels_max: context.pixels_max,
            first: Some(is_read),
            frames,
            drawn: 0,
            blocks: Blocks::new(original),
            bytes: 0,
        })
    }

    /// Counts the bytes up to the end of the frame that was just drawn.
    fn count_bytes(&mut self) {
        for block in self.blocks.by_ref() {
            if block.kind != BlockKind::Other {
                self.bytes += block.bytes.len();
            }
            if block.kind == BlockKind::Image {
                return;
            }
        }
    }

    /// Draws the frame whose header was just read.
    fn draw(&mut self, context: &RenderContext) -> Result<Duration, Error> {
        let frame = self.decoder.current_frame_info().ok_or_else(|| damaged("no frames"))?;
        let rect = FrameRect {
            x: frame.left.into(),
            y: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let (delay, transparent, dispose) = (frame.delay, frame.transparent, frame.dispose);
        let is_interlaced = frame.interlaced;
        // Browsers show nothing of a frame without a color table.
        let has_table = self.has_table || frame.palette.is_some();
        if rect.pixels() > self.pixels_max {
            let (width, height) = (rect.width, rect.height);
            return Err(Error::TooManyPixels { width, height, pixels_max: self.pixels_max });
        }
        // Some encoders write frames that extend slightly beyond their canvas.
        let Pixels { width, height, .. } = self.canvas.pixels();
        if rect.pixels() > (u64::from(*width) * u64::from(*height)).max(BEYOND_CANVAS_MAX) {
            return Err(damaged("a frame extends far beyond its canvas"));
        }
        match std::mem::replace(&mut self.disposal, Disposal::None) {
            Disposal::None => {}
            Disposal::Clear(rect) => self.canvas.clear_at(&rect),
            Disposal::Restore(rect, pixels) => self.canvas.restore(&rect, &pixels),
        }
        self.disposal = match dispose {
            // The last frame is not disposed, so nothing is copied.
            _ if self.drawn + 1 >= self.frames => Disposal::None,
            DisposalMethod::Any | DisposalMethod::Keep => Disposal::None,
            DisposalMethod::Background => Disposal::Clear(rect),
            DisposalMethod::Previous => Disposal::Restore(rect, self.canvas.copy(&rect)),
        };
        let palette = self.decoder.palette().map_err(|error| damaged(error.to_string()))?.to_vec();
        let (colors, _) = palette.as_chunks::<3>();
        let color = |&index: &u8| {
            let is_clear = Some(index) == transparent || !has_table;
            let color = if is_clear { None } else { colors.get(usize::from(index)) };
            color.map(|&[red, green, blue]| [red, green, blue, 255])
        };
        let mut is_damaged = false;
        for y in stored_rows(rect.height, is_interlaced) {
            self.indices.clear();
            self.indices.resize(rect.width as usize, transparent.unwrap_or(0));
            if !is_damaged {
                let read = self.decoder.fill_buffer(&mut self.indices).map_err(|error| damaged(error.to_string()));
                context.deadline.check()?;
                match read.and_then(|is_full| if is_full { Ok(()) } else { Err(damaged("image truncated")) }) {
                    Err(_) if self.drawn == 0 && context.keeps_incomplete() => is_damaged = true,
                    read => read?,
                }
            }
            let row = FrameRect { y: rect.y.saturating_add(y), height: 1, ..rect };
            self.canvas.draw(&row, &self.indices, color);
        }
        let delay = Duration::from_millis(10 * u64::from(delay));
        Ok(normalize_delay(delay))
    }
}

impl AnimationFrames for GifFrames<'_> {
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error> {
        let is_read = self.first.take().unwrap_or_else(|| {
            let frame = self.decoder.next_frame_info().map_err(|error| damaged(error.to_string()))?;
            Ok(frame.is_some())
        });
        context.deadline.check()?;
        match is_read {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // Browsers show the frames before the damage.
            Err(_) if self.drawn > 0 && context.keeps_incomplete() => return Ok(None),
            Err(error) => return Err(error),
        }
        let delay = match self.draw(context) {
            Err(Error::Damaged { .. }) if self.drawn > 0 && context.keeps_incomplete() => return Ok(None),
            delay => delay?,
        };
        self.drawn += 1;
        self.count_bytes();
        // The loop extension may follow the header of the first frame.
        self.loop_count = match self.decoder.repeat() {
            Repeat::Infinite => LoopCount::INFINITE,
            Repeat::Finite(repeats) => LoopCount(u32::from(repeats) + 1),
        };
        Ok(Some(delay))
    }

    fn canvas(&self) -> &Pixels {
        self.canvas.pixels()
    }

    fn loop_count(&self) -> LoopCount {
        self.loop_count
    }

    fn gif_bytes(&self) -> Option<usize> {
        Some(self.bytes)
    }
}

/// The rows of a frame in the order in which they are stored (GIF89a, appendix E).
fn stored_rows(height: u32, is_interlaced: bool) -> impl Iterator<Item = u32> {
    const PASSES: [(u32, usize); 4] = [(0, 8), (4, 8), (2, 4), (1, 2)];
    let passes = if is_interlaced { &PASSES[..] } else { &[(0, 1)] };
    passes.iter().flat_map(move |&(first, step)| (first..height).step_by(step))
}

fn open(original: &[u8], skip: bool, deadline: Deadline) -> Result<Decoder<FrameBlocks<'_>>, Error> {
    let mut options = DecodeOptions::new();
    options.set_memory_limit(MemoryLimit::Bytes(TABLE_BYTES_MAX));
    options.skip_frame_decoding(skip);
    options
        .read_info(FrameBlocks::new(original, deadline))
        .map_err(|error| if deadline.is_ahead() { damaged(error.to_string()) } else { deadline.error() })
}
