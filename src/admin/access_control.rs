//! Who may command: whoever has the token; without one, whoever sits at this machine, and no page in their browser.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode};

use crate::config::Secret;

/// Why a request is turned away. The messages are fit for those who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("send the token of this listener (admin.token): \"Authorization: Bearer TOKEN\"")]
    Token,
    #[error("without a token this listener is asked for by an IP address or as localhost only")]
    Host,
    #[error("a page of another site may not command this listener")]
    Origin,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

pub(super) fn check<B>(request: &Request<B>, token: &Secret) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = text(headers, HOST.as_str()).unwrap_or_default();
    if token.is_empty() {
        // A name that an attacker makes point here (DNS rebinding) is still in Host.
        if !is_local(host) {
            return Err(Refusal::Host);
        }
    } else if !credentials(headers).is_some_and(|given| token.is(&given)) {
        return Err(Refusal::Token);
    }
    // Browsers send Origin with every command across sites; what is no browser sends none.
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let foreign = origin.is_some_and(|origin| origin.split_once("://").map(|(_, authority)| authority) != Some(host));
    if foreign && *request.method() != Method::GET && *request.method() != Method::HEAD {
        return Err(Refusal::Origin);
    }
    Ok(())
}

/// The token as sent: RFC 6750, or RFC 7617 with any name.
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
    fn answer(method: &str, headers: &[(&str, &str)], token: &str, expected: Result<(), Refusal>) {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(check(&request.body(()).unwrap(), &Secret::from(token)), expected, "{method} {headers:?}");
    }

    #[test]
    fn the_token_is_taken_from_programs_and_browsers() {
        answer("GET", &[("host", "a.example")], "hush", Err(Refusal::Token));
        answer("GET", &[("authorization", "Bearer hush")], "hush", Ok(()));
        answer("GET", &[("authorization", "bearer  hush")], "hush", Ok(()));
        answer("GET", &[("authorization", "Basic YW55Omh1c2g=")], "hush", Ok(()));
        answer("GET", &[("authorization", "Basic YW55Omh1cw==")], "hush", Err(Refusal::Token));
        answer("GET", &[("authorization", "Bearer hus")], "hush", Err(Refusal::Token));
        answer("GET", &[("authorization", "hush")], "hush", Err(Refusal::Token));
        answer("GET", &[("authorization", "Bearer ")], "hush", Err(Refusal::Token));
    }

    #[test]
    fn without_a_token_another_name_is_refused() {
        for host in ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST"] {
            answer("GET", &[("host", host)], "", Ok(()));
        }
        for host in ["evil.example:8081", "localhost.evil.example", ""] {
            answer("GET", &[("host", host)], "", Err(Refusal::Host));
        }
    }

    #[test]
    fn a_command_from_another_site_is_refused() {
        let host = ("host", "localhost:8081");
        answer("POST", &[host], "", Ok(()));
        answer("POST", &[host, ("origin", "http://localhost:8081")], "", Ok(()));
        answer("POST", &[host, ("origin", "http://evil.example")], "", Err(Refusal::Origin));
        answer("POST", &[host, ("origin", "null")], "", Err(Refusal::Origin));
        let browser = ("authorization", "Basic YW55Omh1c2g=");
        answer(
            "POST",
            &[host, ("origin", "http://evil.example"), ("authorization", "Bearer hush")],
            "hush",
            Err(Refusal::Origin),
        );
        answer("POST", &[host, browser], "hush", Ok(()));
    }
}
