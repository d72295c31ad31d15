//! What cannot change while a sensor runs.
//!
//! In: the settings of a running sensor and those it is to go on under. Out: the new ones with the old value of every key
//! that holds open what depends on it (threads, rings, flow keys, files), and the names of those keys.

use super::{Settings, key::Reload, keys};

/// The names of all keys that wait for a restart.
pub(crate) fn fixed_keys() -> impl Iterator<Item = &'static str> {
    keys::all().filter(|key| key.reload == Reload::OnRestart).map(|key| key.name)
}

impl Settings {
    /// Keeps what a running sensor cannot change, and names the keys that asked for it.
    pub fn keep_fixed(&mut self, running: &Self) -> Vec<&'static str> {
        self.events.hash_seed = running.events.hash_seed;
        let fixed = keys::all().filter(|key| key.reload == Reload::OnRestart);
        fixed.filter(|key| (key.field.keep)(self, running)).map(|key| key.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn settings(folder: &tempfile::TempDir, text: &str) -> Settings {
        let path = folder.path().join("sensor.toml");
        std::fs::write(&path, text).unwrap();
        Settings::for_live(&Sources::file(path)).unwrap()
    }

    #[test]
    fn what_can_change_changes_and_what_cannot_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let running = settings(&folder, "");
        let text = "[rule]\nthreshold = 7\n[packets]\nworkers = 4\nfilter = 'tcp'\n[live]\nring = 8\nstate = 'other'\n";
        let mut new = settings(&folder, text);
        assert_eq!(new.keep_fixed(&running), ["packets.workers", "live.ring", "live.state"]);
        assert_eq!((new.workers, new.live.ring_mib, &new.live.state), (1, 64, &None));
        assert_eq!((new.rules.error_spike.threshold, new.filter.as_deref()), (7, Some("tcp")));
        assert_eq!(new.keep_fixed(&running), Vec::<&str>::new());
    }

    #[test]
    fn threads_flow_keys_fragments_and_live_capture_wait_for_a_restart() {
        let fixed: Vec<_> = fixed_keys().filter(|key| !key.starts_with("live.")).collect();
        assert_eq!(
            fixed,
            [
                "output.evidence",
                "output.evidence_bytes",
                "output.evidence_before",
                "output.evidence_after",
                "output.evidence_total_bytes",
                "output.evidence_ring_bytes",
                "enrich.sightings",
                "packets.workers",
                "packets.flow_scope",
                "packets.hash_seed",
                "tls.keylog",
                "tls.key",
                "tls.max_secrets",
                "limits.fragment_bytes",
                "limits.fragment_datagrams",
                "limits.fragment_pieces",
                "limits.clients",
                "timeouts.fragments",
            ]
        );
        assert!(keys::all().filter(|key| key.name.starts_with("live.")).all(|key| key.reload == Reload::OnRestart));
    }
}
