//! The account of all memory that requests can make the server use.
//!
//! A [`MemoryAccount`] divides a total into shares. Each share is a [`MemoryBudget`] that gives [`MemoryPermit`]s. Memory
//! is reserved by a permit before it is allocated, and the permit lives as long as the memory: it is a field of the value
//! that owns the memory, or [`MemoryPermit::attach`] ties it to the bytes themselves.

mod host;

mod account;
mod budget;

pub use account::{MemoryAccount, MemoryShare, QueueLimits};
pub use budget::{BudgetError, MemoryBudget, MemoryPermit, UNIT_BYTES};
pub use host::{HostMemory, HostMemorySource, host_memory};
