//! Segments of one connection as a list of operations, against a slow reference:
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz reassembly`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::flow::fuzz(data));
