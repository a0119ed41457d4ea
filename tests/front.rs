//! Replays the fuzzing corpora of requests, forms, events, paths and settings.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by it")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/front.rs"]
mod front;

/// Runs `check` on the corpus of `target`, on every truncation of its inputs, and with single bits flipped.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        check(&bytes);
        let positions = bytes.len().min(200);
        (0..positions).for_each(|end| check(&bytes[..end]));
        for position in 0..positions {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << (position % 8);
            check(&flipped);
        }
        files += 1;
    }
    assert!(files > 0, "the corpus of {target} is empty");
}

#[test]
fn any_path_is_an_error_or_stays_within_the_store() {
    replay("path", front::path);
}

#[test]
fn any_config_is_an_error_or_valid() {
    replay("config", front::config);
}

#[test]
fn any_input_on_a_connection_yields_http_responses_or_none() {
    replay("connection", front::connection);
}

#[test]
fn any_form_is_stored_or_rejected() {
    replay("form", front::form);
}

#[test]
fn any_event_is_applied_or_rejected() {
    replay("event", front::event);
}
