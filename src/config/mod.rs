//! File and flags to one validated set of settings.
