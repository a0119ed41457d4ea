//! Rasterizing and sanitizing SVG, as the sandboxed process does, gives errors, or an image of the stated size and a file
//! without scripts.
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one function")]
mod checks;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::svg(bytes));
