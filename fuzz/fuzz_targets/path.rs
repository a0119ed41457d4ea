//! Runs `front::path` on any bytes.
#![no_main]

#[path = "../front.rs"]
#[expect(dead_code, reason = "each target calls one function")]
mod front;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| front::path(bytes));
