//! Any bytes as an AVIF file: an error, or a picture whose parts fit one another, within the memory that it promised. No AV1 is
//! decoded; samples are made up.
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "a target makes one of the checks")]
mod checks;

#[global_allocator]
static ALLOCATOR: checks::Counting = checks::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (promised, used) = checks::peak(|| pixels::check_avif(bytes));
    // A few numbers for each item, reference and piece.
    let promised = promised.unwrap_or(0) + 64 * bytes.len() as u64;
    assert!(used <= promised + checks::SLACK_BYTES, "{used} bytes were taken and {promised} promised");
});
