//! Runs `checks::vp8l` on any bytes.
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one function")]
mod checks;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = checks::vp8l(bytes);
});
