//! Whether standard output was closed when the program started.
//!
//! In: the descriptors as the program was given them. Out: one answer, kept from before `main`. Promises: tells a closed
//! standard output (`>&-`) from one that is `/dev/null`, however that was opened.
//!
//! Rust's runtime opens `/dev/null` for reading and writing in the place of each standard descriptor that is closed, before
//! `main` runs, so that no other file takes its number. Many programs start others with exactly such a descriptor
//! (`daemon(3)`, Python's `subprocess.DEVNULL`, Node's `'ignore'`): in `main` the two cannot be told apart any more. So the
//! question is asked earlier, among the functions that the loader calls before it hands over to the runtime.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the loader calls each function in this section once, before `main`, with the C calling convention. This one makes a
// system call and stores its answer: it allocates nothing, uses nothing of the runtime and cannot panic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: asks for flags of a descriptor, which need not exist.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Returns whether there was no standard output when the program started.
pub(crate) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
