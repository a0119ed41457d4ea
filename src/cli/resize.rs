//! `resized resize`: the server's own pipeline on local files.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use bytesize::ByteSize;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use resized::observability::metrics::Metrics;
use resized::resize::{Header, Limits, RenderError, Resizer};
use resized::variant::{Encoding, Format, Geometry, Grammar};
use tokio::runtime::Runtime;

use super::Settings;
use super::args::sizes::{format, named, read};

/// Resize local files as the server would
///
/// The same pixels, limits, presets and qualities, without a store. Several files and several sizes at once: each file is
/// decoded once for all its sizes, as many files at a time as there are cores (work.threads).
///
/// Exit status 1 if one of them could not be made; the others are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Pictures, and at last where they go: a folder, or for one picture in one size a file
    #[arg(value_name = "IN... OUT", required = true, num_args = 2..)]
    paths: Vec<PathBuf>,
    /// As in URLs: 300x200, 300x, x200, 300x200_crop_top_q70@2x, or the name of a preset; without it, the name of OUT says so
    #[arg(short, long = "size", value_name = "SIZE")]
    sizes: Vec<String>,
    /// jpg, png, webp, avif or gif; without it, what OUT or else the picture is called
    #[arg(short, long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
}

const EXAMPLES: &str = "\
Examples:
  resized resize cat.jpg cat_300x200.webp                one picture; its name says the size
  resized resize --size 300x --size 600x *.jpg small     each in two widths, into the folder small: cat_300x.jpg ...
  resized resize --size 200x200_crop_smart --format webp photos/*.jpg thumbs

What is there under the same name is replaced.";

/// One picture, and what is to be made of it.
struct Job {
    from: PathBuf,
    targets: Vec<Target>,
}

struct Target {
    to: PathBuf,
    geometry: Geometry,
    encoding: Encoding,
}

pub(super) fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<ExitCode> {
    let (config, jobs) = (&settings.config, plan(arguments, &Grammar::new(&settings.config)?)?);
    let runtime = Runtime::new()?;
    let threads = match config.work.threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        threads => threads,
    };
    let resizer = Resizer::start(threads, config.work.queue_length, Metrics::new().resize)?;
    let (limits, bytes_max) = (Limits::from(config), config.limits.original_bytes.as_u64());
    // What may wait for a thread is read already: one for each thread is enough.
    let failed = runtime.block_on(
        stream::iter(&jobs)
            .map(|job| make(job, &resizer, limits, bytes_max))
            .buffer_unordered(threads)
            .fold(0, async |failed, of_job| failed + of_job),
    );
    resizer.shutdown();
    if failed > 0 {
        eprintln!("{failed} could not be made");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is to be made, and whereto.
fn plan(arguments: Arguments, grammar: &Grammar) -> anyhow::Result<Vec<Job>> {
    let Arguments { mut paths, sizes, format } = arguments;
    let out = paths.pop().context("name a picture and where it goes")?;
    let is_file = !out.is_dir() && paths.len() == 1 && sizes.len() <= 1 && out.extension().is_some();
    if is_file {
        let (from, name) = (paths.remove(0), name(&out));
        let (geometry, encoding) = match sizes.first() {
            Some(size) => read(grammar, size, format, &name)?,
            None => named(grammar, &name).with_context(|| {
                format!("give --size, or a size in the name of {}, such as cat_300x200.jpg", out.display())
            })?,
        };
        return Ok(vec![Job { from, targets: vec![Target { to: out, geometry, encoding }] }]);
    }
    ensure!(!sizes.is_empty(), "give --size: what goes into a folder has none in its name");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let mut taken = std::collections::BTreeSet::new();
    let mut jobs = Vec::new();
    for from in paths {
        let mut targets = Vec::new();
        for size in &sizes {
            let (geometry, encoding) = read(grammar, size, format, &name(&from))?;
            let to = out.join(file_name(&from, size, encoding.format()));
            if !taken.insert(to.clone()) {
                bail!("two of the pictures would be {}: give them another folder", to.display());
            }
            targets.push(Target { to, geometry, encoding });
        }
        jobs.push(Job { from, targets });
    }
    Ok(jobs)
}

/// `cat_300x200.jpg`, with the picture's own extension if that names the format.
fn file_name(from: &Path, size: &str, format: Format) -> String {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, own) = (text(from.file_stem()), text(from.extension()));
    let extension = if Format::from_extension(&own) == Some(format) { own.as_str() } else { format.extension() };
    format!("{stem}_{size}.{extension}")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes all of one picture; says how many failed.
async fn make(job: &Job, resizer: &Resizer, limits: Limits, bytes_max: u64) -> usize {
    let begun = Instant::now();
    let made = match render(job, resizer, limits, bytes_max).await {
        Ok(made) => made,
        Err(error) => {
            eprintln!("{}: {error:#}", job.from.display());
            return job.targets.len();
        }
    };
    let mut failed = 0;
    for (target, made) in job.targets.iter().zip(made) {
        match made.map_err(anyhow::Error::from).and_then(|bytes| write(&target.to, &bytes).map(|()| bytes.len())) {
            Ok(bytes) => {
                let (size, ms) = (ByteSize::b(bytes as u64), begun.elapsed().as_millis());
                println!("{}  {size}  {ms} ms", target.to.display());
            }
            Err(error) => {
                eprintln!("{} as {}: {error:#}", job.from.display(), target.to.display());
                failed += 1;
            }
        }
    }
    failed
}

/// The bytes of all of one picture.
async fn render(
    job: &Job,
    resizer: &Resizer,
    limits: Limits,
    bytes_max: u64,
) -> anyhow::Result<Vec<Result<Bytes, RenderError>>> {
    let bytes = tokio::fs::metadata(&job.from).await.context("cannot be read")?.len();
    ensure!(bytes <= bytes_max, "has {bytes} bytes; at most {bytes_max} are taken (limits.original_bytes)");
    let original = Bytes::from(tokio::fs::read(&job.from).await.context("cannot be read")?);
    let header = Header::read(&original, &limits)?;
    let wanted: Vec<_> = job.targets.iter().map(|target| (target.geometry, target.encoding)).collect();
    let made = Arc::new(Mutex::new(vec![Err(RenderError::Stopped); wanted.len()]));
    let done = {
        let made = made.clone();
        move |place: usize, bytes| {
            if let Some(slot) = made.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
                *slot = bytes;
            }
        }
    };
    resizer.render_each(original, header, limits, || wanted, done, ()).await?;
    let made = made.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(made)
}

/// Whole or not at all, in place of what is there.
fn write(to: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        // As any file's; the umask takes what it takes.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .context("cannot be written")?;
    file.write_all(bytes).context("cannot be written")?;
    file.persist(to).context("cannot be written")?;
    Ok(())
}
