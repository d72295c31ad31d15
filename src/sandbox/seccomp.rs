//! The system-call filter.
//!
//! In: whether a service manager is told of the sensor's health. Out: whether the filter is in force. Promises: only the calls
//! that a running sensor makes are allowed. Any other call fails with EPERM and does not end the process, because a C library
//! or kernel of another version may try a call that is not listed and go on without it.
//!
//! Some calls are allowed only with certain arguments: no new sockets of the Internet families, no signals to other
//! processes, no permissions but those of the sensor's own files, no threads in namespaces of their own.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCmpOp::Eq,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::Status;

/// Calls that are allowed with any arguments.
const ALLOWED: &[libc::c_long] = &[
    // Files that are open, or that Landlock lets through.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads and time.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    // The filter for clone3 alone answers that the call does not exist. An answer of this filter would replace that one.
    libc::SYS_clone3,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Interfaces and the metrics endpoint.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
];

/// Calls of older programs that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// The kinds of namespace that a thread must not get.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// The permissions of the files that the sensor makes.
const FILE_MODE: u64 = 0o640;

/// The part of a socket's type that is not a flag.
const SOCKET_TYPE: u64 = 0xf;

/// Requests of ioctl that type into a terminal, as if its user had: `TIOCSTI` and `TIOCLINUX`.
const TYPES_INTO_TERMINAL: [u64; 2] = [0x5412, 0x541c];

/// `PR_SET_VMA`, by which the C library names its memory.
const PR_SET_VMA: u64 = 0x5356_4d41;

pub(super) fn restrict(tells_manager: bool) -> Status {
    match install(tells_manager) {
        Ok(calls) => Status::Applied(format!("{calls} calls allowed, all others refused")),
        Err(reason) => Status::Unavailable(reason),
    }
}

/// Installs the filter, and returns how many calls it allows.
fn install(tells_manager: bool) -> Result<usize, String> {
    let rules = rules(tells_manager).map_err(|error| error.to_string())?;
    let calls = rules.len();
    // The flags of clone3 are in memory, where a filter cannot see them. The C library falls back on clone when the call
    // does not exist. This filter comes first, because the next one refuses the calls that install a filter.
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    apply([(libc::SYS_clone3, Vec::new())].into(), SeccompAction::Allow, absent)?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    apply(rules, refuse, SeccompAction::Allow)?;
    Ok(calls)
}

fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), String> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|error| error.to_string())
}

/// The allowed calls. A call without conditions is allowed with any arguments.
fn rules(tells_manager: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let is = |argument, value: u64| SeccompCondition::new(argument, Dword, Eq, value);
    let is_masked =
        |argument, mask: u64, value: u64| SeccompCondition::new(argument, Dword, SeccompCmpOp::MaskedEq(mask), value);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OLDER).map(|&call| (call, Vec::new())).collect();
    rules.insert(
        libc::SYS_clone,
        vec![SeccompRule::new(vec![is_masked(0, u64::from(NAMESPACES.cast_unsigned()), 0)?])?],
    );
    // A process may end itself.
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, std::process::id().into())?])?]);
    rules.insert(libc::SYS_fchmod, vec![SeccompRule::new(vec![is(1, FILE_MODE)?])?]);
    let differs = |value| SeccompCondition::new(1, Dword, SeccompCmpOp::Ne, value);
    let harmless = TYPES_INTO_TERMINAL.into_iter().map(differs).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(harmless)?]);
    // Limits of this process can be read.
    rules.insert(
        libc::SYS_prlimit64,
        vec![SeccompRule::new(vec![is(0, 0)?, SeccompCondition::new(2, SeccompCmpArgLen::Qword, Eq, 0)?])?],
    );
    let options = [libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, PR_SET_VMA];
    rules.insert(
        libc::SYS_prctl,
        options.iter().map(|&option| SeccompRule::new(vec![is(0, option)?])).collect::<Result<_, _>>()?,
    );
    let family = |family: libc::c_int| is(0, family as u64);
    let kind = |kind: libc::c_int| is_masked(1, SOCKET_TYPE, kind as u64);
    rules.insert(
        libc::SYS_socket,
        vec![
            SeccompRule::new(vec![family(libc::AF_PACKET)?])?,
            SeccompRule::new(vec![family(libc::AF_NETLINK)?])?,
            SeccompRule::new(vec![family(libc::AF_UNIX)?, kind(libc::SOCK_DGRAM)?])?,
            SeccompRule::new(vec![family(libc::AF_UNIX)?, kind(libc::SOCK_RAW)?])?,
        ],
    );
    if tells_manager {
        // Only the datagram sockets above can be connected: to the service manager.
        rules.insert(libc::SYS_connect, Vec::new());
    }
    Ok(rules)
}
