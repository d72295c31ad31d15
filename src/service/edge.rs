//! The edge of a live run: signals, the service manager, the metrics endpoint. The only async code of the pipeline.
//!
//! In: signals and scrapes. Out: [`Request`]s to the line. Promises: the watchdog is fed only while the line and the output
//! thread both show life.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use sd_notify::NotifyState;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{
    sensor::RunError,
    service::metrics::{self, Shared},
};

/// A thread without life for so long hangs.
const HANGS: Duration = Duration::from_secs(15);
/// Time between two looks at the threads' life.
const LOOK: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM, SIGINT: finish and exit.
    Stop,
    /// SIGHUP: load the configuration again.
    Reload,
}

/// Signs of life of the line and of the output thread.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    started: Instant,
    line: Arc<AtomicU64>,
    output: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { started: Instant::now(), line: Arc::default(), output: Arc::default() }
    }
}

impl Pulse {
    /// The line lives.
    pub(crate) fn line(&self) {
        self.line.store(self.now(), Ordering::Relaxed);
    }

    /// The output thread lives.
    pub(crate) fn output(&self) {
        self.output.store(self.now(), Ordering::Relaxed);
    }

    /// Whether both have shown life lately.
    pub(crate) fn is_healthy(&self) -> bool {
        let oldest = self.line.load(Ordering::Relaxed).min(self.output.load(Ordering::Relaxed));
        self.now().saturating_sub(oldest) < HANGS.as_millis() as u64
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// Binds the metrics endpoint, before privileges are given up.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    let failed = |source| RunError::Metrics { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    if metrics::is_exposed(address) {
        tracing::warn!(%address, "the metrics endpoint can be reached from other hosts");
    }
    Ok(listener)
}

/// The edge at work on its own thread.
pub(crate) struct Edge {
    stop: oneshot::Sender<()>,
}

impl Edge {
    /// Starts the edge in a scope of threads.
    ///
    /// # Errors
    ///
    /// Signals that cannot be caught.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        listener: Option<TcpListener>,
        shared: Shared,
        pulse: Pulse,
    ) -> Result<(Self, Receiver<Request>), RunError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Edge)?;
        let (stop, stopped) = oneshot::channel();
        let (request, requests) = bounded(16);
        let signals = {
            let _entered = runtime.enter();
            Signals::catch().map_err(RunError::Edge)?
        };
        scope.spawn(move || runtime.block_on(work(signals, listener, shared, pulse, request, stopped)));
        Ok((Self { stop }, requests))
    }

    /// Ends the edge's thread.
    pub(crate) fn stop(self) {
        // It has ended by itself when nobody receives.
        let _ = self.stop.send(());
    }
}

/// Tells the service manager, where there is one.
pub(crate) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

async fn work(
    mut signals: Signals,
    listener: Option<TcpListener>,
    shared: Shared,
    pulse: Pulse,
    request: Sender<Request>,
    mut stopped: oneshot::Receiver<()>,
) {
    if let Some(listener) = listener {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::spawn(metrics::serve(listener, shared))),
            Err(error) => tracing::error!(%error, "the metrics endpoint cannot be served"),
        }
    }
    let mut look = tokio::time::interval(LOOK);
    loop {
        // A full queue of requests holds the same requests already.
        tokio::select! {
            _ = &mut stopped => return,
            _ = signals.terminate.recv() => drop(request.try_send(Request::Stop)),
            _ = signals.interrupt.recv() => drop(request.try_send(Request::Stop)),
            _ = signals.hang_up.recv() => drop(request.try_send(Request::Reload)),
            _ = look.tick() => if pulse.is_healthy() { notify(&[NotifyState::Watchdog]) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_threads_must_show_life() {
        let mut pulse = Pulse::default();
        assert!(pulse.is_healthy());
        let Some(long_ago) = Instant::now().checked_sub(HANGS * 2) else { return };
        pulse.started = long_ago;
        assert!(!pulse.is_healthy());
        pulse.line();
        assert!(!pulse.is_healthy());
        pulse.output();
        assert!(pulse.is_healthy());
    }
}
