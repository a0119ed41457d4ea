//! The allocator is the system's, and is to give back what finished work had: pixels and originals are large and short-lived.

/// musl's own has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has glibc map every block of a megabyte and more by itself, so that it is the kernel's again in the moment it is freed.
///
/// Unless told, glibc raises that size to that of the largest block that was ever freed, up to 32 MB, and keeps what is smaller
/// for the thread that had it: with pictures of many sizes twice the memory stays that is in use (mallopt(3), `M_MMAP_THRESHOLD`).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no safe door to it")]
pub fn map_large_blocks() {
    const MEGABYTE: libc::c_int = 1 << 20;
    // SAFETY: mallopt takes two numbers by value and may be called at any time; of unknown ones it takes no notice.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MEGABYTE) };
}

/// Other allocators have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn map_large_blocks() {}
