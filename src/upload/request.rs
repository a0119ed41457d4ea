//! An upload whose header has been checked.

use futures_util::future::BoxFuture;

use super::conditions::WriteConditions;
use super::digests::ExpectedDigests;
use super::stored::UploadId;
use super::token::Caller;
use crate::origin::Precondition;
use crate::variant::ObjectKey;

/// Callback that removes the key of a stored original from the caches. It is called before the API is notified and the
/// client gets its response.
pub type OnWrite = Box<dyn Fn(ObjectKey, WriteKind) -> BoxFuture<'static, ()> + Send + Sync>;

/// How a write may have changed the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// The upload replaced no original, or it failed but may have changed the store. Cached data of the key may
    /// be wrong.
    Created,
    /// The write may have replaced an original, which may have variants.
    MayReplace,
}

/// Key of the upload.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A key that the client chose.
    Key(ObjectKey),
    /// A key generated from `upload.key_template`.
    Generated,
}

/// Parameters of an upload that are known before its body is read.
pub(super) struct UploadRequest {
    pub(super) caller: Caller,
    pub(super) target: Target,
    pub(super) conditions: WriteConditions,
    pub(super) digests: ExpectedDigests,
    pub(super) source: UploadSource,
    pub(super) id: UploadId,
    pub(super) on_write: OnWrite,
}

/// Where the bytes of an upload come from.
#[derive(Debug, Clone)]
pub(super) enum UploadSource {
    /// The request.
    Request,
    /// A file that was sent to a presigned URL for this media type. The request may be repeated with the same id.
    Presigned { content_type: String },
}

impl UploadRequest {
    /// The precondition of the write.
    pub(super) fn precondition(&self) -> Precondition {
        self.conditions.precondition(matches!(self.target, Target::Generated))
    }
}
