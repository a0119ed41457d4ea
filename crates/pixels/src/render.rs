//! From the bytes of an original to the bytes of its variants: decode, crop and scale, encode.

use std::time::Instant;

use crate::codec::decoded::Decoded;
use crate::codec::embedded::Embedded;
use crate::context::RenderContext;
use crate::deadline::cpu_time;
use crate::error::Error;
use crate::header::{Codec, Header};
use crate::limits::Limits;
use crate::metadata::copyright_packet;
use crate::observer::{NoObserver, Observer, Stage};
use crate::output::OutputSpec;
use crate::sandbox::Sandbox;
use crate::transform::color::Gamut;
use crate::transform::crop::CropWindow;

pub(crate) mod animation;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod scale;
pub(crate) mod unchanged;

/// Version of the pipeline, stored with each variant. It changes whenever the same input gives different bytes.
pub const PIPELINE: &str = "10";

/// Settings of a render call.
#[derive(Clone, Copy)]
pub struct RenderOptions<'a> {
    pub limits: &'a Limits,
    /// Decodes AV1, and encodes large AVIF variants. Without a sandbox, AVIF originals are refused, and the encoder is not
    /// stopped within a frame.
    pub sandbox: Option<&'a dyn Sandbox>,
    pub observer: &'a dyn Observer,
}

impl<'a> RenderOptions<'a> {
    /// Options without a sandbox and without an observer.
    #[must_use]
    pub fn new(limits: &'a Limits) -> Self {
        Self { limits, sandbox: None, observer: &NoObserver }
    }

    /// The same options with a sandbox.
    #[must_use]
    pub fn with_sandbox(self, sandbox: &'a dyn Sandbox) -> Self {
        Self { sandbox: Some(sandbox), ..self }
    }

    /// The same options with an observer.
    #[must_use]
    pub fn with_observer(self, observer: &'a dyn Observer) -> Self {
        Self { observer, ..self }
    }

    /// Starts the deadline of a variant, or of several variants that share the decoded original.
    fn context(&self) -> RenderContext<'a> {
        RenderContext::new(self.limits).with_sandbox(self.sandbox)
    }
}

/// Renders one variant. The same input gives the same bytes on every machine.
///
/// # Errors
/// See [`Error`].
pub fn render(
    original: &[u8],
    header: &Header,
    output: OutputSpec,
    options: &RenderOptions<'_>,
) -> Result<Vec<u8>, Error> {
    let mut result = None;
    render_each(original, header, &[output], options, |_, rendered| result = Some(rendered));
    result.unwrap_or_else(|| Err(Error::Encode { reason: "no result".to_owned() }))
}

/// A variant that passed the size check and is rendered from the shared decoded original.
struct Pending {
    /// Index among the requested variants.
    index: usize,
    output: OutputSpec,
    crop_window: CropWindow,
}

/// Renders several variants of one original, which is decoded once. `done` gets the index and the result of each
/// variant as soon as it is known. The bytes are the same as those of [`render`].
pub fn render_each(
    original: &[u8],
    header: &Header,
    outputs: &[OutputSpec],
    options: &RenderOptions<'_>,
    mut done: impl FnMut(usize, Result<Vec<u8>, Error>),
) {
    let encode = options.limits.encode;
    let xmp = if encode.keep_copyright { copyright_packet(original, header.codec) } else { None };
    let xmp = xmp.as_deref();
    let mut pending = Vec::new();
    for (index, &output) in outputs.iter().enumerate() {
        let crop_window = CropWindow::new(header.oriented_size(), output.geometry);
        match encode::check_size(&crop_window, output.encoding, options.limits) {
            Ok(()) if animation::is_animated(header, output.encoding) => {
                let context = options.context();
                let made = animation::render(original, header, crop_window, output, options.limits, &context);
                let data = Embedded { profile: None, xmp };
                done(index, made.map(|made| encode::embed(made, data, output.encoding.format())));
            }
            Ok(()) => pending.push(Pending { index, output, crop_window }),
            Err(error) => done(index, Err(error)),
        }
    }
    if !pending.is_empty() {
        render_still(original, header, &pending, xmp, options, done);
    }
}

/// Renders still variants from one decoded original.
fn render_still(
    original: &[u8],
    header: &Header,
    pending: &[Pending],
    xmp: Option<&[u8]>,
    options: &RenderOptions<'_>,
    mut done: impl FnMut(usize, Result<Vec<u8>, Error>),
) {
    let context = options.context();
    let shares = pending.len() > 1;
    // A truncated original is decoded for each variant separately, because its readable part may depend on the
    // requested size.
    let context = if shares { context.refusing_incomplete() } else { context };
    let outputs: Vec<_> = pending.iter().map(|variant| variant.output).collect();
    let start = Instant::now();
    match decode::decode(original, header, &outputs, &context) {
        Ok(decoded) => {
            options.observer.stage_ended(Stage::Decode, header.codec.extension(), start.elapsed());
            let decoded_at = cpu_time();
            for variant in pending {
                // Decoding counts for every variant, but the other variants do not.
                let context = context.extended_since(decoded_at);
                done(variant.index, render_decoded(&decoded, original, header, variant, xmp, options, &context));
            }
        }
        // Damage may affect only the largest variant. The sandbox always decodes the whole image, so a second attempt
        // is useless there.
        Err(_) if shares && header.sandbox_bytes == 0 => {
            for variant in pending {
                done(variant.index, render(original, header, variant.output, &options.with_observer(&NoObserver)));
            }
        }
        Err(error) => pending.iter().for_each(|variant| done(variant.index, Err(error.clone()))),
    }
}

/// Renders a variant, which is the original without metadata if it has the same pixels and encoding it saves nothing.
fn render_decoded(
    decoded: &Decoded,
    original: &[u8],
    header: &Header,
    variant: &Pending,
    xmp: Option<&[u8]>,
    options: &RenderOptions<'_>,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let Pending { output, crop_window, .. } = variant;
    let keeps_pixels = unchanged::keeps_pixels(header, *output, crop_window, decoded.conversion(), options.limits);
    let is_gif = header.codec == Codec::Gif && header.info.frames == 1;
    // If all pixels are kept, the original limits the size below.
    let gif_bytes_max = (is_gif && !keeps_pixels).then_some(original.len());
    let context = RenderContext { gif_bytes_max, ..*context };
    let (encoded, gamut) = scale_and_encode(decoded, header, variant, options.observer, &context)?;
    let file = if keeps_pixels { unchanged::smaller(encoded, original, header, false) } else { encoded };
    Ok(encode::embed(file, Embedded { profile: gamut.icc_profile(), xmp }, output.encoding.format()))
}

fn scale_and_encode(
    decoded: &Decoded,
    header: &Header,
    Pending { output, crop_window, .. }: &Pending,
    observer: &dyn Observer,
    context: &RenderContext,
) -> Result<(Vec<u8>, Gamut), Error> {
    let (orientation, format) = (header.info.orientation, output.encoding.format().extension());
    let start = Instant::now();
    let scaled = scale::scale_decoded(decoded, *crop_window, orientation, *output, &context.encode);
    observer.stage_ended(Stage::Scale, format, start.elapsed());
    let start = Instant::now();
    let encoded = scaled.and_then(|scaled| scaled.encode(orientation, output.encoding, context));
    observer.stage_ended(Stage::Encode, format, start.elapsed());
    encoded
}
