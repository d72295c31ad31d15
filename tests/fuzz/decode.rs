//! Packets of any link type: `cargo +nightly fuzz run --fuzz-dir tests/fuzz decode`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::decode::fuzz(data));
