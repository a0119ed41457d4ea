//! A route of the admin listener.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Method;
use tokio::sync::Semaphore;

use super::{AdminRequest, AdminResponse};

/// A handler for one method of a path. By default a route requires the operator's token and accepts small bodies.
pub struct Route {
    pub(super) method: Method,
    /// An exact path, or a prefix if it ends in `/*`.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) body_limit: BodyLimit,
    pub(super) handler: Handler,
}

pub(super) type Handler = Arc<dyn Fn(AdminRequest) -> BoxFuture<'static, AdminResponse> + Send + Sync>;

/// The access that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Any client that reaches the listener, such as the health checks of a load balancer.
    Public,
    /// A client that sends the token, if `admin.token` is set.
    Operator,
}

/// Limits the memory that the request bodies of a route use.
#[derive(Debug, Clone)]
pub struct BodyLimit {
    /// A larger body is rejected with 413.
    pub(super) bytes_max: usize,
    /// One permit per body in memory; without a free permit the response is 503. `None` means that only the number of
    /// connections limits the bodies.
    pub(super) permits: Option<Arc<Semaphore>>,
}

/// Default maximum size of a body. The largest expected body is a batch of event notifications.
const BODY_BYTES_MAX: usize = 1 << 20;

impl BodyLimit {
    /// Allows `bodies_max` bodies of `bytes_max` bytes in memory.
    #[must_use]
    pub fn new(bytes_max: usize, bodies_max: usize) -> Self {
        Self { bytes_max, permits: Some(Arc::new(Semaphore::new(bodies_max))) }
    }
}

impl Route {
    /// A route for GET and HEAD. A `path` that ends in `/*` matches every path that begins with it.
    pub fn get<F>(path: &'static str, handler: impl Fn(AdminRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = AdminResponse> + Send + 'static,
    {
        Self::new(Method::GET, path, handler)
    }

    /// A route for POST. A `path` that ends in `/*` matches every path that begins with it.
    pub fn post<F>(path: &'static str, handler: impl Fn(AdminRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = AdminResponse> + Send + 'static,
    {
        Self::new(Method::POST, path, handler)
    }

    fn new<F>(method: Method, path: &'static str, handler: impl Fn(AdminRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = AdminResponse> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| handler(request).boxed());
        let body_limit = BodyLimit { bytes_max: BODY_BYTES_MAX, permits: None };
        Self { method, path, access: Access::Operator, body_limit, handler }
    }

    /// Makes the route available without the token.
    #[must_use]
    pub fn public(self) -> Self {
        Self { access: Access::Public, ..self }
    }

    #[must_use]
    pub fn with_body_limit(self, body_limit: BodyLimit) -> Self {
        Self { body_limit, ..self }
    }
}
