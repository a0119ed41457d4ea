//! Properties of the image parsers that hold for any bytes: the bodies of the fuzz targets. `cargo test` runs them on
//! the seeds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pixels::{
    Av1Frame, Codec, Codecs, DecodeRequest, EncodeOptions, Encoding, Geometry, HEADER_BYTES_MAX, Header, Incomplete,
    Limits, OutputSpec, Quality, Region, RenderOptions, Sandbox, SandboxError, SandboxFormat, SandboxFrame,
    SandboxImage, SandboxOutput, SandboxTask, SandboxWorker, decoders, output_size, render, sniff,
};

/// The system allocator, with a count of the bytes in use and their maximum.
pub struct Counting;

static USED: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

fn count_allocated(bytes: usize) {
    PEAK.fetch_max(USED.fetch_add(bytes as u64, Relaxed) + bytes as u64, Relaxed);
}

// SAFETY: all calls are forwarded to the system allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocated(layout.size());
        // SAFETY: the caller fulfills the contract of `System`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocated(layout.size());
        // SAFETY: the caller fulfills the contract of `System`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller fulfills the contract of `System`, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work` and returns its result and the maximum of the bytes that it had in use. No other thread may allocate
/// meanwhile.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (result, PEAK.load(Relaxed).saturating_sub(before))
}

/// Bytes for tables, names and errors, which do not depend on the size of the image.
pub const SLACK_BYTES: u64 = 1 << 20;

pub fn limits() -> Limits {
    Limits {
        input_pixels: 1 << 18,
        output_pixels: 1 << 16,
        frames: 20,
        animation_pixels: 1 << 20,
        scans: 20,
        render_time: Duration::from_secs(5),
        incomplete: Incomplete::Refuse,
        originals: Codecs::DEFAULT,
        encode: EncodeOptions::default(),
    }
}

/// Reading a header gives an error or a size within the limits, and takes little memory.
pub fn header(bytes: &[u8]) -> Option<Header> {
    header_within(bytes, &limits())
}

fn header_within(bytes: &[u8], limits: &Limits) -> Option<Header> {
    let (header, bytes_used) = peak(|| Header::read(bytes, limits));
    assert!(bytes_used <= HEADER_BYTES_MAX, "a header took {bytes_used} bytes");
    let header = header.ok()?;
    let (width, height) = header.oriented_size();
    assert!(width > 0 && height > 0 && u64::from(width) * u64::from(height) <= limits.input_pixels);
    Some(header)
}

/// Rendering gives an error or an image of the expected size, within the estimated memory. The first four bytes select
/// the variant.
pub fn variant(bytes: &[u8]) {
    let Some((&[width, height, shape, format], bytes)) = bytes.split_first_chunk() else { return };
    let incomplete = if shape & 32 == 0 { Incomplete::Refuse } else { Incomplete::Keep };
    let encode = EncodeOptions {
        jpeg_progressive: shape & 64 != 0,
        png_colors: NonZeroU16::new(if shape & 64 != 0 { 16 } else { 0 }),
        linear_light: shape & 128 != 0,
        ..EncodeOptions::default()
    };
    let limits = Limits { incomplete, encode, ..limits() };
    // The estimate depends on the encoder options.
    let Some(header) = header_within(bytes, &limits) else { return };
    let output = OutputSpec { geometry: geometry(width, height, shape), encoding: encoding(format) };
    let estimated = header.working_bytes(&[output]);
    let (made, used) = peak(|| render(bytes, &header, output, &RenderOptions::new(&limits)));
    assert!(used <= estimated / 4 * 5, "{used} bytes used, {estimated} estimated");
    let Ok(made) = made else { return };
    assert_eq!(sniff(&made), Some(output.encoding.format().media_type()));
    let (width, height) = header.oriented_size();
    let nonzero = |n| NonZeroU32::new(n).expect("a valid header has no zero side");
    let (width, height) = output_size(nonzero(width), nonzero(height), output.geometry);
    let made = Header::read(&made, &limits).expect("the output can be read");
    assert_eq!((made.info.width, made.info.height), (width.get(), height.get()));
}

/// Decodes in this process, within the memory that the header permits. The memory of the decoder of JPEG XL depends on
/// more than the header, and that of the elements of an SVG too, so only the kernel enforces it.
struct InProcess;

struct InProcessWorker {
    memory_bytes: u64,
    /// The frames of an animation that were not requested yet.
    frames: VecDeque<SandboxFrame>,
}

/// Maximum number of frames that are decoded.
const FRAMES_MAX: usize = 16;

impl Sandbox for InProcess {
    fn start(
        &self,
        _task: SandboxTask,
        memory_bytes: u64,
        _cpu_time: Duration,
    ) -> Result<Box<dyn SandboxWorker>, SandboxError> {
        Ok(Box::new(InProcessWorker { memory_bytes, frames: VecDeque::new() }))
    }
}

