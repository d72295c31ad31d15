//! Least privilege: gives up every right that the sensor does not need once its captures are open.
//!
//! In: what the sensor still has to do. Out: for each measure a report that it was applied, or why not. Promises: the sensor
//! runs without any of the measures too; each measure works without the others. It is called once, before threads start:
//! capabilities and Landlock are per thread, and a new thread inherits them from the thread that starts it.

mod landlock;
mod seccomp;

use std::{fmt, path::PathBuf};

use caps::{CapSet, Capability, CapsHashSet};

/// What the sensor keeps the right to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// The files that the sensor writes. All others are read-only from here on.
    pub writes: Vec<PathBuf>,
    /// Whether `CAP_NET_RAW` is kept, which it takes to open an interface of a fan-out group again when it comes back.
    pub reopen_interfaces: bool,
}

/// A measure of least privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// No capability is left, or only the one in [`Needs`].
    Capabilities,
    /// No program started from here can gain privileges.
    NoNewPrivileges,
    /// The file system is read-only except for the files in [`Needs`].
    Landlock,
    /// System calls that a sensor never makes are refused.
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
pub(crate) fn enter(needs: &Needs) -> Vec<Report> {
    let capabilities = drop_capabilities(needs.reopen_interfaces);
    let (no_new_privileges, landlock) = landlock::restrict(&needs.writes);
    let seccomp = seccomp::restrict();
    [
        (Measure::Capabilities, capabilities),
        (Measure::NoNewPrivileges, no_new_privileges),
        (Measure::Landlock, landlock),
        (Measure::Seccomp, seccomp),
    ]
    .map(|(measure, status)| Report { measure, status })
    .into()
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

fn drop_capabilities(keep_net_raw: bool) -> Status {
    let mut kept = CapsHashSet::new();
    if keep_net_raw && caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).unwrap_or(false) {
        kept.insert(Capability::CAP_NET_RAW);
    }
    // Clearing the bounding set needs CAP_SETPCAP, which a service under its own user does not have. There no_new_privs has
    // the same effect.
    let _ = caps::clear(None, CapSet::Bounding);
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
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no_new_privs",
            Self::Landlock => "landlock",
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

    fn inside(folder: &std::path::Path) {
        let alerts = folder.join("allowed/alerts.jsonl");
        let reports = enter(&Needs { writes: vec![alerts.clone()], reopen_interfaces: false });
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
        if applied(Measure::Capabilities) {
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        }
        if applied(Measure::Landlock) {
            assert!(fs::write(folder.join("outside"), "").is_err());
        }
        if applied(Measure::NoNewPrivileges) {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        }
        if applied(Measure::Seccomp) {
            let error = Command::new("/bin/true").status().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            std::thread::spawn(|| ()).join().unwrap();
        }
    }
}
