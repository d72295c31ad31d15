//! A sink for tests alone: it takes few documents at a time, and refuses some of the calls.
//!
//! In: a target `trickle:N`. Out: at most N documents a call, kept; every third call fails after it took one document. It proves
//! that a sink is one file and one line in the registry, and that outputs deliver everything, in order and once.

use std::{
    cell::RefCell,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::super::{Accepted, Opening, OutputError, Sink};
use crate::document::Batch;

thread_local! {
    /// What the sinks of this thread have taken: numbers and bytes.
    static TAKEN: RefCell<Vec<(u64, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(in crate::output) struct Trickle {
    target: PathBuf,
    most: usize,
    calls: u64,
}

/// What the sinks of this thread have taken since the last look.
pub(in crate::output) fn taken() -> Vec<(u64, Vec<u8>)> {
    TAKEN.take()
}

impl Sink for Trickle {
    fn is_meant_by(target: &Path) -> bool {
        target.to_string_lossy().starts_with("trickle:")
    }

    fn open(target: &Path, _opening: Opening) -> Result<Self, OutputError> {
        let text = target.to_string_lossy();
        let most = text.split_once(':').and_then(|(_, most)| most.parse().ok()).unwrap_or(1);
        Ok(Self { target: target.to_owned(), most, calls: 0 })
    }

    fn write(&mut self, batch: &mut Batch) -> Result<Accepted, OutputError> {
        self.calls += 1;
        let refuses = self.calls.is_multiple_of(3);
        let most = if refuses { 1 } else { self.most };
        let new: Vec<(u64, Vec<u8>)> =
            batch.iter().take(most).map(|document| (document.number, document.bytes.to_vec())).collect();
        let documents = new.len();
        let bytes = new.iter().map(|(_, bytes)| bytes.len()).sum();
        TAKEN.with_borrow_mut(|taken| taken.extend(new));
        batch.release(documents);
        if refuses {
            return Err(OutputError::Write { path: self.name(), source: ErrorKind::ResourceBusy.into() });
        }
        Ok(Accepted { documents, bytes, owed: batch.len() })
    }

    fn name(&self) -> String {
        self.target.display().to_string()
    }
}
