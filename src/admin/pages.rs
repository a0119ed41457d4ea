//! The operator's pages: dashboard and playground. All that they need is in the binary, and they load from nowhere else.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, Method, StatusCode};

use super::{Access, Admin, AdminResponse, typed};

/// Pages and what they are made of.
#[derive(Debug)]
pub struct Pages;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($path:literal, $type:expr, $file:literal) => {
        ($path, $type, include_str!(concat!("pages/", $file)))
    };
}

const ASSETS: [(&str, &str, &str); 9] = [
    asset!("/", HTML, "dashboard.html"),
    asset!("/playground", HTML, "playground.html"),
    asset!("/assets/style.css", CSS, "style.css"),
    asset!("/assets/dashboard.js", JS, "dashboard.js"),
    asset!("/assets/numbers.js", JS, "numbers.js"),
    asset!("/assets/chart.js", JS, "chart.js"),
    asset!("/assets/playground.js", JS, "playground.js"),
    asset!("/assets/url.js", JS, "url.js"),
    asset!("/assets/icon.svg", "image/svg+xml", "icon.svg"),
];

/// Everything from here; `blob:` is the picture that was dropped and the variant made of it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Pages {
    /// Mounts them on `admin`.
    #[must_use]
    pub fn mount(admin: Admin) -> Admin {
        ASSETS.into_iter().fold(admin, |admin, (path, content_type, text)| {
            admin.route(Method::GET, path, Access::Operator, move |_| async move { page(content_type, text) })
        })
    }
}

fn page(content_type: &'static str, text: &'static str) -> AdminResponse {
    let mut response = typed(StatusCode::OK, content_type, text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_small() {
        let bytes: usize = ASSETS.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < 200_000, "{bytes} bytes");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for (path, _, text) in ASSETS {
            for (at, _) in text.match_indices("://") {
                let rest = &text[at + 3..];
                assert!(
                    rest.starts_with("www.w3.org/") || rest.starts_with("${"),
                    "{path}: {}",
                    &rest[..rest.len().min(40)]
                );
            }
        }
    }
}
