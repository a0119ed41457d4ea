//! What fuzzing has found and kept of requests, forms, events, paths and settings holds still.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by it")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/front.rs"]
mod front;

/// Runs `check` on the corpus of `target`, and on what becomes of it cut short at every place and with each bit of its beginning
/// turned.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        check(&bytes);
        let places = bytes.len().min(200);
        (0..places).for_each(|end| check(&bytes[..end]));
        for place in 0..places {
            let mut turned = bytes.clone();
            turned[place] ^= 1 << (place % 8);
            check(&turned);
        }
        files += 1;
    }
    assert!(files > 0, "{target} has no corpus");
}

#[test]
fn any_path_is_an_error_or_stays_inside() {
    replay("path", front::path);
}

#[test]
fn any_config_is_an_error_or_settings() {
    replay("config", front::config);
}

#[test]
fn any_bytes_of_a_client_end_in_http_or_in_nothing() {
    replay("connection", front::connection);
}

#[test]
fn any_form_is_stored_or_refused() {
    replay("form", front::form);
}

#[test]
fn any_notification_is_followed_or_refused() {
    replay("event", front::event);
}
