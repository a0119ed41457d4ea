//! `front::path`, on any bytes.
#![no_main]

#[path = "../front.rs"]
#[expect(dead_code, reason = "a target makes one of the checks")]
mod front;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| front::path(bytes));
