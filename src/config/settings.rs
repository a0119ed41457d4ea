//! All settings as one type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::sections::answers::{Answers, Formats, Urls};
use super::sections::rates::Rates;
use super::sections::server::{Admin, Log, Server};
use super::sections::signing::Signing;
use super::sections::sizes::Sizes;
use super::sections::stores::{Originals, S3, Variants};
use super::sections::traces::Traces;
use super::sections::upload::{Notify, Upload};
use super::sections::work::{Cache, Fleet, Limits, Work};

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory of the whole process and its decoder processes.
    pub memory: Memory,
    pub server: Server,
    pub answers: Answers,
    pub originals: Originals,
    pub variants: Variants,
    pub s3: S3,
    pub urls: Urls,
    /// Named sizes: `small = "300x300_crop"` makes `photo_small.jpg` mean `photo_300x300_crop.jpg`.
    pub presets: BTreeMap<String, String>,
    /// Sizes that URLs may request.
    pub sizes: Sizes,
    pub signing: Signing,
    pub formats: Formats,
    pub limits: Limits,
    pub cache: Cache,
    pub work: Work,
    pub fleet: Fleet,
    pub rates: Rates,
    pub log: Log,
    pub traces: Traces,
    pub admin: Admin,
    pub upload: Upload,
    pub notify: Notify,
}
