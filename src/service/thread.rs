//! The service thread of a live run: the only async code of the program.
//!
//! In: signals, scrapes, the heartbeat. Out: [`Request`]s to the packet thread, pages of the metrics endpoint. Promises: the
//! watchdog is fed only while the packet thread and the output thread both report.

use std::{net::TcpListener, thread::Scope, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::{runtime, sync::oneshot};

use crate::telemetry::snapshot::SharedSnapshot;

use super::{
    ServiceError,
    heartbeat::Heartbeat,
    manager,
    metrics::{self, Pages},
    signals::{Request, Signals},
};

/// Time between two looks at the heartbeat.
const WATCHDOG_INTERVAL: Duration = Duration::from_secs(1);

/// Requests that may wait. A full queue already holds the same requests, so that another one can be dropped.
const QUEUE: usize = 16;

/// The service thread, running.
pub(crate) struct ServiceThread {
    stop: oneshot::Sender<()>,
}

impl ServiceThread {
    /// Starts the thread in a scope. Returns it and the channel of its requests.
    ///
    /// # Errors
    ///
    /// Signals that cannot be caught.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        listener: Option<TcpListener>,
        snapshot: SharedSnapshot,
        heartbeat: Heartbeat,
    ) -> Result<(Self, Receiver<Request>), ServiceError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(ServiceError::Signals)?;
        let (stop, stopped) = oneshot::channel();
        let (requests, requested) = bounded(QUEUE);
        let signals = {
            let _entered = runtime.enter();
            Signals::catch().map_err(ServiceError::Signals)?
        };
        scope.spawn(move || runtime.block_on(run(signals, listener, snapshot, heartbeat, requests, stopped)));
        Ok((Self { stop }, requested))
    }

    /// Ends the thread.
    pub(crate) fn stop(self) {
        // Sending fails only when the thread has ended already.
        let _ = self.stop.send(());
    }
}

async fn run(
    mut signals: Signals,
    listener: Option<TcpListener>,
    snapshot: SharedSnapshot,
    heartbeat: Heartbeat,
    requests: Sender<Request>,
    mut stopped: oneshot::Receiver<()>,
) {
    if let Some(listener) = listener {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                let pages = Pages { snapshot, heartbeat: heartbeat.clone() };
                drop(tokio::spawn(metrics::serve(listener, pages)));
            }
            Err(error) => tracing::error!(%error, "the metrics endpoint cannot be served"),
        }
    }
    let mut watchdog = tokio::time::interval(WATCHDOG_INTERVAL);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            request = signals.next() => drop(requests.try_send(request)),
            _ = watchdog.tick() => if heartbeat.is_healthy() { manager::feed_watchdog() },
        }
    }
}
