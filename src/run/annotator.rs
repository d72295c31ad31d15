//! The annotator of a run: annotates alerts, and keeps past sightings in their file.
//!
//! In: the settings of `[enrich]`, alerts in order. Out: [`Annotations`] for each alert, counters, the file of sightings.
//! Promises: one run at a time uses the file; a damaged file is set aside under another name, never overwritten; in a live run a
//! file that cannot be saved stops nothing and is tried again.

use std::{fs::File, time::Instant};

use crate::{
    detect::Alert,
    enrich::{Annotations, EnrichCounters, EnrichSettings, Enrichment, Sightings, Subject},
    service::{
        ServiceError,
        state::{Loaded, StateError, StateFile},
    },
    telemetry::summary::StageCounts,
};

use super::{RunError, save_pace::SavePace};

/// What a reload changes. It is read before the change, because reading may fail and take time.
pub(super) struct AnnotatorChange {
    settings: EnrichSettings,
    enrichment: Enrichment,
}

impl AnnotatorChange {
    /// Reads the files of new settings.
    ///
    /// # Errors
    ///
    /// A file that cannot be used.
    pub(super) fn load(settings: &EnrichSettings) -> Result<Self, RunError> {
        Ok(Self { settings: settings.clone(), enrichment: Enrichment::load(settings)? })
    }
}

/// Annotates the alerts of a run.
pub(super) struct Annotator {
    enrichment: Enrichment,
    keeper: Option<SightingsKeeper>,
    counters: EnrichCounters,
    /// Whether the settings ask for any annotation.
    is_configured: bool,
}

/// The sightings, and the file they are kept in.
struct SightingsKeeper {
    file: StateFile,
    _lock: File,
    sightings: Sightings,
    most: usize,
    is_changed: bool,
    pace: SavePace,
    is_failing: bool,
}

impl Annotator {
    /// Reads all files. The text says what is wrong with a file of sightings that was set aside.
    ///
    /// # Errors
    ///
    /// A file that cannot be used; a file of sightings that another run uses.
    pub(super) fn open(settings: &EnrichSettings) -> Result<(Self, Option<String>), RunError> {
        let enrichment = Enrichment::load(settings)?;
        let (mut counters, mut problem) = (EnrichCounters::default(), None);
        let mut keeper = None;
        if let Some(path) = &settings.sightings {
            let file = StateFile::new(path);
            let lock = file.lock().map_err(ServiceError::from)?;
            let mut sightings = match file.load::<Sightings>().map_err(ServiceError::from)? {
                Loaded::State(sightings) => sightings,
                Loaded::Absent => Sightings::default(),
                Loaded::Rejected { reason, moved_to } => {
                    problem = Some(format!(
                        "the file of past sightings {} is not used: {reason}; it was set aside as {}",
                        path.display(),
                        moved_to.display()
                    ));
                    Sightings::default()
                }
            };
            counters.sightings_removed += sightings.shrink(settings.max_sightings);
            keeper = Some(SightingsKeeper {
                file,
                _lock: lock,
                sightings,
                most: settings.max_sightings,
                is_changed: false,
                pace: SavePace::new(),
                is_failing: false,
            });
        }
        let is_configured = *settings != EnrichSettings::default();
        Ok((Self { enrichment, keeper, counters, is_configured }, problem))
    }

    /// Annotates an alert, and notes the sighting of its client unless a label suppresses the alert.
    pub(super) fn annotate(&mut self, alert: &Alert) -> Annotations {
        if !self.is_configured {
            return Annotations::NONE;
        }
        let mut annotations = self.enrichment.annotate(&Subject::of(alert));
        if annotations.is_suppressed {
            self.counters.suppressed_by_label += 1;
        } else if let Some(keeper) = &mut self.keeper
            && let Some(client) = alert.group.client()
            && Subject::is_sighting(alert)
        {
            annotations.sightings = keeper.sightings.note(client, alert.time);
            self.counters.sightings_removed += keeper.sightings.shrink(keeper.most);
            keeper.is_changed = true;
        }
        annotations
    }

    /// Goes on under other settings. The file of sightings stays.
    pub(super) fn reload(&mut self, AnnotatorChange { settings, enrichment }: AnnotatorChange) {
        self.enrichment = enrichment;
        self.is_configured = settings != EnrichSettings::default();
        if let Some(keeper) = &mut self.keeper {
            keeper.most = settings.max_sightings;
            let removed = keeper.sightings.shrink(keeper.most);
            keeper.is_changed |= removed > 0;
            self.counters.sightings_removed += removed;
        }
    }

    /// The number of alerts that a label kept from being written.
    pub(super) fn suppressed(&self) -> u64 {
        self.counters.suppressed_by_label
    }

    /// The counters, where anything is annotated.
    pub(super) fn counts(&self) -> Option<StageCounts> {
        self.is_configured.then(|| StageCounts { stage: "enrich", counts: self.counters.counts() })
    }

    /// Saves the sightings if there are new ones.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub(super) fn save(&mut self) -> Result<(), StateError> {
        let Some(keeper) = self.keeper.as_mut().filter(|keeper| keeper.is_changed) else { return Ok(()) };
        let began = Instant::now();
        let saved = keeper.file.save(&keeper.sightings);
        keeper.pace.note(began);
        keeper.is_changed = saved.is_err();
        saved
    }

    /// Saves the sightings, and logs the first of several failures.
    pub(super) fn save_or_log(&mut self) {
        let saved = self.save();
        let Some(keeper) = &mut self.keeper else { return };
        let was_failing = std::mem::replace(&mut keeper.is_failing, saved.is_err());
        if let Err(error) = saved {
            self.counters.sightings_not_saved += 1;
            if !was_failing {
                tracing::error!(%error, "past sightings are not saved; this is tried again");
            }
        }
    }

    /// Saves the sightings when it is time.
    pub(super) fn save_when_due(&mut self) {
        if let Some(keeper) = &self.keeper
            && keeper.is_changed
            && keeper.pace.is_due()
        {
            self.save_or_log();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_of_sightings_is_set_aside_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sightings.state");
        std::fs::write(&path, "something else").unwrap();
        let settings = EnrichSettings { sightings: Some(path.clone()), ..EnrichSettings::default() };
        let (mut annotator, problem) = Annotator::open(&settings).unwrap();
        let problem = problem.unwrap();
        assert!(problem.contains("not a state file") && problem.contains("sightings.state.rejected-1"), "{problem}");
        assert_eq!(std::fs::read(folder.path().join("sightings.state.rejected-1")).unwrap(), b"something else");
        assert!(Annotator::open(&settings).is_err_and(|error| error.to_string().contains("another sensor")));
        annotator.save().unwrap();
        assert!(!path.exists(), "there is nothing to save");
        drop(annotator);
        assert!(Annotator::open(&settings).unwrap().1.is_none());
    }

    #[test]
    fn without_settings_nothing_is_counted() {
        let (annotator, problem) = Annotator::open(&EnrichSettings::default()).unwrap();
        assert_eq!((annotator.counts(), annotator.suppressed(), problem), (None, 0, None));
    }
}
