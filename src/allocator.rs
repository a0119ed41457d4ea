//! Configures the memory allocator to return freed memory to the system, because originals and pixels are large and short-lived.

/// musl's allocator has a single lock for all threads, so musl builds use mimalloc.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes glibc map every block of at least one megabyte separately, so that it is returned to the kernel as soon as it is freed.
///
/// By default glibc raises this threshold to the size of the largest freed block, up to 32 MB, and keeps smaller blocks in the
/// arena of the thread. With pictures of many sizes the process then holds twice the memory that is in use (mallopt(3),
/// `M_MMAP_THRESHOLD`).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no safe binding for mallopt")]
pub fn map_large_blocks() {
    const MEGABYTE: libc::c_int = 1 << 20;
    // SAFETY: mallopt takes two numbers by value, may be called at any time, and ignores unknown parameters.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MEGABYTE) };
}

/// Returns free blocks of all arenas to the kernel (malloc_trim(3)). glibc itself returns only the free blocks at the end of an
/// arena.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no safe binding for malloc_trim")]
pub fn return_freed_memory() {
    // SAFETY: malloc_trim takes a number by value and may be called at any time by any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: other allocators return freed memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn return_freed_memory() {}

/// Does nothing: other allocators have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn map_large_blocks() {}
