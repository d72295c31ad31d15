//! Least privilege: gives up every right that the sensor does not need once its captures are open.
//!
//! In: what the sensor still has to do. Out: for each measure a report that it was applied, or why not. Promises: the sensor
//! runs without any of the measures too; each measure works without the others. It is called once, before threads start:
//! capabilities and Landlock are per thread, and a new thread inherits them from the thread that starts it.

mod core_dumps;
mod landlock;
mod seccomp;
mod user;

use std::{fmt, path::PathBuf};

use caps::{CapSet, Capability, CapsHashSet};

pub(crate) use self::{
    core_dumps::forbid_core_dumps,
    user::{Plan, UserError},
};

/// What the sensor keeps the right to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// The files that the sensor writes.
    pub writes: Vec<PathBuf>,
    /// The files that the sensor reads again, such as its configuration.
    pub reads: Vec<PathBuf>,
    /// Whether a service manager is told that the sensor is alive.
    pub tells_manager: bool,
    /// Whether there are secrets in memory, which no core dump may show.
    pub keeps_secrets: bool,
    /// Whether `CAP_NET_RAW` is kept, which it takes to open an interface of a fan-out group again when it comes back.
    pub reopen_interfaces: bool,
}

/// A measure of least privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The sensor is not root.
    User,
    /// No capability is left, or only the one in [`Needs`].
    Capabilities,
    /// No program started from here can gain privileges.
    NoNewPrivileges,
    /// Only the files in [`Needs`] can be read or written, and those that the system's own libraries read.
    Landlock,
    /// The memory, in which there are secrets, is in no core dump.
    CoreDumps,
    /// Only the system calls that a sensor makes are allowed.
    Seccomp,
}

/// How a measure came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// In force; with what is worth knowing about it.
    Applied(String),
    /// In force in part.
    Partial(String),
    /// Not in force, and why.
    Unavailable(String),
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The measure.
    pub measure: Measure,
    /// How it came out.
    pub status: Status,
}

/// Gives up every right that is not needed, as far as this kernel can. The order is such that no measure prevents the next.
///
/// # Errors
///
/// A user that the sensor cannot become, although the plan had been tried.
pub(crate) fn enter(needs: &Needs, plan: Plan) -> Result<Vec<Report>, UserError> {
    // Clearing the bounding set needs CAP_SETPCAP, which only root has. Under another user no_new_privs has the same effect.
    let _ = caps::clear(None, CapSet::Bounding);
    let user = plan.carry_out(needs)?;
    let capabilities = drop_capabilities(needs.reopen_interfaces);
    let (no_new_privileges, landlock) = landlock::restrict(needs);
    let core_dumps = needs.keeps_secrets.then(|| (Measure::CoreDumps, core_dumps()));
    let seccomp = seccomp::restrict(needs.tells_manager);
    let reports = [
        (Measure::User, user),
        (Measure::Capabilities, capabilities),
        (Measure::NoNewPrivileges, no_new_privileges),
        (Measure::Landlock, landlock),
        (Measure::Seccomp, seccomp),
    ];
    Ok(reports.into_iter().chain(core_dumps).map(|(measure, status)| Report { measure, status }).collect())
}

/// Logs the reports: measures in force as information, the others as warnings.
pub(crate) fn log(reports: &[Report]) {
    for Report { measure, status } in reports {
        match status {
            Status::Applied(detail) => tracing::info!(%measure, detail, "sandbox: applied"),
            Status::Partial(reason) => tracing::warn!(%measure, reason, "sandbox: applied in part"),
            Status::Unavailable(reason) => tracing::warn!(%measure, reason, "sandbox: unavailable"),
        }
    }
}

fn core_dumps() -> Status {
    match forbid_core_dumps() {
        true => Status::Applied("none will be written".into()),
        false => Status::Unavailable("the kernel refuses".into()),
    }
}

