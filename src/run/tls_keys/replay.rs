//! The secrets of a replay.
//!
//! In: `[tls]` of the settings, and the key logs in captures. Out: [`TlsKeys`] for the sensor. Promises: files are read before the
//! first packet; FIFOs, and the key logs of captures that cannot be sought, as they come.

use std::{sync::Arc, time::Duration};

use super::{Notice, PipeReaders, Store, read_private_keys, read_whole};
use crate::{
    capture::files::CaptureSet, keyed_hash::KeyedState, printable::printable, run::RunError, sandbox,
    settings::TlsSettings, stream::TlsKeys, telemetry::summary::StageCounts,
};

/// How long a replay waits for FIFOs to end before it begins.
const PATIENCE: Duration = Duration::from_secs(1);

/// The secrets of a replay, and the threads that read FIFOs.
pub(in crate::run) struct ReplayKeys {
    store: Arc<Store>,
    resumes: bool,
    _pipes: PipeReaders,
}

impl ReplayKeys {
    /// Reads all files.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that holds no private key.
    pub(in crate::run) fn read(settings: &TlsSettings) -> Result<Self, RunError> {
        let mut notices = Vec::new();
        let private_keys = read_private_keys(&settings.keys, &mut notices)?;
        let resumes = !private_keys.is_empty();
        let store = Arc::new(Store::new(settings.max_secrets, KeyedState::secret(), private_keys));
        let mut whole = read_whole(&settings.key_logs, &store)?;
        notices.append(&mut whole.notices);
        notices.iter().for_each(|notice: &Notice| eprintln!("wirespike: {}", printable(&notice.to_string())));
        let pipes = PipeReaders::start(whole, &store).map_err(super::TlsKeysError::Thread)?;
        pipes.wait(PATIENCE);
        if store.expects_any() {
            sandbox::forbid_core_dumps();
        }
        Ok(Self { store, resumes, _pipes: pipes })
    }

    /// Takes the key logs that were found in captures since the last call.
    pub(in crate::run) fn take(&self, captures: &mut CaptureSet) {
        for text in captures.take_key_logs() {
            sandbox::forbid_core_dumps();
            self.store.read_whole(&text);
        }
    }

    /// What decrypts TLS.
    pub(in crate::run) fn keys(&self) -> TlsKeys {
        TlsKeys::new(Arc::clone(&self.store), self.resumes)
    }

    /// Returns whether a connection may need the secret of a session that another connection began. Packets must then be read in
    /// their order, and not connection by connection.
    pub(in crate::run) fn resumes(&self) -> bool {
        self.resumes
    }

    /// What was read, if anything was.
    pub(in crate::run) fn stages(&self) -> Vec<StageCounts> {
        stages(&self.store)
    }
}

/// The counters of a store, if any secret was expected.
pub(in crate::run) fn stages(store: &Store) -> Vec<StageCounts> {
    if !store.expects_any() {
        return Vec::new();
    }
    let counters = store.counters();
    vec![
        StageCounts { stage: "tls_key_logs", counts: counters.key_logs.counts() },
        StageCounts { stage: "tls_secrets", counts: counters.store.counts() },
    ]
}
