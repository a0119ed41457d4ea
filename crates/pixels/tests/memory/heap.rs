//! Counts the bytes of the heap that are in use, by Rust and by C: this program defines the functions of the C library that
//! allocate. Rust's system allocator calls them too.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static USED: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(pointer: *mut c_void);
    fn malloc_usable_size(pointer: *mut c_void) -> usize;
}

/// Runs `work` and returns its result and the maximum of the bytes that it had in use. No other thread may allocate
/// meanwhile.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (result, PEAK.load(Relaxed).saturating_sub(before))
}

fn count(pointer: *mut c_void) -> *mut c_void {
    // SAFETY: the pointer is null, for which the size is zero, or was just returned by the allocator.
    let bytes = unsafe { malloc_usable_size(pointer) } as u64;
    PEAK.fetch_max(USED.fetch_add(bytes, Relaxed) + bytes, Relaxed);
    pointer
}

fn uncount(pointer: *mut c_void) {
    // SAFETY: the caller of the C function owns the pointer, which is null or valid.
    USED.fetch_sub(unsafe { malloc_usable_size(pointer) } as u64, Relaxed);
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: the function has no preconditions.
    count(unsafe { __libc_malloc(size) })
}

#[unsafe(no_mangle)]
extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    // SAFETY: the function has no preconditions.
    count(unsafe { __libc_calloc(number, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
    uncount(pointer);
    // SAFETY: the caller fulfills the contract, which is the same.
    let resized = unsafe { __libc_realloc(pointer, size) };
    count(if resized.is_null() { pointer } else { resized });
    resized
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(pointer: *mut c_void) {
    uncount(pointer);
    // SAFETY: the caller fulfills the contract, which is the same.
    unsafe { __libc_free(pointer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller fulfills the contract, which is the same.
    count(unsafe { __libc_memalign(alignment, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller fulfills the contract, which is the same.
    count(unsafe { __libc_memalign(alignment, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(target: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    const ENOMEM: c_int = 12;
    // SAFETY: the caller fulfills the contract of `memalign`, and `target` is valid.
    unsafe {
        let pointer = count(__libc_memalign(alignment, size));
        if pointer.is_null() {
            return ENOMEM;
        }
        *target = pointer;
    }
    0
}
