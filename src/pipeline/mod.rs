//! Reader, shards, workers and merge: the only threads.

pub mod readahead;
