//! What a store can do, found by trying: servers that speak S3 differ, and rights are easily forgotten.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Attributes, Precondition, Put, Store, StoreError};
use crate::variant::ObjectKey;

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Findings {
    pub missing: Missing,
    pub listing: Right,
    /// Only tried where the store is written to.
    pub writing: Option<Writing>,
}

/// What the store says of an object that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// That it is not there.
    Told,
    /// 403, as for everything that may not be read.
    Forbidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Granted,
    Denied,
}

/// How writes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writing {
    pub conditional: Conditional,
    pub deleting: Right,
}

/// What becomes of a write with `If-None-Match: *`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditional {
    /// The first is stored, the second is not.
    Honoured,
    /// Both are stored.
    Ignored,
    /// The server does not take such writes; it does take others.
    Refused,
}

/// What is lacking, what comes of it, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub severity: Severity,
    pub text: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Pictures are served, but less well.
    Lacking,
    /// None are until it is fixed.
    Broken,
}

impl Store {
    /// Tries what the proxy needs of its originals' store: nothing is written.
    ///
    /// # Errors
    /// The store cannot be reached, or the right to read it is missing altogether.
    pub async fn probe_reading(&self) -> Result<Findings, StoreError> {
        let missing = match self.head(&scratch("missing")).await {
            Ok(_) => Missing::Told,
            Err(StoreError::Forbidden { .. }) => Missing::Forbidden,
            Err(error) => return Err(error),
        };
        let listing = granted(self.list("", None, 1).await)?;
        Ok(Findings { missing, listing, writing: None })
    }

    /// Tries what the proxy needs of its variants' store: an object below `resized-probe/` is written twice and deleted.
    ///
    /// # Errors
    /// The store cannot be reached, or cannot be written.
    pub async fn probe_writing(&self) -> Result<Findings, StoreError> {
        let key = scratch("conditional");
        let attributes = attributes();
        let put = |precondition| self.put(&key, Bytes::from_static(b"probe"), &attributes, precondition);
        let conditional = match put(Precondition::Absent).await {
            Ok(_) => match put(Precondition::Absent).await? {
                Put::Stored(_) => Conditional::Ignored,
                Put::PreconditionFailed => Conditional::Honoured,
            },
            Err(StoreError::Other { .. } | StoreError::Unavailable { .. }) => {
                put(Precondition::None).await?;
                Conditional::Refused
            }
            Err(error) => return Err(error),
        };
        let deleting = granted(self.delete(&key, None).await)?;
        Ok(Findings { writing: Some(Writing { conditional, deleting }), ..self.probe_reading().await? })
    }

    /// Writes one object by `writers` at once, each only if it is not there, and says how many were told that theirs is
    /// stored: 1 where conditional writes are exact.
    ///
    /// # Errors
    /// A write failed.
    pub async fn race(&self, writers: usize) -> Result<usize, StoreError> {
        let key = scratch("race");
        let put = |n: usize| {
            let bytes = Bytes::from(format!("writer {n}"));
            let (store, key) = (self.clone(), key.clone());
            async move { store.put(&key, bytes, &attributes(), Precondition::Absent).await }
        };
        let ended = join_all((0..writers).map(put)).await;
        self.delete(&key, None).await?;
        let mut stored = 0;
        for put in ended {
            stored += usize::from(matches!(put?, Put::Stored(_)));
        }
        Ok(stored)
    }
}

impl Findings {
    /// What to fix, a sentence each; nothing if all is well.
    #[must_use]
    pub fn advice(&self) -> Vec<Advice> {
        let writing = self.writing.as_ref();
        let conditional = writing.map(|writing| writing.conditional);
        let lacks = [
            (self.missing == Missing::Forbidden, MISSING_IS_FORBIDDEN),
            (conditional == Some(Conditional::Refused), CONDITIONS_REFUSED),
            (conditional == Some(Conditional::Ignored), CONDITIONS_IGNORED),
            (self.listing == Right::Denied && writing.is_some(), NO_LISTING),
            (writing.is_some_and(|writing| writing.deleting == Right::Denied), NO_DELETING),
        ];
        lacks.into_iter().filter_map(|(lacks, advice)| lacks.then_some(advice)).collect()
    }
}

const MISSING_IS_FORBIDDEN: Advice = Advice {
    severity: Severity::Broken,
    text: "A missing object is answered 403, which is never taken for a miss, so that nothing can be made: grant \
           s3:ListBucket on the bucket.",
};
const CONDITIONS_REFUSED: Advice = Advice {
    severity: Severity::Broken,
    text: "The server refuses If-None-Match, so that no variant can be stored: use one that takes conditional writes (AWS \
           S3, R2, SeaweedFS, Ceph), or a server in front of it that drops the header.",
};
const CONDITIONS_IGNORED: Advice = Advice {
    severity: Severity::Lacking,
    text: "The server ignores If-None-Match: two nodes that make one variant at the same time both write it. Nothing \
           breaks, but run one node, or a server that honours it, where each variant is to be written once.",
};
const NO_LISTING: Advice = Advice {
    severity: Severity::Lacking,
    text: "Listing is denied, so that a purge cannot find what to delete: grant s3:ListBucket on the bucket.",
};
const NO_DELETING: Advice = Advice {
    severity: Severity::Lacking,
    text: "Deleting is denied, so that a purge leaves old variants: grant s3:DeleteObject below the prefix.",
};

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.missing {
            Missing::Told => "a missing object is told as missing",
            Missing::Forbidden => "a missing object is told as forbidden",
        })?;
        write!(f, ", listing is {}", self.listing)?;
        let Some(Writing { conditional, deleting }) = self.writing else { return Ok(()) };
        f.write_str(match conditional {
            Conditional::Honoured => ", conditional writes are honoured",
            Conditional::Ignored => ", conditional writes are done without regard to the condition",
            Conditional::Refused => ", conditional writes are refused",
        })?;
        write!(f, ", deleting is {deleting}")
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
        })
    }
}

fn granted<T>(tried: Result<T, StoreError>) -> Result<Right, StoreError> {
    match tried {
        Ok(_) => Ok(Right::Granted),
        Err(StoreError::Forbidden { .. }) => Ok(Right::Denied),
        Err(error) => Err(error),
    }
}

fn attributes() -> Attributes {
    Attributes { content_type: "text/plain".into(), cache_control: "no-store".into(), metadata: Vec::new() }
}

/// A key that nothing else uses: of this process, at this time.
fn scratch(purpose: &str) -> ObjectKey {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    // It is a key whatever the numbers are; were it not, the probe would find nothing under another name.
    ObjectKey::new(&format!("resized-probe/{purpose}-{}-{nanos}", std::process::id()))
        .unwrap_or_else(|_| unreachable!())
}
