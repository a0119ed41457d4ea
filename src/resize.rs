//! The resize service: lanes of low-priority threads that run the pixel pipeline, each with a bounded queue, and the sandboxed
//! AV1 decoder and encoder.
//!
//! The pipeline itself is the crate `pixels`. Only this module and `cli/resize.rs` call its functions.

use std::io;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config;
use crate::observability::metrics::{self, WaitKind};
use crate::observability::traces;
use crate::support::threads::count_or_cores;

mod calibration;
mod error;
mod header;
mod lane;
mod turns;
#[cfg(feature = "sandbox")]
pub mod sandbox;

pub use error::RenderError;
pub use header::read_header;
pub use lane::Lane;
pub use pixels::{
    Codec, Error as PixelsError, HEADER_BYTES_MAX, Header, Limits, OutputSpec, PIPELINE, Probe, SVG_HEAD_BYTES, is_svg,
    probe, sanitizing_bytes, sniff,
};

pub use turns::{JobOwner, Turn};

use calibration::Calibration;
use lane::{LanePool, PoolError};
use pixels::{Observer, RenderOptions, Stage, cpu_time};
use turns::TurnError;

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
        originals: if formats.svg { formats.originals.with(Codec::Svg) } else { formats.originals },
        encode: pixels::EncodeOptions {
            jpeg_progressive: formats.jpeg_progressive,
            jpeg_effort: formats.jpeg_effort,
            webp_effort: formats.webp_effort,
            png_effort: formats.png_effort,
            png_colors: NonZeroU16::new(formats.png_colors),
            linear_light: formats.linear_light,
            color: formats.color,
            avif_depth: formats.avif_depth.set(),
            keep_copyright: formats.keep_copyright,
            gain_maps: formats.gain_maps,
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
    fast: LanePool,
    slow: LanePool,
    idle: LanePool,
    calibration: Arc<Calibration>,
    #[cfg(feature = "sandbox")]
    yielding: Arc<sandbox::yielding::Yielding>,
    metrics: metrics::ResizeMetrics,
}

/// A rendered variant and its cost.
#[derive(Debug)]
pub struct Rendered {
    /// Index among the variants of the job.
    pub index: usize,
    pub bytes: Result<Bytes, RenderError>,
    /// CPU time of the variant. That of the first variant of a job includes decoding.
    pub cpu_time: Duration,
}

/// A sanitized SVG, its cost and the permits of its job.
#[derive(Debug)]
pub struct Sanitized<T> {
    pub bytes: Result<Bytes, RenderError>,
    pub cpu_time: Duration,
    pub permits: T,
}

