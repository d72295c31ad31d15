//! The user's settings of the rule for scans inside TLS.
//!
//! In: configuration. Out: [`EncryptedScanSettings`]. [`EncryptedScanSettings::validate`] refuses wrong settings.

use std::time::Duration;

use crate::detect::{ErrorSpikeSettings, ErrorSpikeSettingsError, Mode};

/// Settings of the rule for scans inside TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedScanSettings {
    /// The threshold. More uniform answers than this make an alert.
    pub threshold: u32,
    /// The look-back, at least one second.
    pub window: Duration,
    /// The interval between executions, at least one second.
    pub every: Duration,
    /// The most alerts of one execution.
    pub max_alerts: usize,
    /// Scheduled or streaming.
    pub mode: Mode,
    /// How long after its time a turn still counts, in packet time.
    pub lateness: Duration,
    /// The least confidence of an alert, in hundredths.
    pub min_confidence: u32,
    /// The most pairs of client and server that are counted at the same time.
    pub max_groups: usize,
    /// In streaming mode, the shortest time between updates of one alert.
    pub update_every: Duration,
}

impl Default for EncryptedScanSettings {
    fn default() -> Self {
        let ErrorSpikeSettings { threshold, window, every, max_alerts, mode, lateness, update_every, .. } =
            ErrorSpikeSettings::default();
        let (min_confidence, max_groups) = (50, 50_000);
        Self { threshold, window, every, max_alerts, mode, lateness, min_confidence, max_groups, update_every }
    }
}

impl EncryptedScanSettings {
    /// Checks that the rule can run with these settings.
    ///
    /// # Errors
    ///
    /// The first setting that is refused, and what to write instead.
    pub fn validate(&self) -> Result<(), ErrorSpikeSettingsError> {
        let Self { window, every, max_alerts, mode, lateness, .. } = *self;
        ErrorSpikeSettings { window, every, max_alerts, mode, lateness, ..ErrorSpikeSettings::default() }.validate()
    }
}
