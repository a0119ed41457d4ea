//! Variants: made once, kept fresh, shared by a fleet.

mod flights;
mod freshness;
mod fleet;
mod faults;
#[cfg(all(target_os = "linux", feature = "avif", feature = "avif-originals"))]
mod avif;
mod warm;
