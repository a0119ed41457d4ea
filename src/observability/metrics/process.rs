//! Memory, file descriptors, threads and CPU time of the process.
//!
//! Most values come from /proc and are exported on Linux only.

use std::fmt;
use std::fs;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

#[derive(Debug)]
struct Process {
    started: SystemTime,
}

/// Resident memory of this process and its child processes; `None` if the system does not report it.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    Some(resident_bytes_of("self")?.saturating_add(children_resident_bytes()))
}

/// Resident memory of the child processes, which decode originals.
fn children_resident_bytes() -> u64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return 0 };
    let children = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let bytes = |text: String| text.split_whitespace().filter_map(resident_bytes_of).sum::<u64>();
    children.map(bytes).sum()
}

/// Resident memory of the process with this id, from the second field of /proc/pid/statm.
fn resident_bytes_of(process: &str) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

pub(super) fn register(registry: &mut Registry, started: SystemTime) {
    registry.register_collector(Box::new(Process { started }));
    registry.register("build", "Version of the running program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauge = |name, help, value: Option<f64>| match value {
            Some(value) => encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value),
            None => Ok(()),
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |name| number(&status, name).map(|kib| kib * 1024.0);
        gauge("process_resident_memory_bytes", "Resident memory", bytes("VmRSS:"))?;
        gauge("process_resident_memory_peak_bytes", "Peak resident memory", bytes("VmHWM:"))?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let decoders = children_resident_bytes() as f64;
        gauge("decoders_resident_memory_bytes", "Resident memory of the decoder processes", Some(decoders))?;
        gauge("process_threads", "Number of threads", number(&status, "Threads:"))?;
        gauge("process_open_fds", "Open file descriptors", open_descriptors())?;
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        gauge("process_start_time_seconds", "Start time of the process in seconds since 1970", Some(started))?;
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "2^53 seconds are enough")]
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        let help = "CPU time used by all threads";
        let mut counter = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        counter.encode_counter::<NoLabelSet, _, f64>(&seconds, None)
    }
}

/// Value of the field `name` of /proc/self/status.
fn number(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_descriptors() -> Option<f64> {
    // Reading the folder takes a descriptor, which is not counted.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    Some(f64::from(u32::try_from(count).unwrap_or(u32::MAX)))
}
