//! Sinks: files and standard output.
