//! The operator's pages: dashboard and playground. All of their assets are embedded in the binary.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::{AdminResponse, Route, with_type};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($path:literal, $type:expr, $file:literal) => {
        ($path, $type, include_str!(concat!("pages/", $file)))
    };
}

/// Path, content type and text of each asset.
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

/// Allows only resources of this origin. `blob:` URLs show the dropped picture and its variant.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One route per asset.
pub(super) fn routes() -> impl Iterator<Item = Route> {
    ASSETS
        .into_iter()
        .map(|(path, content_type, text)| Route::get(path, move |_| async move { asset_response(content_type, text) }))
}

fn asset_response(content_type: &'static str, text: &'static str) -> AdminResponse {
    let mut response = with_type(StatusCode::OK, content_type, text);
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
    fn the_assets_are_small() {
        let bytes: usize = ASSETS.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < 200_000, "{bytes} bytes");
    }

    #[test]
    fn the_assets_load_nothing_from_other_hosts() {
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
