//! Core dumps.
//!
//! In: nothing. Out: whether the kernel writes no core dumps of this process any more. Promises: no other process of the same
//! user can attach to this process or read its memory either.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

/// Keeps the memory of this process, in which there are secrets, out of core dumps. To be called again after the process has
/// changed its user, because the kernel then forgets it, and before the system-call filter, which refuses both calls. Returns
/// whether the kernel has accepted it.
pub(crate) fn forbid_core_dumps() -> bool {
    // The limit alone does not keep a core dump from a program to which the kernel pipes it.
    let limited = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    prctl::set_dumpable(false).and(limited).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::getrlimit;

    #[test]
    fn core_dumps_are_forbidden_and_files_of_the_process_can_still_be_read() {
        assert!(forbid_core_dumps());
        assert_eq!(prctl::get_dumpable(), Ok(false));
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        for name in ["status", "stat", "statm", "maps", "task"] {
            let path = format!("/proc/self/{name}");
            assert!(std::fs::metadata(&path).is_ok(), "{path}");
        }
        assert!(std::fs::read_to_string("/proc/self/status").is_ok());
        assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() > 0);
    }
}
