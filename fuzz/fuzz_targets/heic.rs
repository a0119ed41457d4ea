//! Decoding HEIC within limits, as the sandboxed process does, gives an error or an image of the stated size.
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one function")]
mod checks;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::original(bytes, &[pixels::Codec::Heic]));
