//! The HTTP client of the AWS SDK: an adapter over the client that the rest of the program uses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};

use super::client::POOL_IDLE;
use crate::support::https::{self, ConnectionHandle, Protocols};

/// Limit for connections if the SDK sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends the SDK's requests. Clones share the connection pools.
#[derive(Debug, Clone, Default)]
pub(super) struct SdkHttpClient {
    /// A pool for each connect timeout and protocol: the SDK uses a few fixed timeouts, for S3 and for sources of
    /// credentials.
    pools: Arc<Mutex<HashMap<(Duration, Protocols), https::Client>>>,
}

#[derive(Debug, Clone)]
struct SdkConnector {
    client: SdkHttpClient,
    connect_timeout: Duration,
    /// Limit from the request to the header of the response.
    read_timeout: Option<Duration>,
}

impl HttpClient for SdkHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(SdkConnector {
            client: self.clone(),
            connect_timeout: settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT),
            read_timeout: settings.read_timeout(),
        })
    }
}

impl SdkHttpClient {
    fn pool(&self, connect_timeout: Duration, protocols: Protocols) -> Result<https::Client, ConnectorError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&(connect_timeout, protocols)) {
            return Ok(pool.clone());
        }
        let pool = https::Client::with_options(connect_timeout, POOL_IDLE, protocols);
        let pool = pool.map_err(|error| ConnectorError::user(error.into()))?;
        pools.insert((connect_timeout, protocols), pool.clone());
        Ok(pool)
    }
}

impl HttpConnector for SdkConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl SdkConnector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        // Without TLS no root certificates are needed.
        let is_plain = request.uri().scheme_str() == Some("http");
        let protocols = if is_plain { Protocols::Plain } else { Protocols::Http1 };
        let pool = self.client.pool(self.connect_timeout, protocols)?;
        let (head, body) = request.into_parts();
        // All request bodies are in memory, so this neither copies nor waits.
        let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
        let mut request = Request::from_parts(head, Full::new(body));
        capture_connection(&mut request);
        let response = pool.request(request);
        let response = match self.read_timeout {
            Some(limit) => tokio::time::timeout(limit, response).await,
            None => Ok(response.await),
        };
        let response = response.map_err(|error| ConnectorError::timeout(error.into()))?;
        let response = response.map_err(|error| match https::is_timeout(&error) {
            true => ConnectorError::timeout(error.into()),
            false => ConnectorError::io(error.into()),
        })?;
        let response = HttpResponse::try_from(response.map(SdkBody::from_body_1_x));
        response.map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// Lets the SDK retire the connection of a request that failed transiently, so that the next attempt opens a new one.
fn capture_connection(request: &mut Request<Full<Bytes>>) {
    let Some(capture) = request.extensions().get::<CaptureSmithyConnection>().cloned() else { return };
    let connection = Arc::new(ConnectionHandle::capture(request));
    capture.set_connection_retriever(move || {
        let connection = connection.clone();
        Some(ConnectionMetadata::builder().proxied(false).poison_fn(move || connection.retire()).build())
    });
}
