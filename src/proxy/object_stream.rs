//! Streams objects from their store to clients.

use http::{HeaderMap, Method, Response};

use super::error::RequestError;
use super::request::preconditions::{BodySelection, evaluate};
use super::response::{Body, empty, respond, streamed};
use crate::origin::{ByteRange, Object, Store, StoreError};
use crate::support::open_bodies::{BodyPermit, TooManyBodies};
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;
use crate::variants::{Error, StoredRendition};

/// Streams the objects of one store.
#[derive(Debug)]
pub(super) struct ObjectStreams {
    store: Store,
    tasks: Tasks,
}

impl ObjectStreams {
    /// Opens streams on the runtime of `tasks`, because the connections of the store belong to that runtime.
    pub(super) fn new(store: Store, tasks: Tasks) -> Self {
        Self { store, tasks }
    }

    /// Opens the selected bytes of an object; `None` if it does not exist.
    pub(super) async fn open(
        &self,
        key: &ObjectKey,
        selection: &BodySelection,
        permit: BodyPermit,
    ) -> Result<Option<Object>, RequestError> {
        let range = match selection {
            BodySelection::Range(range) => Some(ByteRange::FromTo { first: *range.start(), last: *range.end() }),
            BodySelection::Full | BodySelection::NotModified => None,
        };
        let (store, key) = (self.store.clone(), key.clone());
        let opened = self.tasks.spawn(async move { store.stream(&key, range, permit).await }).await;
        opened.map_err(|_| Error::Internal)?.map_err(|error| match error {
            StoreError::RangeNotSatisfiable { bytes } => RequestError::RangeNotSatisfiable { bytes },
            error => Error::from_store(&error).into(),
        })
    }

    /// Responds with a stored variant that is too large for memory. A stream needs a `permit` for its bytes. `None` if the
    /// store does not have the variant any more or failed: then it has to be looked up again.
    pub(super) async fn respond(
        &self,
        stored: &StoredRendition,
        method: &Method,
        request: &HeaderMap,
        permit: impl Fn(u64) -> Result<BodyPermit, TooManyBodies>,
    ) -> Result<Option<Response<Body>>, RequestError> {
        let selection = evaluate(method, request, &stored.validators, stored.bytes)?;
        let headers = stored.headers.clone();
        if *method == Method::HEAD || selection == BodySelection::NotModified {
            return Ok(Some(respond(headers, &selection, stored.bytes, empty)));
        }
        let permit = permit(selection.bytes(stored.bytes))?;
        let opened = self.open(&stored.key, &selection, permit.clone()).await;
        let object = opened.ok().flatten().filter(|object| object.meta.etag == stored.store_etag);
        Ok(object.map(|object| respond(headers, &selection, stored.bytes, || streamed(object, permit))))
    }
}
