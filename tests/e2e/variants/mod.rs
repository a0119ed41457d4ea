//! Variants: flights, freshness, faults, and several nodes on one bucket.

mod flights;
mod leases;
mod freshness;
mod lanes;
#[cfg(feature = "avif")]
mod later;
mod revalidation;
mod fleet;
mod faults;
#[cfg(all(target_os = "linux", feature = "avif", feature = "avif-originals"))]
mod avif;
#[cfg(all(target_os = "linux", feature = "jxl-variants"))]
mod jxl;
mod warm;
