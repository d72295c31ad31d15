//! What `--version` says.
//!
//! In: what the build knew. Out: version, commit, libpcap and what the program can do.

use std::sync::LazyLock;

use crate::capture::libpcap;

/// The commit, where the build named it in `WIRESPIKE_COMMIT`, as packaging does.
const COMMIT: Option<&str> = option_env!("WIRESPIKE_COMMIT");

static LONG: LazyLock<String> = LazyLock::new(|| {
    let commit = COMMIT.filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    format!(
        "{}\ncommit:   {commit}\nlibpcap:  {}\nreads:    pcap and pcapng; gzip, zstd, lz4, xz\nsandbox:  capabilities, Landlock, \
         seccomp",
        env!("CARGO_PKG_VERSION"),
        libpcap::version()
    )
});

/// The long form of the version.
pub(super) fn long() -> &'static str {
    LONG.as_str()
}
