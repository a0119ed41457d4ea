//! Our half of the comparison with sharp: reads one job a line from standard input, and answers each with one line.
//!
//! A job is what the server's resize threads do: the original's bytes in memory, the variant's bytes out, by the same
//! function. `benches/sharp/compare.mjs` is the other half.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, bail};
use pixels::{Header, Limits, OutputSpec, RenderOptions, render_each};
use resized::config::Config;
use resized::variant::{Grammar, Named};
use serde::{Deserialize, Serialize};

mod reference;

#[derive(Debug, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
enum Job {
    /// Makes the variants that `paths` name of the picture in `file`; keeps the last one in `output`, if it is named.
    Render { file: String, paths: Vec<String>, output: Option<String> },
    /// The ssimulacra2 score of `made`, a PNG, against `file` decoded whole and scaled in floating point.
    Score { file: String, made: String },
}

#[derive(Debug, Default, Serialize)]
struct Done {
    cpu_ms: f64,
    wall_ms: f64,
    bytes: usize,
    score: f64,
    peak_mb: u64,
}

struct Bench {
    grammar: Grammar,
    limits: Limits,
    originals: HashMap<String, Vec<u8>>,
    references: reference::References,
}

fn main() -> anyhow::Result<()> {
    let config = Config::default();
    let mut bench = Bench {
        grammar: Grammar::new(&config)?,
        limits: resized::resize::limits(&config),
        originals: HashMap::new(),
        references: reference::References::default(),
    };
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let done = bench.run(serde_json::from_str(&line?)?)?;
        serde_json::to_writer(&mut output, &done)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

impl Bench {
    fn run(&mut self, job: Job) -> anyhow::Result<Done> {
        match job {
            Job::Render { file, paths, output } => self.render(&file, &paths, output.as_deref()),
            Job::Score { file, made } => {
                let score = self.references.score(&file, &made)?;
                Ok(Done { score, ..Done::default() })
            }
        }
    }

    fn render(&mut self, file: &str, paths: &[String], output: Option<&str>) -> anyhow::Result<Done> {
        let variants: Vec<_> = paths.iter().map(|path| self.variant(path)).collect::<Result<_, _>>()?;
        if !self.originals.contains_key(file) {
            self.originals.insert(file.to_owned(), std::fs::read(file).context(file.to_owned())?);
        }
        let original = &self.originals[file];
        let (cpu, wall) = (cpu_ms(), Instant::now());
        let header = Header::read(original, &self.limits)?;
        let (mut bytes, mut failure) = (Vec::new(), None);
        render_each(original, &header, &variants, &RenderOptions::new(&self.limits), |_, made| match made {
            Ok(made) => bytes = made,
            Err(error) => failure = Some(error),
        });
        failure.map_or(Ok(()), Err)?;
        let done = Done {
            cpu_ms: cpu_ms() - cpu,
            wall_ms: wall.elapsed().as_secs_f64() * 1000.0,
            bytes: bytes.len(),
            score: 0.0,
            peak_mb: peak_mb()?,
        };
        output.map_or(Ok(()), |output| std::fs::write(output, bytes))?;
        Ok(done)
    }

    fn variant(&self, path: &str) -> anyhow::Result<OutputSpec> {
        match self.grammar.parse(path)? {
            Named::Variant(addressed) => {
                Ok(OutputSpec { geometry: addressed.variant.geometry, encoding: addressed.variant.encoding })
            }
            Named::Object(..) => bail!("{path} names no size"),
        }
    }
}

/// Of all threads, in user and system mode.
fn cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn peak_mb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