impl Resizer {
    /// Starts the threads of all lanes at the lowest priority: `threads` (0: one per core) for the fast lane, half as many for
    /// each of the others. In each lane, `queue_length` jobs may wait.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(threads: usize, queue_length: NonZeroUsize, metrics: metrics::ResizeMetrics) -> io::Result<Self> {
        let threads = count_or_cores(threads);
        let pool = |lane: Lane| LanePool::start(lane, lane.threads(threads), queue_length);
        Ok(Self {
            fast: pool(Lane::Fast)?,
            slow: pool(Lane::Slow)?,
            idle: pool(Lane::Idle)?,
            calibration: Arc::default(),
            #[cfg(feature = "sandbox")]
            yielding: Arc::default(),
            metrics,
        })
    }

    /// The expected CPU time on this machine for rendering these variants of an original in one job.
    #[must_use]
    pub fn estimate(&self, header: &Header, outputs: &[OutputSpec], limits: &Limits) -> Duration {
        self.calibration.apply(header.cpu_estimate(outputs, &limits.encode).total())
    }

    /// Waits for a thread of `lane`. Owners take turns.
    ///
    /// # Errors
    /// The queue of the lane is full, or the threads were stopped.
    pub async fn turn(&self, lane: Lane, owner: JobOwner) -> Result<Turn, RenderError> {
        let start = Instant::now();
        let turn = self.pool(lane).turn(owner).await;
        self.metrics.record_wait(lane_wait(lane), start.elapsed());
        turn.map_err(|error| {
            let error = match error {
                TurnError::Full => RenderError::LaneFull(lane),
                TurnError::Closed => RenderError::Stopped,
            };
            self.metrics.record_failure(error.reason());
            error
        })
    }

    /// Waits until the lanes that clients wait for have nothing to do, and then for a thread of [`Lane::Idle`].
    ///
    /// # Errors
    /// The threads were stopped.
    pub async fn idle_turn(&self) -> Result<Turn, RenderError> {
        loop {
            self.until_idle().await;
            let turn = self.turn(Lane::Idle, JobOwner::Operator).await?;
            // The wait for a thread may have taken long.
            if self.is_idle() {
                return Ok(turn);
            }
        }
    }

    /// Waits until no job runs or waits in the lanes that clients wait for.
    pub async fn until_idle(&self) {
        loop {
            // Each is notified from here on, so that no return is missed.
            let (fast, slow) = (self.fast.returned_turn(), self.slow.returned_turn());
            if self.is_idle() {
                return;
            }
            tokio::select! {
                () = fast => {}
                () = slow => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        [&self.fast, &self.slow].into_iter().all(|pool| pool.running() == 0 && pool.waiting() == 0)
    }

    /// Number of threads of `lane`.
    #[must_use]
    pub fn threads(&self, lane: Lane) -> usize {
        self.pool(lane).threads()
    }

    /// Renders several variants of one original on the thread of `lane` that `turn` stands for. See
    /// [`pixels::render_each`].
    ///
    /// `take` is called on that thread, and returns the variants to render. It is not called if the future has been
    /// dropped. `permits` are dropped when the job ends, even if the future was dropped before.
    ///
    /// # Errors
    /// The job was not run, or a codec panicked. After a panic, `done` was not called for all variants.
    pub async fn render_each<T: Send + 'static>(
        &self,
        (lane, turn): (Lane, Turn),
        request: RenderRequest,
        take: impl FnOnce() -> Vec<OutputSpec> + Send + 'static,
        mut done: impl FnMut(Rendered) + Send + 'static,
        permits: T,
    ) -> Result<(), RenderError> {
        let (metrics, span, calibration) =
            (self.metrics.clone(), traces::SpanHandle::current(), self.calibration.clone());
        #[cfg(feature = "sandbox")]
        let yielding = self.yielding.clone();
        let job = move || {
            let _permits = permits;
            #[cfg(feature = "sandbox")]
            let _client_job = (lane != Lane::Idle).then(|| yielding.start_client_job());
            let outputs = take();
            if outputs.is_empty() {
                return;
            }
            let RenderRequest { original, header, limits } = request;
            let estimate = calibration.apply(header.cpu_estimate(&outputs, &limits.encode).total());
            let observer = StageRecorder { metrics: &metrics, span: &span };
            let options = RenderOptions::new(&limits).with_observer(&observer);
            #[cfg(feature = "sandbox")]
            let yielding_sandbox = sandbox::YieldingSandbox(yielding.clone());
            #[cfg(feature = "sandbox")]
            let options = match lane {
                Lane::Fast | Lane::Slow => options.with_sandbox(&sandbox::ProcessSandbox),
                Lane::Idle => options.with_sandbox(&yielding_sandbox),
            };
            let (job_start, mut start, mut is_complete) = (cpu_time(), (Instant::now(), cpu_time()), true);
            pixels::render_each(&original, &header, &outputs, &options, |index, rendered| {
                // The time of the first variant includes decoding.
                metrics.record_stage("render", outputs[index].encoding.format().extension(), start.0.elapsed());
                let variant_time = cpu_time().saturating_sub(start.1);
                start = (Instant::now(), cpu_time());
                let bytes = rendered.map_err(RenderError::from);
                if let Err(error) = &bytes {
                    metrics.record_failure(error.reason());
                    is_complete = false;
                }
                // A boxed slice has no spare capacity, so the size that the cache counts is the memory in use.
                let bytes = bytes.map(|bytes| Bytes::from(bytes.into_boxed_slice()));
                done(Rendered { index, bytes, cpu_time: variant_time });
            });
            let measured = cpu_time().saturating_sub(job_start);
            metrics.record_job(lane.as_str(), estimate, measured);
            if is_complete {
                calibration.record(estimate, measured);
            }
        };
        self.pool(lane).run(turn, job).await.map_err(|error| {
            let error = match error {
                PoolError::Closed => RenderError::Stopped,
                PoolError::Panicked => RenderError::Panicked,
            };
            self.metrics.record_failure(error.reason());
            error
        })
    }

    /// The expected CPU time on this machine for sanitizing an SVG of this length.
    #[must_use]
    pub fn sanitizing_estimate(&self, original_bytes: u64) -> Duration {
        self.calibration.apply(pixels::sanitizing_estimate(original_bytes))
    }

    /// Sanitizes an SVG on the thread of `lane` that `turn` stands for. `permits` are returned with the result, and are held
    /// until the job ends, even if the future was dropped before. See [`pixels::sanitize_svg`].
    ///
    /// # Errors
    /// The job was not run, or it panicked.
    pub async fn sanitize_svg<T: Send + 'static>(
        &self,
        (lane, turn): (Lane, Turn),
        original: Bytes,
        limits: Limits,
        permits: T,
    ) -> Result<Sanitized<T>, RenderError> {
        let (metrics, estimate) = (self.metrics.clone(), self.sanitizing_estimate(original.len() as u64));
        let job = move || {
            let (start, job_start) = (Instant::now(), cpu_time());
            let bytes = sanitize(&original, &limits).map(|bytes| Bytes::from(bytes.into_boxed_slice()));
            let cpu_time = cpu_time().saturating_sub(job_start);
            metrics.record_stage("sanitize", "svg", start.elapsed());
            metrics.record_job(lane.as_str(), estimate, cpu_time);
            Sanitized { bytes: bytes.map_err(RenderError::from), cpu_time, permits }
        };
        let sanitized = self.pool(lane).run(turn, job).await.map_err(|error| match error {
            PoolError::Closed => RenderError::Stopped,
            PoolError::Panicked => RenderError::Panicked,
        });
        let failed = sanitized.as_ref().map_or_else(Some, |sanitized| sanitized.bytes.as_ref().err());
        failed.into_iter().for_each(|error| self.metrics.record_failure(error.reason()));
        sanitized
    }

    /// Number of jobs that wait for a thread of `lane`.
    #[must_use]
    pub fn waiting(&self, lane: Lane) -> usize {
        self.pool(lane).waiting()
    }

    /// Number of jobs that a thread of `lane` runs.
    #[must_use]
    pub fn running(&self, lane: Lane) -> usize {
        self.pool(lane).running()
    }

    /// Finishes the running jobs and ends the threads. Waiting and later jobs are refused. Those of [`Lane::Idle`] end with the
    /// process.
    pub fn shutdown(&self) {
        self.idle.abandon();
        self.fast.close();
        self.slow.close();
    }

    fn pool(&self, lane: Lane) -> &LanePool {
        match lane {
            Lane::Fast => &self.fast,
            Lane::Slow => &self.slow,
            Lane::Idle => &self.idle,
        }
    }
}

#[cfg(feature = "sandbox")]
fn sanitize(original: &[u8], limits: &Limits) -> Result<Vec<u8>, PixelsError> {
    pixels::sanitize_svg(original, limits, &sandbox::ProcessSandbox)
}

#[cfg(not(feature = "sandbox"))]
fn sanitize(_original: &[u8], _limits: &Limits) -> Result<Vec<u8>, PixelsError> {
    Err(PixelsError::SandboxUnavailable { reason: "built without the feature sandbox".to_owned() })
}

fn lane_wait(lane: Lane) -> WaitKind {
    match lane {
        Lane::Fast => WaitKind::FastLane,
        Lane::Slow => WaitKind::SlowLane,
        Lane::Idle => WaitKind::IdleLane,
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
