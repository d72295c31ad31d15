//! IP fragments beside an obvious reference: `cargo +nightly fuzz run --fuzz-dir tests/fuzz fragments`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::decode::fuzz_fragments(data));
