//! The secrets of a live run.
//!
//! In: `[tls]` of the settings. Out: [`TlsKeys`] for the sensor, and a thread that follows the key logs. Promises: private keys are
//! read before rights are given up, key logs afterwards; what there is to say of a file is logged once.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{Scope, ScopedJoinHandle},
};

use crossbeam_channel::{Sender, bounded};

use super::{Follower, Store, follower::FollowerCounters, paths_to_read, read_private_keys, replay::stages};
use crate::{
    keyed_hash::KeyedState, run::RunError, settings::TlsSettings, stream::TlsKeys, telemetry::summary::StageCounts,
};

/// The secrets of a live run, before its threads start.
pub(in crate::run) struct LiveKeys {
    store: Arc<Store>,
    follower: Option<Follower>,
    paths: Vec<PathBuf>,
}

impl LiveKeys {
    /// Reads private keys, and prepares to follow key logs.
    ///
    /// # Errors
    ///
    /// A private key that cannot be read; a key log that can never be.
    pub(in crate::run) fn open(settings: &TlsSettings) -> Result<Self, RunError> {
        let mut notices = Vec::new();
        let private_keys = read_private_keys(&settings.keys, &mut notices)?;
        notices.iter().for_each(|notice| tracing::warn!(%notice));
        let store = Arc::new(Store::new(settings.max_secrets, KeyedState::secret(), private_keys));
        let follower = match settings.key_logs.as_slice() {
            [] => None,
            paths => Some(Follower::new(paths, Arc::clone(&store))?),
        };
        Ok(Self { store, follower, paths: paths_to_read(&settings.key_logs) })
    }

    /// What decrypts TLS.
    pub(in crate::run) fn keys(&self) -> TlsKeys {
        // A session is resumed later than it began, so whichever thread reads that has mostly read it by then.
        TlsKeys::new(Arc::clone(&self.store), true).with_shared_searches()
    }

    /// Returns whether any secret may come.
    pub(in crate::run) fn expects_any(&self) -> bool {
        self.store.expects_any()
    }

    /// What counts the secrets while the run goes on.
    pub(in crate::run) fn counter(&self) -> SecretsCounter {
        SecretsCounter(Some(Arc::clone(&self.store)))
    }

    /// The paths that are read after rights were given up.
    pub(in crate::run) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.paths.iter().cloned()
    }

    /// Starts the thread that follows the key logs, if there are any.
    pub(in crate::run) fn follow<'scope>(self, scope: &'scope Scope<'scope, '_>) -> FollowedKeys<'scope> {
        let Self { store, follower, .. } = self;
        let follow = |follower: Follower| {
            let (stop, stopped) = bounded::<()>(1);
            let run = move || follower.run(&stopped, |notice| tracing::warn!(%notice));
            (stop, scope.spawn(run))
        };
        FollowedKeys { store, thread: follower.map(follow) }
    }
}

/// Counts secrets while a run goes on.
#[derive(Default)]
pub(in crate::run) struct SecretsCounter(Option<Arc<Store>>);

impl SecretsCounter {
    /// What was read, if anything was expected.
    pub(in crate::run) fn stages(&self) -> Vec<StageCounts> {
        self.0.as_deref().map(stages).unwrap_or_default()
    }
}

/// Key logs that are followed.
pub(in crate::run) struct FollowedKeys<'scope> {
    store: Arc<Store>,
    thread: Option<(Sender<()>, ScopedJoinHandle<'scope, FollowerCounters>)>,
}

impl FollowedKeys<'_> {
    /// Ends the thread. Returns what was counted.
    pub(in crate::run) fn stop(self) -> Vec<StageCounts> {
        let followed = self.thread.and_then(|(stop, thread)| {
            drop(stop);
            thread.join().ok()
        });
        let followed = followed.map(|counters| StageCounts { stage: "tls_key_files", counts: counters.counts() });
        stages(&self.store).into_iter().chain(followed).collect()
    }
}