impl SandboxWorker for InProcessWorker {
    fn decode(&mut self, request: &DecodeRequest<'_>) -> Result<SandboxOutput<SandboxImage>, SandboxError> {
        let (image, used) = peak(|| decoders::decode(request));
        // A process holds the data as well.
        let used = used + request.bytes.len() as u64;
        if !matches!(request.format, SandboxFormat::JpegXl | SandboxFormat::Svg) {
            assert!(used <= self.memory_bytes, "{used} bytes used, {} permitted", self.memory_bytes);
        }
        let image = image.map_err(|reason| SandboxError::Failed { reason })?;
        Ok(SandboxOutput { value: image.into_image(), cpu_time: Duration::ZERO })
    }

    fn sanitize(&mut self, svg: &[u8]) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        let value = decoders::sanitize_svg(svg).map_err(|reason| SandboxError::Failed { reason })?;
        Ok(SandboxOutput { value, cpu_time: Duration::ZERO })
    }

    fn start_animation(
        &mut self,
        request: &DecodeRequest<'_>,
    ) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError> {
        let failed = |reason| SandboxError::Failed { reason };
        let mut frames = decoders::decode_animation(request).map_err(failed)?;
        while self.frames.len() < FRAMES_MAX
            && let Some((image, duration)) = frames.next_frame().map_err(failed)?
        {
            self.frames.push_back(SandboxFrame { image: image.into_image(), duration });
        }
        self.next_frame()
    }

    fn next_frame(&mut self) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError> {
        Ok(SandboxOutput { value: self.frames.pop_front(), cpu_time: Duration::ZERO })
    }

    fn encode(&mut self, _frame: &Av1Frame) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        Err(SandboxError::Failed { reason: "not in a fuzz target".to_owned() })
    }
}

/// Decoding an original of these formats in the code of the sandboxed process gives an error or an image of the size that
/// the header states.
pub fn original(bytes: &[u8], codecs: &[Codec]) {
    original_within(bytes, codecs, &Limits { input_pixels: 1 << 14, ..limits() });
}

/// Returns true if the original was decoded.
pub fn original_within(bytes: &[u8], codecs: &[Codec], limits: &Limits) -> bool {
    let header = header_within(bytes, limits).filter(|header| codecs.contains(&header.codec));
    let Some(header) = header else { return false };
    let (width, height) = header.oriented_size();
    let geometry = Geometry::Fit { width: NonZeroU32::new(width), height: NonZeroU32::new(height) };
    let options = RenderOptions::new(limits).with_sandbox(&InProcess);
    let output = OutputSpec { geometry, encoding: Encoding::Png };
    let Ok(made) = render(bytes, &header, output, &options) else { return false };
    let made = Header::read(&made, limits).expect("the output can be read");
    assert_eq!((made.info.width, made.info.height), (width, height));
    true
}

/// Rasterizing and sanitizing an SVG in the code of the sandboxed process gives errors, or an image that touches its box,
/// and a file of limited length without scripts that can be sanitized again.
pub fn svg(bytes: &[u8]) {
    let limits = Limits { originals: Codecs::DEFAULT.with(Codec::Svg), ..limits() };
    let Ok(header) = Header::read(bytes, &limits) else { return };
    if header.codec != Codec::Svg {
        return;
    }
    let side = NonZeroU32::new(40);
    let output = OutputSpec { geometry: Geometry::Fit { width: side, height: side }, encoding: Encoding::Png };
    let options = RenderOptions::new(&limits).with_sandbox(&InProcess);
    if let Ok(made) = render(bytes, &header, output, &options) {
        let made = Header::read(&made, &limits).expect("the output can be read").info;
        assert_eq!(made.width.max(made.height), 40);
    }
    let Ok(sanitized) = decoders::sanitize_svg(bytes) else { return };
    assert!(sanitized.len() <= pixels::sanitized_bytes_max(bytes.len()));
    let text = String::from_utf8(sanitized).expect("XML is written as UTF-8").to_lowercase();
    assert!(!text.contains("<script") && !text.contains("<foreignobject"), "{text}");
    assert!(decoders::sanitize_svg(text.as_bytes()).is_ok() || !text.contains("<svg"), "{text}");
}

fn geometry(width: u8, height: u8, shape: u8) -> Geometry {
    let side = |n: u8| NonZeroU32::new(2 * u32::from(n));
    let one = NonZeroU32::MIN;
    match Region::ALL.get(usize::from(shape % 16)) {
        Some(&region) => {
            Geometry::Crop { width: side(width).unwrap_or(one), height: side(height).unwrap_or(one), region }
        }
        None => Geometry::Fit { width: side(width).or((height == 0).then_some(one)), height: side(height) },
    }
}

fn encoding(format: u8) -> Encoding {
    let quality = Quality::new(format / 4 + 1).expect("1 to 64");
    match format % 4 {
        0 => Encoding::Jpeg(quality),
        1 => Encoding::Png,
        2 => Encoding::Gif,
        _ => Encoding::WebP(if quality.get() == 64 { Quality::new(100).expect("1 to 100") } else { quality }),
    }
}

