//! Key logs in pieces: `cargo +nightly fuzz run --fuzz-dir tests/fuzz key_log`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::stream::fuzz_key_log(data));
