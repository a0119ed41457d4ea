//! The `Date` header, which is formatted once a second on each thread.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    static CACHED: RefCell<(Duration, HeaderValue)> =
        const { RefCell::new((Duration::MAX, HeaderValue::from_static(""))) };
}

/// The current time as the value of `Date` (RFC 9110 section 6.6.1).
pub(super) fn now() -> HeaderValue {
    let now = SystemTime::now();
    let second = Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    CACHED.with_borrow_mut(|(cached, value)| {
        if *cached != second
            && let Ok(formatted) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            (*cached, *value) = (second, formatted);
        }
        value.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_now() {
        let before = SystemTime::now();
        let date = httpdate::parse_http_date(now().to_str().unwrap()).unwrap();
        assert!(before.duration_since(date).unwrap_or_default() < Duration::from_secs(2));
        assert_eq!(now().len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
    }
}
