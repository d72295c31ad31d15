//! What takes documents away.
//!
//! In: batches of documents. Out: how far the sink has accepted them. Promises: documents are accepted from the front of a
//! batch, in order, each once; what was accepted need not be kept for the sink any more.
//!
//! A sink is a folder in `sinks/` and a line in the registry `sinks/mod.rs`. Sinks that write where the operating system takes
//! bytes at once (files, standard output) stand directly behind an [`Output`](super::outputs::Output). A sink that sends over a
//! network will stand behind a spool, which is itself what accepts the documents here: the spool lets go of what it holds up to
//! the number ([`Batch::first_number`]) that its sink has accepted.

use std::{fmt::Debug, path::Path};

use super::{Opening, OutputError};
use crate::document::Batch;

/// How far a sink has come with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Documents that were accepted, and released from the batch.
    pub documents: usize,
    /// The bytes of those documents.
    pub bytes: usize,
    /// Documents that are still in the batch: the sink takes them with a later call.
    pub owed: usize,
}

/// Takes documents away.
///
/// A sink that takes three documents a call, and so is not ready for a fourth:
///
/// ```
/// use std::path::{Path, PathBuf};
/// use wirespike::{
///     document::Batch,
///     output::{Accepted, Opening, OutputError, Sink},
/// };
///
/// #[derive(Debug)]
/// struct Three(PathBuf);
///
/// impl Sink for Three {
///     fn is_meant_by(target: &Path) -> bool {
///         target.starts_with("three:")
///     }
///
///     fn open(target: &Path, _: Opening) -> Result<Self, OutputError> {
///         Ok(Self(target.to_owned()))
///     }
///
///     fn write(&mut self, batch: &mut Batch) -> Result<Accepted, OutputError> {
///         let (documents, all) = (batch.len().min(3), batch.bytes().len());
///         batch.release(documents);
///         Ok(Accepted { documents, bytes: all - batch.bytes().len(), owed: batch.len() })
///     }
///
///     fn name(&self) -> String {
///         self.0.display().to_string()
///     }
/// }
/// ```
pub trait Sink: Debug + Sized {
    /// Returns whether a target, as it was configured, is for this sink.
    fn is_meant_by(target: &Path) -> bool;

    /// Opens the target.
    ///
    /// # Errors
    ///
    /// A target that cannot be opened.
    fn open(target: &Path, opening: Opening) -> Result<Self, OutputError>;

    /// Takes documents from the front of the batch, and releases those that it has accepted. Never waits for more than the
    /// operating system takes to write. It need not accept all.
    ///
    /// # Errors
    ///
    /// What stands against accepting more. What was accepted before that is released.
    fn write(&mut self, batch: &mut Batch) -> Result<Accepted, OutputError>;

    /// The target as messages name it.
    fn name(&self) -> String;

    /// Returns whether the target was moved away or deleted and should be opened anew, as logs are rotated.
    fn is_moved_away(&self) -> bool {
        false
    }

    /// Returns whether what is written here can be of use to anybody.
    fn is_useful(&self) -> bool {
        true
    }

    /// Returns whether people read along on a terminal.
    fn is_terminal(&self) -> bool {
        false
    }

    /// The last bytes, at most so many, that the target has taken in this run or in earlier ones; empty where the sink cannot
    /// know.
    fn tail(&self, _most: u64) -> Vec<u8> {
        Vec::new()
    }
}
