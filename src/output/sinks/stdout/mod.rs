//! The sink for standard output.
//!
//! In: the target `-`. Out: documents on standard output, wherever that leads. Promises: a reader that goes away is told apart
//! from a failure.

pub(in crate::output) mod closed_start;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::Path,
};

use super::{
    super::{Accepted, Opening, OutputError, Sink},
    descriptor::Descriptor,
};
use crate::document::Batch;

/// What messages call it.
const NAME: &str = "standard output";

/// Standard output.
#[derive(Debug)]
pub(in crate::output) struct StandardOutput {
    descriptor: Descriptor,
    is_null: bool,
    is_terminal: bool,
}

impl Sink for StandardOutput {
    fn is_meant_by(target: &Path) -> bool {
        target == Path::new("-")
    }

    /// Writes behind what is there, whichever opening is asked for: whoever started the program has opened it.
    fn open(_target: &Path, _opening: Opening) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Open { path: NAME.to_owned(), source };
        let file = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
        let descriptor = Descriptor::new(file);
        Ok(Self { is_null: descriptor.is_null(), is_terminal: descriptor.file.is_terminal(), descriptor })
    }

    fn write(&mut self, batch: &mut Batch) -> Result<Accepted, OutputError> {
        self.descriptor.write(batch, NAME)
    }

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn is_useful(&self) -> bool {
        !self.is_null
    }

    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}
