//! Sanitizing of an SVG that is served as it is.

use crate::codec::svg;
use crate::codecs::Codec;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::header::unknown;
use crate::limits::Limits;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{Sandbox, SandboxTask};
use crate::sniff::is_svg;

/// An SVG without scripts and without references to other sites, made in a process of `sandbox`. The same file gives the
/// same bytes.
///
/// # Errors
/// The file is not SVG, is too long or damaged, or takes longer than `limits.render_time`.
pub fn sanitize_svg(original: &[u8], limits: &Limits, sandbox: &dyn Sandbox) -> Result<Vec<u8>, Error> {
    if !is_svg(original) || !limits.originals.contains(Codec::Svg) {
        return Err(unknown(original, limits));
    }
    svg::check_length(original.len() as u64)?;
    let context = RenderContext::new(limits).with_sandbox(Some(sandbox));
    let failed = |error: crate::SandboxError| damaged(error.to_string());
    let memory = svg::sanitizing_bytes(original.len());
    let mut session = SandboxSession::start(SandboxTask::Decode, memory, failed, &context)?;
    session.run(|worker| worker.sanitize(original))
}

/// An upper bound, in bytes, of the memory that [`sanitize_svg`] and its process allocate for a file of this length.
///
/// # Errors
/// The file is too long.
pub fn sanitizing_bytes(original_bytes: u64) -> Result<u64, Error> {
    svg::check_length(original_bytes)?;
    let length = usize::try_from(original_bytes).unwrap_or(usize::MAX);
    Ok(svg::sanitizing_bytes(length) + svg::sanitized_bytes_max(length) as u64)
}
