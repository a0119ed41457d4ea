//! Plans jobs of a batch: which variants are made next and in which lane, their permits, and the charges of their clients.

use std::time::Duration;

use crate::resize::{Header, JobOwner, Lane, OutputSpec, PixelsError, Turn};
use crate::support::memory::{MemoryPermit, MemoryShare};
use crate::variants::batch::run::{BatchRunner, Original};
use crate::variants::batch::{Batch, BatchClient, ClaimedMember, DECODING_VARIANTS_MAX};
use crate::variants::error::Error;
use crate::variants::resources::SharedResources;
use crate::variants::slow_share::SlowPermit;

/// A job that is decoded once: the lane, the first variants for it, and the client of the first.
pub(super) struct Job {
    pub(super) lane: Lane,
    pub(super) outputs: Vec<OutputSpec>,
    pub(super) client: BatchClient,
    /// Pixel memory that the job takes.
    pub(super) bytes: u64,
}

/// The permits with which a job starts. Those for memory are dropped when it ends.
pub(super) struct JobPermits {
    pub(super) turn: Turn,
    pub(super) memory: (MemoryPermit, Option<SlowPermit>),
}

/// Estimates are refused above this multiple of `limits.render_time`, because they can be wrong by a factor of two.
pub(super) const REFUSED_FACTOR: u32 = 2;

/// Estimated CPU time of the variants that one job makes, in multiples of `work.slow_after`. A job of one variant may
/// take longer.
const JOB_FACTOR: u32 = 4;

impl BatchRunner {
    /// The waiting variants to make next: all that belong into the fast lane, or else one or several slow ones. Rejects
    /// those whose estimate is too high.
    pub(super) fn next_job(&self, batch: &Batch, header: &Header) -> Option<Job> {
        loop {
            let (pending, client) = batch.pending();
            let estimate = |outputs: &[OutputSpec]| self.resources.resizer.estimate(header, outputs, &self.limits);
            let limit = self.limits.render_time;
            let refused_above = limit.saturating_mul(REFUSED_FACTOR);
            if let Some(output) = pending.iter().find(|output| estimate(&[**output]) > refused_above) {
                let error = PixelsError::TooExpensive { estimate: estimate(&[*output]), limit };
                batch.reject(*output, &Error::from_pixels(&error));
                continue;
            }
            let lane = match pending.first()? {
                _ if pending.iter().any(|output| self.lane(header, *output) == Lane::Fast) => Lane::Fast,
                _ => Lane::Slow,
            };
            let in_lane = pending.into_iter().filter(|output| self.lane(header, *output) == lane);
            let outputs: Vec<_> = in_lane.take(DECODING_VARIANTS_MAX).collect();
            // If all outputs together exceed the budget, one of them is made at a time.
            let bytes = match header.working_bytes(&outputs) {
                bytes if bytes <= self.resources.memory.budget(MemoryShare::Pixels).bytes_max() => bytes,
                _ => header.working_bytes(outputs.get(..1)?),
            };
            return Some(Job { lane, outputs, client, bytes });
        }
    }

    pub(super) fn lane(&self, header: &Header, output: OutputSpec) -> Lane {
        let estimate = self.resources.resizer.estimate(header, &[output], &self.limits);
        if estimate > self.slow_after { Lane::Slow } else { Lane::Fast }
    }

    /// Waits for `bytes` of pixel memory and a thread. A fast job takes its memory first, so that threads do not wait for memory. A slow
    /// job takes it last and from the half of the budget that slow jobs may use, so that fast jobs do not wait for the
    /// memory of jobs that wait.
    pub(super) async fn acquire_permits(
        &self,
        (lane, owner): (Lane, JobOwner),
        bytes: u64,
        original: &Original,
    ) -> Result<JobPermits, Error> {
        let turn = async {
            let turn = self.resources.resizer.turn(lane, owner).await;
            turn.map_err(|error| Error::from_render(&error))
        };
        match lane {
            Lane::Fast => {
                let memory = (self.acquire_pixel_memory(bytes).await?, None);
                Ok(JobPermits { turn: turn.await?, memory })
            }
            Lane::Slow | Lane::Idle => {
                let SharedResources { slow_lane, .. } = &self.resources;
                let waiting = slow_lane.downloads.try_acquire(original.bytes.len() as u64);
                let _waiting = waiting.ok_or(Error::LaneFull(Lane::Slow))?;
                let turn = turn.await?;
                let share = slow_lane.pixels.acquire(bytes).await;
                Ok(JobPermits { turn, memory: (self.acquire_pixel_memory(bytes).await?, share) })
            }
        }
    }

    /// Claims members for one job, and charges their clients.
    pub(super) fn claim(&self, batch: &Batch, header: &Header, lane: Lane, bytes: u64) -> Vec<ClaimedMember> {
        let SharedResources { resizer, rate_limits, .. } = &self.resources;
        let estimate = |outputs: &[OutputSpec]| resizer.estimate(header, outputs, &self.limits);
        let job_max = self.slow_after.saturating_mul(JOB_FACTOR);
        batch.claim(
            |output| self.lane(header, output) == lane,
            |outputs| {
                let is_short = outputs.len() == 1 || estimate(outputs) <= job_max;
                is_short && header.working_bytes(outputs) <= bytes
            },
            |output, client| match client {
                BatchClient::Charged(client) => {
                    let estimate = estimate(&[output]);
                    rate_limits.charge(&batch.original, client, estimate)?;
                    Ok(estimate)
                }
                BatchClient::Free(_) | BatchClient::Operator => Ok(Duration::ZERO),
            },
        )
    }

    /// Replaces the charged estimate by the CPU time that the variant took.
    pub(super) fn correct_charge(&self, batch: &Batch, member: &ClaimedMember, cpu_time: Duration) {
        if let BatchClient::Charged(client) = member.client {
            self.resources.rate_limits.correct(&batch.original, client, member.charged, cpu_time);
        }
    }
}
