//! Access control of operator routes.
//!
//! A request must contain the token. If no token is configured, its `Host` header must be `localhost` or an IP address.
//! In both cases commands from web pages of other origins are rejected.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode};

use crate::config::{Secret, TOKEN_BYTES_MAX};
use crate::support::rate_limiter::{RateLimiter, client_network};

/// The reason why a request is rejected. The message is sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessDenied {
    #[error("the admin token is required (admin.token): send \"Authorization: Bearer TOKEN\"")]
    Token,
    #[error("too many requests with a wrong admin token; try again in {} s", retry_after.as_secs())]
    TooManyWrongTokens { retry_after: Duration },
    #[error("without a token the host must be localhost or an IP address")]
    Host,
    #[error("requests from pages of other origins are not allowed")]
    Origin,
}

impl AccessDenied {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::TooManyWrongTokens { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

/// Requests with a wrong token that get a 401, per client and minute. Further ones get a 429. The right token is always
/// accepted, because a client may share its address with others.
const WRONG_TOKENS_PER_MINUTE: u32 = 60;

/// Longer credentials are not compared. A longer `admin.token` is refused at start.
const CREDENTIALS_BYTES_MAX: usize = 2 * TOKEN_BYTES_MAX;

/// Checks the requests to operator routes.
#[derive(Debug)]
pub(super) struct AccessControl {
    /// Limits requests with a wrong token, for each client.
    wrong_tokens: RateLimiter,
}

impl AccessControl {
    pub(super) fn new() -> Self {
        Self { wrong_tokens: RateLimiter::new(WRONG_TOKENS_PER_MINUTE) }
    }

    /// Checks the token, or the host if no token is configured. Rejects commands from pages of other origins.
    pub(super) fn check<B>(&self, client: IpAddr, request: &Request<B>, token: &Secret) -> Result<(), AccessDenied> {
        check(request, token).map_err(|error| match error {
            AccessDenied::Token => match self.wrong_tokens.check(&client_network(client)) {
                Ok(()) => error,
                Err(retry_after) => AccessDenied::TooManyWrongTokens { retry_after },
            },
            error => error,
        })
    }
}

fn check<B>(request: &Request<B>, token: &Secret) -> Result<(), AccessDenied> {
    let headers = request.headers();
    let host = text(headers, HOST.as_str()).unwrap_or_default();
    if token.is_empty() {
        // With DNS rebinding an attacker's name resolves to this host, but the Host header still contains that name.
        if !is_local(host) {
            return Err(AccessDenied::Host);
        }
    } else if !credentials(headers).is_some_and(|sent| token.is(&sent)) {
        return Err(AccessDenied::Token);
    }
    // Browsers send Origin with every cross-origin POST. Other clients do not send it.
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let foreign = origin.is_some_and(|origin| origin.split_once("://").map(|(_, authority)| authority) != Some(host));
    if foreign && *request.method() != Method::GET && *request.method() != Method::HEAD {
        return Err(AccessDenied::Origin);
    }
    Ok(())
}

/// The token of the request: a bearer token (RFC 6750), or the password of basic authentication (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let header = text(headers, AUTHORIZATION.as_str()).filter(|header| header.len() <= CREDENTIALS_BYTES_MAX)?;
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

fn is_local(host: &str) -> bool {
    match host.parse::<http::uri::Authority>() {
        Ok(authority) => {
            let name = authority.host();
            let address = name.trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
        }
        Err(_) => false,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_access(method: &str, headers: &[(&str, &str)], token: &str, expected: Result<(), AccessDenied>) {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(check(&request.body(()).unwrap(), &Secret::from(token)), expected, "{method} {headers:?}");
    }

    #[test]
    fn the_token_is_accepted_as_bearer_token_and_as_password() {
        check_access("GET", &[("host", "a.example")], "hush", Err(AccessDenied::Token));
        check_access("GET", &[("authorization", "Bearer hush")], "hush", Ok(()));
        check_access("GET", &[("authorization", "bearer  hush")], "hush", Ok(()));
        check_access("GET", &[("authorization", "Basic YW55Omh1c2g=")], "hush", Ok(()));
        check_access("GET", &[("authorization", "Basic YW55Omh1cw==")], "hush", Err(AccessDenied::Token));
        check_access("GET", &[("authorization", "Bearer hus")], "hush", Err(AccessDenied::Token));
        check_access("GET", &[("authorization", "hush")], "hush", Err(AccessDenied::Token));
        check_access("GET", &[("authorization", "Bearer ")], "hush", Err(AccessDenied::Token));
        let longest = "a".repeat(TOKEN_BYTES_MAX);
        check_access("GET", &[("authorization", &format!("Bearer {longest}"))], &longest, Ok(()));
        let too_long = format!("Bearer {}hush", " ".repeat(CREDENTIALS_BYTES_MAX));
        check_access("GET", &[("authorization", &too_long)], "hush", Err(AccessDenied::Token));
    }

    #[test]
    fn wrong_tokens_are_rate_limited_for_each_client_and_the_right_one_is_not() {
        let (access, token) = (AccessControl::new(), Secret::from("hush"));
        let check = |client: [u8; 4], sent: &str| {
            let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {sent}")).body(()).unwrap();
            access.check(IpAddr::from(client), &request, &token)
        };
        let (client, other) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        // At most one new minute can begin meanwhile.
        let refused = (0..3 * WRONG_TOKENS_PER_MINUTE).map(|_| check(client, "guess").unwrap_err());
        let limited = refused.filter(|error| error.status() == StatusCode::TOO_MANY_REQUESTS).count();
        assert!((60..=120).contains(&limited), "{limited}");
        assert_eq!(check(client, "hush"), Ok(()));
        assert_eq!(check(other, "guess"), Err(AccessDenied::Token));
    }

    #[test]
    fn without_a_token_other_host_names_are_rejected() {
        for host in ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST"] {
            check_access("GET", &[("host", host)], "", Ok(()));
        }
        for host in ["evil.example:8081", "localhost.evil.example", ""] {
            check_access("GET", &[("host", host)], "", Err(AccessDenied::Host));
        }
    }

    #[test]
    fn a_cross_origin_post_is_rejected() {
        let host = ("host", "localhost:8081");
        check_access("POST", &[host], "", Ok(()));
        check_access("POST", &[host, ("origin", "http://localhost:8081")], "", Ok(()));
        check_access("POST", &[host, ("origin", "http://evil.example")], "", Err(AccessDenied::Origin));
        check_access("POST", &[host, ("origin", "null")], "", Err(AccessDenied::Origin));
        let browser = ("authorization", "Basic YW55Omh1c2g=");
        check_access(
            "POST",
            &[host, ("origin", "http://evil.example"), ("authorization", "Bearer hush")],
            "hush",
            Err(AccessDenied::Origin),
        );
        check_access("POST", &[host, browser], "hush", Ok(()));
    }
}
