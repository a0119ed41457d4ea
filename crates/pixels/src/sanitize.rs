//! Sanitizing of an SVG that is served as it is.

use std::time::Duration;

use crate::codec::svg;
use crate::codecs::Codec;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::estimate;
use crate::header::unknown;
use crate::limits::Limits;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{Sandbox, SandboxTask};
use crate::sniff::is_svg;

/// Maximum CPU time of sanitizing. A drawing of 4 MiB takes less than a second.
const SANITIZING_TIME_MAX: Duration = Duration::from_secs(5);

/// An SVG without scripts, event handlers and links, made in a process of `sandbox`. The same file gives the same bytes.
///
/// The addresses in `href` and `url()` lead to the same file or site, or are images in `data:` URLs. Addresses in the strings
/// of style sheets stay, such as those of `image-set()`, so a response with the file needs a `Content-Security-Policy` that
/// blocks requests.
///
/// # Errors
/// The file is not SVG, is too long or damaged, or takes longer than 5 seconds or `limits.render_time`.
pub fn sanitize_svg(original: &[u8], limits: &Limits, sandbox: &dyn Sandbox) -> Result<Vec<u8>, Error> {
    if !is_svg(original) || !limits.originals.contains(Codec::Svg) {
        return Err(unknown(original, limits));
    }
    svg::check_length(original.len() as u64)?;
    let limits = Limits { render_time: limits.render_time.min(SANITIZING_TIME_MAX), ..*limits };
    let context = RenderContext::new(&limits).with_sandbox(Some(sandbox));
    let failed = |error: crate::SandboxError| damaged(error.to_string());
    let memory = svg::sanitizing_bytes(original.len());
    let mut session = SandboxSession::start(SandboxTask::Decode, memory, failed, &context)?;
    session.run(|worker| worker.sanitize(original)).map_err(|error| match error {
        Error::RenderTimeout { limit } => {
            damaged(format!("sanitizing it takes longer than {}", humantime::format_duration(limit)))
        }
        error => error,
    })
}

/// The expected CPU time of [`sanitize_svg`] for a file of this length, including that of its process.
#[must_use]
pub fn sanitizing_estimate(original_bytes: u64) -> Duration {
    estimate::sanitizing(original_bytes)
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
