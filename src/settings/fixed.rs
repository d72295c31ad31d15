//! What cannot change while a sensor runs.
//!
//! In: the settings of a running sensor and those it is to go on under. Out: the new ones with the old value of every key
//! that holds open what depends on it (threads, rings, flow keys, files), and the names of those keys.

use super::Settings;

impl Settings {
    /// Keeps what a running sensor cannot change, and names the keys that asked for it.
    pub fn keep_fixed(&mut self, running: &Self) -> Vec<&'static str> {
        let (live, old) = (&mut self.live, &running.live);
        let kept = [
            keep("packets.workers", &mut self.workers, &running.workers),
            keep("packets.flow_scope", &mut self.scope, &running.scope),
            keep("limits.fragment_bytes", &mut self.decode.fragments.bytes, &running.decode.fragments.bytes),
            keep(
                "limits.fragment_datagrams",
                &mut self.decode.fragments.datagrams,
                &running.decode.fragments.datagrams,
            ),
            keep("limits.fragment_pieces", &mut self.decode.fragments.pieces, &running.decode.fragments.pieces),
            keep("timeouts.fragments", &mut self.decode.fragments.timeout, &running.decode.fragments.timeout),
            keep("limits.clients", &mut self.rule.max_clients, &running.rule.max_clients),
            keep("live.snap_length", &mut live.snap_length, &old.snap_length),
            keep("live.ring", &mut live.ring_mib, &old.ring_mib),
            keep("live.promiscuous", &mut live.promiscuous, &old.promiscuous),
            keep("live.stamps", &mut live.stamps, &old.stamps),
            keep("live.metrics", &mut live.metrics, &old.metrics),
            keep("live.state", &mut live.state, &old.state),
            keep("live.log_format", &mut live.log_format, &old.log_format),
        ];
        kept.into_iter().flatten().collect()
    }
}

fn keep<T: Clone + PartialEq>(key: &'static str, new: &mut T, running: &T) -> Option<&'static str> {
    let differs = new != running;
    new.clone_from(running);
    differs.then_some(key)
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    fn settings(folder: &tempfile::TempDir, text: &str) -> Settings {
        let path = folder.path().join("sensor.toml");
        std::fs::write(&path, text).unwrap();
        Settings::from_file(&path).unwrap()
    }

    #[test]
    fn what_can_change_changes_and_what_cannot_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let running = settings(&folder, "");
        let text = "[rule]\nthreshold = 7\n[packets]\nworkers = 4\nfilter = 'tcp'\n[live]\nring = 8\nstate = 'other'\n";
        let mut new = settings(&folder, text);
        assert_eq!(new.keep_fixed(&running), ["packets.workers", "live.ring", "live.state"]);
        assert_eq!((new.workers, new.live.ring_mib, &new.live.state), (1, 64, &None));
        assert_eq!((new.rule.threshold, new.filter.as_deref()), (7, Some("tcp")));
        assert_eq!(new.keep_fixed(&running), Vec::<&str>::new());
    }
}
