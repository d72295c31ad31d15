//! Two streams in chunks, gaps and ends: `cargo +nightly fuzz run --fuzz-dir tests/fuzz http`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::stream::fuzz(data));
