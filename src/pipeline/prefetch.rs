//! Asking for memory before it is needed.
//!
//! In: bytes that will be read soon. Out: nothing; they are on their way to the nearest cache. The project's only unsafe
//! code: packets lie one behind another, but what decoding reads of each depends on what it read before, and the wait
//! for the first bytes of each packet was half of the reading thread's time.

/// Begins to fetch the first bytes, as many as headers take.
#[inline]
#[allow(unsafe_code)]
pub(super) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64).take(2) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is of bytes that are borrowed here, and a prefetch changes and faults on nothing anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
