//! Messages to the service manager (systemd's notification protocol). Without a service manager they go nowhere.

use sd_notify::NotifyState;

/// The sensor captures.
pub(crate) fn notify_ready() {
    notify(NotifyState::Ready);
}

/// The sensor finishes what is in flight and will exit.
pub(crate) fn notify_stopping() {
    notify(NotifyState::Stopping);
}

/// The sensor's threads do their work: the watchdog's time starts again.
pub(crate) fn feed_watchdog() {
    notify(NotifyState::Watchdog);
}

/// Returns whether there is a service manager to tell.
pub(crate) fn is_told() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
