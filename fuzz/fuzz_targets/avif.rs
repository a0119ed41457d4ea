//! Parsing an AVIF container gives an error or a consistent image, within the estimated memory. No AV1 is decoded: the
//! samples are generated.
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one function")]
mod checks;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (estimated, used) = checks::peak(|| pixels::check_avif(bytes));
    // A few numbers for each item, reference and extent.
    let estimated = estimated.unwrap_or(0) + 64 * bytes.len() as u64;
    assert!(used <= estimated + checks::SLACK_BYTES, "{used} bytes used, {estimated} estimated");
});
