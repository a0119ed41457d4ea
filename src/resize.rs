//! The resize service: low-priority threads with a bounded queue that run the pixel pipeline, and the sandboxed AV1
//! decoder.
//!
//! The pipeline itself is the crate `pixels`. Only this module and `cli/resize.rs` call its functions.

use std::io;
use std::num::{NonZeroU16, NonZeroUsize};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config;
use crate::observability::metrics::{self, WaitKind};
use crate::observability::traces;

mod error;
mod thread_pool;
#[cfg(feature = "avif-originals")]
pub mod sandbox;

pub use error::RenderError;
pub use pixels::{Error as PixelsError, Header, Limits, OutputSpec, PIPELINE, Probe, probe, sniff};

use pixels::{Observer, RenderOptions, Stage};
use thread_pool::{BoundedPool, PoolError};

/// The limits of the pixel pipeline, taken from `config`.
#[must_use]
pub fn limits(config: &config::Config) -> Limits {
    let (limits, formats) = (&config.limits, &config.formats);
    Limits {
        input_pixels: limits.input_pixels,
        output_pixels: limits.output_pixels,
        frames: limits.frames.get(),
        animation_pixels: limits.animation_pixels,
        // Not configurable: progressive JPEGs of common encoders have about ten scans.
        scans: Limits::default().scans,
        render_time: limits.render_time,
        incomplete: limits.incomplete,
        avif_originals: formats.avif_originals,
        encode: pixels::EncodeOptions {
            jpeg_progressive: formats.jpeg_progressive,
            png_colors: NonZeroU16::new(formats.png_colors),
            linear_light: formats.linear_light,
        },
    }
}

/// An original to render, and the limits for its variants.
#[derive(Debug)]
pub struct RenderRequest {
    pub original: Bytes,
    pub header: Header,
    pub limits: Limits,
}

/// The resize threads.
#[derive(Debug)]
pub struct Resizer {
    pool: BoundedPool,
    metrics: metrics::ResizeMetrics,
}

impl Resizer {
    /// Starts `threads` threads (0: one per core) at the lowest priority, with a queue for `queue_length` jobs.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(threads: usize, queue_length: NonZeroUsize, metrics: metrics::ResizeMetrics) -> io::Result<Self> {
        Ok(Self { pool: BoundedPool::start(threads, queue_length)?, metrics })
    }

    /// Renders several variants of one original on one of the threads. See [`pixels::render_each`].
    ///
    /// `take` is called when a thread is free, and returns the variants to render. It is not called if the future has
    /// been dropped. `permits` are dropped when the job ends, even if the future was dropped before.
    ///
    /// # Errors
    /// The job was not run, or a codec panicked. After a panic, `done` was not called for all variants.
    pub async fn render_each<T: Send + 'static>(
        &self,
        request: RenderRequest,
        take: impl FnOnce() -> Vec<OutputSpec> + Send + 'static,
        mut done: impl FnMut(usize, Result<Bytes, RenderError>) + Send + 'static,
        permits: T,
    ) -> Result<(), RenderError> {
        let (metrics, queued, span) = (self.metrics.clone(), Instant::now(), traces::SpanHandle::current());
        let job = move || {
            let _permits = permits;
            let mut start = Instant::now();
            metrics.record_wait(WaitKind::Thread, start - queued);
            let outputs = take();
            let observer = StageRecorder { metrics: &metrics, span: &span };
            let RenderRequest { original, header, limits } = request;
            let options = RenderOptions::new(&limits).with_observer(&observer);
            #[cfg(feature = "avif-originals")]
            let options = options.with_sandbox(&sandbox::ProcessSandbox);
            pixels::render_each(&original, &header, &outputs, &options, |n, rendered| {
                // The time of the first variant includes decoding.
                metrics.record_stage("render", outputs[n].encoding.format().extension(), start.elapsed());
                start = Instant::now();
                let rendered = rendered.map_err(RenderError::from);
                if let Err(error) = &rendered {
                    metrics.record_failure(error.reason());
                }
                // A boxed slice has no spare capacity, so the size that the cache counts is the memory in use.
                done(n, rendered.map(|bytes| Bytes::from(bytes.into_boxed_slice())));
            });
        };
        self.pool.run(job).await.map_err(|error| {
            let error = match error {
                PoolError::Full => RenderError::Overloaded,
                PoolError::Closed => RenderError::Stopped,
                PoolError::Panicked => RenderError::Panicked,
            };
            self.metrics.record_failure(error.reason());
            error
        })
    }

    /// Number of jobs that wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// Runs the queued jobs and ends the threads. Later jobs are refused.
    pub fn shutdown(&self) {
        self.pool.close();
    }
}

/// Records the stages of a render call as metrics and spans.
struct StageRecorder<'a> {
    metrics: &'a metrics::ResizeMetrics,
    span: &'a traces::SpanHandle,
}

impl Observer for StageRecorder<'_> {
    fn stage_ended(&self, stage: Stage, format: &'static str, elapsed: Duration) {
        self.metrics.record_stage(stage.as_str(), format, elapsed);
        self.span.record_completed(stage.as_str(), format, elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_of_the_pipeline_are_those_of_the_default_config() {
        assert_eq!(limits(&config::Config::default()), Limits::default());
    }
}
