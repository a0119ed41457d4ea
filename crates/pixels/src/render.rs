//! From the bytes of an original to the bytes of its variants: decode, crop and scale, encode.

use std::time::Instant;

use crate::codec::decoded::Decoded;
use crate::codec::embedded::Embedded;
use crate::codecs::Codec;
use crate::context::RenderContext;
use crate::deadline::cpu_time;
use crate::encoding::Encoding;
use crate::error::Error;
use crate::header::Header;
use crate::limits::Limits;
use crate::metadata::{copyright, packet};
use crate::observer::{NoObserver, Observer, Stage};
use crate::output::OutputSpec;
use crate::sandbox::Sandbox;
use crate::transform::color::{Conversion, Gamut};
use crate::transform::crop::CropWindow;

pub(crate) mod animation;
pub(crate) mod decode;
pub(crate) mod encode;
mod gain_map;
pub(crate) mod scale;
pub(crate) mod unchanged;

/// Version of the pipeline, stored with each variant. It changes whenever the same input gives different bytes.
pub const PIPELINE: &str = "11";

/// Settings of a render call.
#[derive(Clone, Copy)]
pub struct RenderOptions<'a> {
    pub limits: &'a Limits,
    /// Decodes the formats that need isolation, and encodes JPEG XL and large AVIF variants. Without a sandbox, originals of
    /// these formats are refused, and the encoders are not stopped within a frame.
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

/// An original with the statements about authorship and license that its variants keep.
#[derive(Clone, Copy)]
struct Source<'a> {
    original: &'a [u8],
    header: &'a Header,
    /// An `rdf:Description`.
    copyright: Option<&'a str>,
    /// An XMP packet with the description.
    xmp: Option<&'a [u8]>,
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
    if header.vector.is_some() {
        return render_vector(original, header, outputs, options, &mut done);
    }
    let keeps_copyright = options.limits.encode.keep_copyright;
    let copyright = if keeps_copyright { copyright(original, header.codec) } else { None };
    let xmp = copyright.as_deref().map(packet);
    let source = Source { original, header, copyright: copyright.as_deref(), xmp: xmp.as_deref() };
    let mut pending = Vec::new();
    for (index, &output) in outputs.iter().enumerate() {
        let crop_window = CropWindow::new(header.oriented_size(), output.geometry);
        match encode::check_size(&crop_window, output.encoding, options.limits) {
            Ok(()) if animation::is_animated(header, output.encoding) => {
                let context = options.context();
                let made = animation::render(original, header, crop_window, output, options.limits, &context);
                let data = Embedded { xmp: source.xmp, ..Embedded::default() };
                done(index, made.map(|made| encode::embed(made, data, output.encoding.format())));
            }
            Ok(()) => pending.push(Pending { index, output, crop_window }),
            Err(error) => done(index, Err(error)),
        }
    }
    // An original of more than 8 bits is decoded twice if only some variants keep them.
    let (deep, shallow): (Vec<_>, Vec<_>) = pending.into_iter().partition(|variant| header.is_deep(variant.output));
    for variants in [shallow, deep].iter().filter(|variants| !variants.is_empty()) {
        render_still(source, variants, options, &mut done);
    }
}

/// Renders variants of a vector picture, which is rasterized for each of them.
fn render_vector(
    original: &[u8],
    header: &Header,
    outputs: &[OutputSpec],
    options: &RenderOptions<'_>,
    done: &mut dyn FnMut(usize, Result<Vec<u8>, Error>),
) {
    for (index, output) in outputs.iter().enumerate() {
        match header.rasterized(output.geometry, options.limits) {
            Ok(header) => {
                render_each(original, &header, &[*output], options, &mut |_, rendered| done(index, rendered));
            }
            Err(error) => done(index, Err(error)),
        }
    }
}

/// Renders still variants from one decoded original.
fn render_still(
    source: Source<'_>,
    pending: &[Pending],
    options: &RenderOptions<'_>,
    mut done: impl FnMut(usize, Result<Vec<u8>, Error>),
) {
    let Source { original, header, .. } = source;
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
                done(variant.index, render_decoded(source, &decoded, variant, options, &context));
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
    source: Source<'_>,
    decoded: &Decoded,
    variant: &Pending,
    options: &RenderOptions<'_>,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let Source { original, header, xmp, .. } = source;
    let Pending { output, crop_window, .. } = variant;
    let crop_window = scale::place(decoded, *crop_window, header.info.orientation, output.geometry)?;
    if let (Encoding::Jpeg(quality), Some(map)) = (output.encoding, header.gain_map.as_deref()) {
        // The map refers to the colors of the original.
        let unconverted = Conversion::NONE;
        let colors = Colors { decoded, conversion: &unconverted };
        let (base, _) = scale_and_encode(header, colors, crop_window, *output, options.observer, context)?;
        let encoded_map = gain_map::render(original, header, map, &crop_window, quality, context)?;
        return Ok(gain_map::join(&base, original, &encoded_map, map, source.copyright));
    }
    let colors = Colors { decoded, conversion: decoded.conversion() };
    let keeps_pixels = unchanged::keeps_pixels(header, *output, &crop_window, colors.conversion, options.limits);
    let is_gif = header.codec == Codec::Gif && header.info.frames == 1;
    // If all pixels are kept, the original limits the size below.
    let gif_bytes_max = (is_gif && !keeps_pixels).then_some(original.len());
    let (avif_depth, is_subsampled) = (header.avif_depth(), header.is_subsampled());
    let context = RenderContext { gif_bytes_max, avif_depth, is_subsampled, xmp, ..*context };
    let (encoded, gamut) = scale_and_encode(header, colors, crop_window, *output, options.observer, &context)?;
    let file = if keeps_pixels { unchanged::smaller(encoded, original, header, false) } else { encoded };
    let data = Embedded { profile: gamut.icc_profile(), xmp, ..Embedded::default() };
    Ok(encode::embed(file, data, output.encoding.format()))
}

/// A decoded original, and the conversion of its colors.
#[derive(Clone, Copy)]
struct Colors<'a> {
    decoded: &'a Decoded,
    conversion: &'a Conversion,
}

/// Returns the encoded variant and its color space, whose profile it does not contain yet.
fn scale_and_encode(
    header: &Header,
    Colors { decoded, conversion }: Colors<'_>,
    crop_window: CropWindow,
    output: OutputSpec,
    observer: &dyn Observer,
    context: &RenderContext,
) -> Result<(Vec<u8>, Gamut), Error> {
    let (orientation, format) = (header.info.orientation, output.encoding.format().extension());
    let start = Instant::now();
    let scaled = scale::scale_decoded(decoded, conversion, crop_window, orientation, output, &context.encode);
    observer.stage_ended(Stage::Scale, format, start.elapsed());
    let start = Instant::now();
    let encoded = scaled.and_then(|scaled| scaled.encode(orientation, output.encoding, context));
    observer.stage_ended(Stage::Encode, format, start.elapsed());
    encoded
}
