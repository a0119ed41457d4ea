//! Probes the capabilities of a store, because S3 servers differ and permissions are easily forgotten.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::join_all;

use super::Store;
use super::error::StoreError;
use super::object::{Attributes, Precondition, PutOutcome};
use crate::variant::ObjectKey;

/// Capabilities of a store that a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    pub missing_object: MissingObject,
    pub listing: Permission,
    /// `None` after [`Store::probe_reading`].
    pub writing: Option<WriteCapabilities>,
}

/// The store's response to a request for a missing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingObject {
    NotFound,
    /// 403, as for an object that may not be read.
    Forbidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Granted,
    Denied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCapabilities {
    pub conditional_writes: ConditionalWrites,
    pub deletion: Permission,
}

/// Result of two writes of one key with `If-None-Match: *`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionalWrites {
    /// Only the first write is stored.
    Honored,
    /// Both writes are stored.
    Ignored,
    /// The server rejects conditional writes, but accepts unconditional ones.
    Rejected,
}

/// The consequence of a missing capability, and how to fix it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub severity: Severity,
    pub text: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Images are served, but a feature does not work or work is done twice.
    Degraded,
    /// No images are served.
    Broken,
}

impl Store {
    /// Tries the operations that the proxy needs from the originals' store, without writing.
    ///
    /// # Errors
    /// The store is unreachable, or reading is denied altogether.
    pub async fn probe_reading(&self) -> Result<Capabilities, StoreError> {
        let missing = probe_key("missing");
        let missing_object = match self.head(&missing).await {
            Ok(_) => MissingObject::NotFound,
            // The response to a GET names the cause, for example a wrong secret.
            Err(StoreError::Forbidden { .. }) => match self.get(&missing, None).await {
                Ok(_) | Err(StoreError::Forbidden { .. }) => MissingObject::Forbidden,
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let listing = permission(self.list("", None, 1).await)?;
        Ok(Capabilities { missing_object, listing, writing: None })
    }

    /// Tries the operations that the proxy needs from the variants' store. It writes an object below `resized-probe/`
    /// twice and deletes it.
    ///
    /// # Errors
    /// The store is unreachable or not writable.
    pub async fn probe_writing(&self) -> Result<Capabilities, StoreError> {
        let key = probe_key("conditional");
        let attributes = attributes();
        let put = |precondition| self.put(&key, Bytes::from_static(b"probe"), &attributes, precondition);
        let conditional_writes = match put(Precondition::Absent).await {
            Ok(_) => match put(Precondition::Absent).await? {
                PutOutcome::Stored(_) => ConditionalWrites::Ignored,
                PutOutcome::PreconditionFailed => ConditionalWrites::Honored,
            },
            Err(StoreError::Other { .. } | StoreError::Unavailable { .. }) => {
                put(Precondition::None).await?;
                ConditionalWrites::Rejected
            }
            Err(error) => return Err(error),
        };
        let deletion = permission(self.delete(&key, None).await)?;
        let writing = Some(WriteCapabilities { conditional_writes, deletion });
        Ok(Capabilities { writing, ..self.probe_reading().await? })
    }

    /// Writes one object with `writers` concurrent conditional writes. Returns the number of writes that the store
    /// reported as stored: 1 if conditional writes are atomic.
    ///
    /// # Errors
    /// A write failed.
    pub async fn race(&self, writers: usize) -> Result<usize, StoreError> {
        let key = probe_key("race");
        let put = |n: usize| {
            let bytes = Bytes::from(format!("writer {n}"));
            let (store, key) = (self.clone(), key.clone());
            async move { store.put(&key, bytes, &attributes(), Precondition::Absent).await }
        };
        let results = join_all((0..writers).map(put)).await;
        self.delete(&key, None).await?;
        let mut stored = 0;
        for result in results {
            stored += usize::from(matches!(result?, PutOutcome::Stored(_)));
        }
        Ok(stored)
    }
}

impl Capabilities {
    /// One entry per missing capability; empty if the store can do everything.
    #[must_use]
    pub fn advice(&self) -> Vec<Advice> {
        let writing = self.writing.as_ref();
        let conditional_writes = writing.map(|writing| writing.conditional_writes);
        let checks = [
            (self.missing_object == MissingObject::Forbidden, MISSING_IS_FORBIDDEN),
            (conditional_writes == Some(ConditionalWrites::Rejected), CONDITIONS_REJECTED),
            (conditional_writes == Some(ConditionalWrites::Ignored), CONDITIONS_IGNORED),
            (self.listing == Permission::Denied && writing.is_some(), LISTING_DENIED),
            (writing.is_some_and(|writing| writing.deletion == Permission::Denied), DELETION_DENIED),
        ];
        checks.into_iter().filter_map(|(is_missing, advice)| is_missing.then_some(advice)).collect()
    }
}

const MISSING_IS_FORBIDDEN: Advice = Advice {
    severity: Severity::Broken,
    text: "The store answers 403 for a missing object. The proxy never treats a 403 as a missing variant, so it cannot make \
           any: grant s3:ListBucket on the bucket.",
};
const CONDITIONS_REJECTED: Advice = Advice {
    severity: Severity::Broken,
    text: "The server rejects If-None-Match, so no variant can be stored: use a server with conditional writes (AWS S3, R2, \
           SeaweedFS, Ceph), or a proxy in front of it that drops the header.",
};
const CONDITIONS_IGNORED: Advice = Advice {
    severity: Severity::Degraded,
    text: "The server ignores If-None-Match: two nodes that make the same variant at the same time both write it. Nothing \
           breaks, but to write each variant once, run one node or use a server that honors the header.",
};
const LISTING_DENIED: Advice = Advice {
    severity: Severity::Degraded,
    text: "Listing is denied, so a purge cannot find the variants to delete: grant s3:ListBucket on the bucket.",
};
const DELETION_DENIED: Advice = Advice {
    severity: Severity::Degraded,
    text: "Deleting is denied, so a purge cannot delete variants: grant s3:DeleteObject below the prefix.",
};

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.missing_object {
            MissingObject::NotFound => "a missing object is reported as missing",
            MissingObject::Forbidden => "a missing object is reported as forbidden",
        })?;
        write!(f, ", listing is {}", self.listing)?;
        let Some(WriteCapabilities { conditional_writes, deletion }) = self.writing else { return Ok(()) };
        f.write_str(match conditional_writes {
            ConditionalWrites::Honored => ", conditional writes are honored",
            ConditionalWrites::Ignored => ", conditions of writes are ignored",
            ConditionalWrites::Rejected => ", conditional writes are rejected",
        })?;
        write!(f, ", deleting is {deletion}")
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
        })
    }
}

fn permission<T>(result: Result<T, StoreError>) -> Result<Permission, StoreError> {
    match result {
        Ok(_) => Ok(Permission::Granted),
        Err(StoreError::Forbidden { .. }) => Ok(Permission::Denied),
        Err(error) => Err(error),
    }
}

fn attributes() -> Attributes {
    Attributes { content_type: "text/plain".into(), cache_control: "no-store".into(), metadata: Vec::new() }
}

/// A key that is unique to this process and the current time.
fn probe_key(purpose: &str) -> ObjectKey {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    // The text is a valid key for every process number and time.
    ObjectKey::new(&format!("resized-probe/{purpose}-{}-{nanos}", std::process::id()))
        .unwrap_or_else(|_| unreachable!())
}
