//! Access control of operator routes.
//!
//! A request must contain the token. If no token is configured, its `Host` header must be `localhost` or an IP address.
//! In both cases commands from web pages of other origins are rejected.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode};

use crate::config::Secret;

/// The reason why a request is rejected. The message is sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessDenied {
    #[error("the admin token is required (admin.token): send \"Authorization: Bearer TOKEN\"")]
    Token,
    #[error("without a token the host must be localhost or an IP address")]
    Host,
    #[error("requests from pages of other origins are not allowed")]
    Origin,
}

impl AccessDenied {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

/// Checks the token, or the host if no token is configured. Rejects commands from pages of other origins.
pub(super) fn check<B>(request: &Request<B>, token: &Secret) -> Result<(), AccessDenied> {
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
    let (scheme, value) = text(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
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
