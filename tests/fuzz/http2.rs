//! Frames of HTTP/2 and header blocks: `cargo +nightly fuzz run --fuzz-dir tests/fuzz http2`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::stream::fuzz_http2(data));
