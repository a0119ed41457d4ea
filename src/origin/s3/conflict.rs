//! Retries of conditional writes that conflict with another write at the same time, which S3 answers with 409.

use std::time::Duration;

use super::error::S3Error;
use crate::origin::object::Precondition;
use crate::support::backoff::{Backoff, jitter};

const ATTEMPTS: u32 = 5;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };

pub(super) async fn retry_conflicts<T, F>(precondition: &Precondition, attempt: impl Fn() -> F) -> Result<T, S3Error>
where
    F: Future<Output = Result<T, S3Error>>,
{
    let mut failures = 0;
    loop {
        let result = attempt().await;
        let is_conflict = matches!(&result, Err(error) if error.status() == Some(409));
        failures += 1;
        if !is_conflict || *precondition == Precondition::None || failures == ATTEMPTS {
            return result;
        }
        let pause = BACKOFF.pause(failures);
        tokio::time::sleep(pause + jitter(pause)).await;
    }
}
