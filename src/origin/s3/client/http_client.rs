//! The HTTP client of the AWS crates, which ask metadata services and STS for credentials, over our own client.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::support::https::{self, Protocols};

/// Opens a connection per request: credentials are asked for minutes apart.
#[derive(Debug)]
pub(super) struct CredentialsHttpClient;

#[derive(Debug, Clone, Copy)]
struct Connector {
    connect_timeout: Duration,
    /// Limit from the request to the header of the response.
    read_timeout: Option<Duration>,
}

/// Connect timeout if the AWS crates do not set one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const POOL_IDLE: Duration = Duration::from_secs(1);

impl HttpClient for CredentialsHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let connect_timeout = settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT);
        SharedHttpConnector::new(Connector { connect_timeout, read_timeout: settings.read_timeout() })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = *self;
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl Connector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        // Metadata services do not use TLS, and without it no root certificates are needed.
        let is_plain = request.uri().scheme_str() == Some("http");
        let protocols = if is_plain { Protocols::Plain } else { Protocols::Http1 };
        let client = https::Client::with_options(self.connect_timeout, POOL_IDLE, protocols);
        let client = client.map_err(|error| ConnectorError::user(error.into()))?;
        let (head, body) = request.into_parts();
        let body = body.bytes().map(Bytes::copy_from_slice);
        let body = body.ok_or_else(|| ConnectorError::user("the body of the request is a stream".into()))?;
        let response = client.request(Request::from_parts(head, Full::new(body)));
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