fn drop_capabilities(keep_net_raw: bool) -> Status {
    let mut kept = CapsHashSet::new();
    if keep_net_raw && caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).unwrap_or(false) {
        kept.insert(Capability::CAP_NET_RAW);
    }
    let dropped = caps::clear(None, CapSet::Ambient)
        .and_then(|()| caps::clear(None, CapSet::Inheritable))
        .and_then(|()| caps::set(None, CapSet::Effective, &kept))
        .and_then(|()| caps::set(None, CapSet::Permitted, &kept));
    match dropped {
        Ok(()) if kept.is_empty() => Status::Applied("none left".into()),
        Ok(()) => Status::Applied("only CAP_NET_RAW left, to pick up interfaces that come back".into()),
        Err(error) => Status::Unavailable(error.to_string()),
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no_new_privs",
            Self::Landlock => "landlock",
            Self::CoreDumps => "core dumps",
            Self::Seccomp => "seccomp",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process::Command};

    use super::*;
    use crate::capture::testing::skipped;

    const INSIDE: &str = "WIRESPIKE_SANDBOX_TEST_FOLDER";
    /// How the process inside the sandbox, which may not write files, starts a line about a measure that it cannot check.
    const NOT_CHECKED: &str = "not checked: ";

    /// The sandbox cannot be left, so the test runs in a process of its own: this test binary with one test and a
    /// variable that says so.
    #[test]
    fn holds_in_its_own_process() {
        if let Ok(folder) = env::var(INSIDE) {
            return inside(&PathBuf::from(folder));
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("allowed")).unwrap();
        fs::create_dir(folder.path().join("configuration")).unwrap();
        fs::write(folder.path().join("configuration/sensor.toml"), "[rule]\n").unwrap();
        fs::write(folder.path().join("secret"), "").unwrap();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sandbox::tests::holds_in_its_own_process", "--nocapture"])
            .env(INSIDE, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        for measure in said.lines().filter_map(|line| line.strip_prefix(NOT_CHECKED)) {
            skipped("a measure of the sandbox", measure);
        }
    }

    #[track_caller]
    fn refused_by_seccomp<T>(result: std::io::Result<T>) {
        assert_eq!(result.err().and_then(|error| error.raw_os_error()), Some(libc::EPERM));
    }

    /// Returns whether this kernel can filter system calls, as it says before the sandbox is entered.
    fn kernel_has_seccomp() -> bool {
        fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").is_ok_and(|actions| actions.contains("errno"))
    }

    /// The number of filters that are in force for this thread.
    fn filters() -> Option<u64> {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")?.trim().parse().ok())
    }

    /// What a sensor does late in its life: rotation, reloads, a panic of a thread.
    fn do_late_work(allowed: &std::path::Path, configuration: &std::path::Path) {
        let path = allowed.join("rotated");
        for round in 0..2 {
            let mut file = fs::OpenOptions::new().create(true).append(true).read(true).open(&path).unwrap();
            file.try_lock().unwrap();
            std::io::Write::write_all(&mut file, b"{}\n").unwrap();
            file.set_len(1).unwrap();
            file.sync_all().unwrap();
            fs::File::open(allowed).and_then(|folder| folder.sync_all()).unwrap();
            fs::rename(&path, allowed.join(format!("rotated.{round}"))).unwrap();
        }
        fs::remove_file(allowed.join("rotated.1")).unwrap();
        assert!(fs::canonicalize(allowed).is_ok() && fs::read_dir(allowed).unwrap().count() > 0);
        assert!(fs::read(configuration).is_ok() && fs::read_to_string("/proc/locks").is_ok());
        assert!(std::thread::available_parallelism().is_ok());
        assert!(std::thread::spawn(|| panic!("of the test, on purpose")).join().is_err());
    }

    fn inside(folder: &std::path::Path) {
        let (has_seccomp, filters_before) = (kernel_has_seccomp(), filters());
        let alerts = folder.join("allowed/alerts.jsonl");
        let configuration = folder.join("configuration/sensor.toml");
        let needs = Needs { writes: vec![alerts.clone()], reads: vec![configuration.clone()], ..Needs::default() };
        let reports = enter(&needs, Plan::Stay(Status::Applied(String::new()))).unwrap();
        let applied = |measure| {
            let report = reports.iter().find(|report| report.measure == measure).unwrap();
            let applied = matches!(report.status, Status::Applied(_));
            if !applied {
                eprintln!("{NOT_CHECKED}{report:?}");
            }
            applied
        };
        fs::write(&alerts, "{}").unwrap();
        fs::rename(&alerts, folder.join("allowed/alerts.jsonl.1")).unwrap();
        assert!(fs::read_dir("/proc/self").is_ok());
        assert_eq!(fs::read_to_string(&configuration).unwrap(), "[rule]\n");
        let set_mode = |mode| {
            use std::os::unix::fs::PermissionsExt;
            fs::File::create(&alerts).and_then(|file| file.set_permissions(fs::Permissions::from_mode(mode)))
        };
        set_mode(0o640).unwrap();
        if applied(Measure::Capabilities) {
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        }
        if applied(Measure::Landlock) {
            assert!(fs::write(folder.join("outside"), "").is_err());
            for outside in ["/etc/passwd", "/etc/shadow"] {
                assert!(fs::read(outside).is_err(), "{outside}");
            }
            assert!(fs::read(folder.join("secret")).is_err());
        }
        if applied(Measure::NoNewPrivileges) {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        }
        do_late_work(&folder.join("allowed"), &configuration);
        let is_filtered = applied(Measure::Seccomp);
        assert!(is_filtered || !has_seccomp, "the kernel has seccomp, and the filter is not in force: {reports:?}");
        if is_filtered {
            let installed = filters().zip(filters_before).map(|(now, before)| now - before);
            assert!(installed.is_none_or(|installed| installed == 2), "{installed:?}");
            let error = Command::new("/bin/true").status().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            refused_by_seccomp(set_mode(0o4755));
            refused_by_seccomp(std::net::TcpStream::connect("127.0.0.1:9"));
            refused_by_seccomp(std::net::TcpListener::bind("127.0.0.1:0"));
            refused_by_seccomp(std::net::UdpSocket::bind("127.0.0.1:0"));
            refused_by_seccomp(std::os::unix::net::UnixStream::connect("/run/any.sock"));
            refused_by_seccomp(std::os::unix::fs::chown(&alerts, Some(1), Some(1)));
            refused_by_seccomp(std::os::unix::fs::symlink("/etc", folder.join("allowed/link")));
            refused_by_seccomp(fs::hard_link(&alerts, folder.join("allowed/hard")));
            // Threads, their names, and more memory than any cache of the allocator.
            let work = || vec![1u8; 64 << 20].iter().map(|&byte| u64::from(byte)).sum::<u64>();
            let threads = [0; 8].map(|_| std::thread::Builder::new().name("worker".into()).spawn(work).unwrap());
            assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 64 << 20));
            assert!(std::os::unix::net::UnixStream::pair().is_ok());
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        }
    }
}
