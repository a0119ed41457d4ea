//! Rules about the sources that the compiler cannot enforce: layers, crates, shapes and prose. ARCHITECTURE.md explains
//! them.

#![expect(clippy::unwrap_used, reason = "a failing test panics")]

mod layers;
mod manifests;
mod prose;
mod shapes;
mod sources;
