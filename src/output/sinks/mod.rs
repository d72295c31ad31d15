//! The sinks that exist.
//!
//! In: a target as it was configured. Out: [`AnySink`], the one it means. A sink is a folder here and a line in the list below;
//! the first that a target means is opened. Dispatch is static.

mod descriptor;

use std::{io, path::Path};

use super::{Accepted, Opening, OutputError, Sink};
use crate::document::Batch;

/// Declares the modules of the sinks, and an enum that is any one of them.
macro_rules! sinks {
    ($($(#[$condition:meta])* $module:ident::$name:ident,)*) => {
        $($(#[$condition])* pub(super) mod $module;)*

        /// Any of the sinks.
        #[derive(Debug)]
        pub(super) enum AnySink {
            $($(#[$condition])* $name($module::$name),)*
        }

        impl AnySink {
            /// Opens the sink that a target means.
            pub(super) fn open(target: &Path, opening: Opening) -> Result<Self, OutputError> {
                $($(#[$condition])* {
                    if $module::$name::is_meant_by(target) {
                        return $module::$name::open(target, opening).map(Self::$name);
                    }
                })*
                let path = target.display().to_string();
                Err(OutputError::Open { path, source: io::ErrorKind::Unsupported.into() })
            }

            pub(super) fn write(&mut self, batch: &mut Batch) -> Result<Accepted, OutputError> {
                match self { $($(#[$condition])* Self::$name(sink) => sink.write(batch),)* }
            }

            pub(super) fn name(&self) -> String {
                match self { $($(#[$condition])* Self::$name(sink) => sink.name(),)* }
            }

            pub(super) fn is_moved_away(&self) -> bool {
                match self { $($(#[$condition])* Self::$name(sink) => sink.is_moved_away(),)* }
            }

            pub(super) fn is_useful(&self) -> bool {
                match self { $($(#[$condition])* Self::$name(sink) => sink.is_useful(),)* }
            }

            pub(super) fn is_terminal(&self) -> bool {
                match self { $($(#[$condition])* Self::$name(sink) => sink.is_terminal(),)* }
            }

            pub(super) fn tail(&self, most: u64) -> Vec<u8> {
                match self { $($(#[$condition])* Self::$name(sink) => sink.tail(most),)* }
            }
        }
    };
}

sinks! {
    stdout::StandardOutput,
    #[cfg(test)]
    trickle::Trickle,
    file::File,
}

/// Returns whether a target is a path of the file system.
pub(super) fn is_file(target: &Path) -> bool {
    !stdout::StandardOutput::is_meant_by(target)
}