/// Decodes arbitrary bytes as a JPEG, at the scales that the first byte selects. Expects an error or planes of the
/// expected size.
pub fn planes(bytes: &[u8]) {
    use jpeg_planes::{Header, Incomplete, Limits, Options, Scale, Scales, decode};
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let limits = Limits { pixels: 1 << 18, scans: 32, segments: 256 };
    let Ok(header) = Header::read(bytes, &limits) else { return };
    let scale = |n: u8| Scale::ALL[usize::from(choice >> n & 3)];
    let scales = [scale(0), scale(2), scale(4), scale(0)].map(Scales::from);
    let incomplete = if choice & 64 == 0 { Incomplete::Keep } else { Incomplete::Refuse };
    let tolerance = if choice & 128 == 0 { 0.0 } else { 4.0 };
    let options = Options { scales, incomplete, limits, tolerance, should_continue: &|| true };
    let (planes, used) = peak(|| decode(bytes, &header, &options));
    let estimated = header.working_bytes(scales);
    assert!(used <= estimated + SLACK_BYTES, "{used} bytes used, {estimated} estimated");
    let Ok(planes) = planes else { return };
    for plane in &planes {
        assert_eq!(Some((plane.width, plane.height)), header.plane_size(plane.component, plane.mode));
    }
}

/// Decodes arbitrary bytes as a VP8 frame, with the loop filters that the first byte selects. Expects an error, or
/// planes of the expected size within the estimated memory, which equal those of image-webp if it accepts the frame.
pub fn vp8(bytes: &[u8]) {
    use vp8_planes::{Header, Incomplete, Limits, LoopFilter, Options, decode};
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let limits = Limits { pixels: 1 << 16, ..Limits::default() };
    let Ok(header) = Header::read(bytes, &limits) else { return };
    let filters = [&[LoopFilter::Apply][..], &[LoopFilter::Skip], &[LoopFilter::Skip, LoopFilter::Apply]];
    let filters = filters[usize::from(choice % 3)];
    let incomplete = if choice & 128 == 0 { Incomplete::Keep } else { Incomplete::Refuse };
    let (planes, used) = peak(|| decode(bytes, &header, filters, &Options { incomplete, should_continue: &|| true }));
    let estimated = header.working_bytes(filters.len());
    assert!(used <= estimated, "{used} bytes used, {estimated} estimated");
    for plane in planes.iter().flatten() {
        assert_eq!((plane.width, plane.height), header.plane_size(plane.component));
        assert_eq!(plane.data.len() as u64, u64::from(plane.width) * u64::from(plane.height));
    }
    // A partition cannot start with 255. After such a byte the output is undefined.
    let bytes: Vec<u8> = bytes.iter().map(|byte| (*byte).min(254)).collect();
    let Ok(theirs) = image_webp::vp8::Vp8Decoder::decode_frame(&bytes[..]) else { return };
    let Ok(header) = Header::read(&bytes, &limits) else { return };
    let ours =
        decode(&bytes, &header, &[LoopFilter::Apply], &Options::default()).expect("image-webp accepts the frame");
    let theirs = [(theirs.ybuf, 16, 1), (theirs.ubuf, 8, 2), (theirs.vbuf, 8, 2)];
    for (ours, (theirs, unit, part)) in ours.iter().zip(theirs) {
        let stride = unit * header.width.div_ceil(16) as usize;
        let width = header.width.div_ceil(part) as usize;
        assert!(ours.data.chunks(width).zip(theirs.chunks(stride)).all(|(ours, theirs)| *ours == theirs[..width]));
    }
}

/// Decodes arbitrary bytes as a VP8L stream, with or without a header. Expects an error, or as many pixels as the header
/// states, within the estimated memory.
pub fn vp8l(bytes: &[u8]) {
    use vp8l::{Header, Limits, Options, decode, decode_headerless, working_bytes};
    let Some((&[width, height], bytes)) = bytes.split_first_chunk() else { return };
    let (width, height) = (1 + u32::from(width), 1 + u32::from(height));
    let (pixels, used) = peak(|| decode_headerless(bytes, width, height, &Options::default()));
    let estimated = working_bytes(width, height);
    assert!(used <= estimated, "{used} bytes used, {estimated} estimated");
    assert!(pixels.is_err() || pixels.is_ok_and(|pixels| pixels.len() as u32 == width * height));
    let Ok(header) = Header::read(bytes, &Limits { pixels: 1 << 16, ..Limits::default() }) else { return };
    let (pixels, used) = peak(|| decode(bytes, &header, &Options::default()));
    let estimated = header.working_bytes();
    assert!(used <= estimated, "{used} bytes used, {estimated} estimated");
    assert!(pixels.is_err() || pixels.is_ok_and(|pixels| pixels.len() as u32 == header.width * header.height));
}
