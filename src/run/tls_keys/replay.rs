//! The secrets of a replay.
//!
//! In: `[tls]` of the settings, and the key logs in captures. Out: [`TlsKeys`] for the sensor. Promises: files are read before the
//! first packet, and so are FIFOs whose writer closes them in time; later lines of FIFOs, and the key logs of captures that cannot be
//! sought, are read as they come. What is waited for, and what there is to say of a file, is said on standard error.

use std::sync::Arc;

use super::{Notice, PipeReaders, Store, pipes::Patience, read_private_keys, read_whole};
use crate::{
    capture::files::CaptureSet, keyed_hash::KeyedState, printable::printable, run::RunError, sandbox,
    sensor::SensorSettings, settings::TlsSettings, stream::TlsKeys, telemetry::summary::StageCounts,
};

/// The secrets of a replay, and the threads that read FIFOs.
pub(in crate::run) struct ReplayKeys {
    store: Arc<Store>,
    _pipes: PipeReaders,
}

impl ReplayKeys {
    /// Reads all files, and waits for FIFOs.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that holds no private key.
    pub(in crate::run) fn read(settings: &TlsSettings, is_quiet: bool) -> Result<Self, RunError> {
        let mut notices = Vec::new();
        let private_keys = read_private_keys(&settings.keys, &mut notices)?;
        let store = Arc::new(Store::new(settings.max_secrets, KeyedState::secret(), private_keys));
        let mut whole = read_whole(&settings.key_logs, &store)?;
        notices.append(&mut whole.notices);
        notices.iter().for_each(tell);
        let pipes = PipeReaders::start(whole, &store).map_err(super::TlsKeysError::Thread)?;
        let late = pipes.wait(Patience::OF_REPLAY, |path| {
            if !is_quiet {
                let path = path.to_string_lossy();
                eprintln!("wirespike: waiting for the writer of the key log {}", printable(&path));
            }
        });
        late.iter().for_each(tell);
        if store.expects_any() {
            sandbox::forbid_core_dumps();
        }
        Ok(Self { store, _pipes: pipes })
    }

    /// Takes the key logs that were found in captures since the last call.
    pub(in crate::run) fn take(&self, captures: &mut CaptureSet) {
        for text in captures.take_key_logs() {
            sandbox::forbid_core_dumps();
            self.store.read_whole(&text);
        }
    }

    /// Settings with what decrypts TLS. If there are private keys or master secrets of TLS 1.2, a connection may resume the session of
    /// another, and can be read only after that one. So packets are processed in their order then: otherwise it would differ from run
    /// to run which of the two is read first.
    pub(in crate::run) fn given_to(&self, settings: SensorSettings) -> SensorSettings {
        let in_order = self.store.may_resume();
        SensorSettings { tls_keys: TlsKeys::new(Arc::clone(&self.store), in_order), in_order, ..settings }
    }

    /// What was read, if anything was.
    pub(in crate::run) fn stages(&self) -> Vec<StageCounts> {
        stages(&self.store)
    }
}

fn tell(notice: &Notice) {
    eprintln!("wirespike: {}", printable(&notice.to_string()));
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
