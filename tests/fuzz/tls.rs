//! Records and handshakes of TLS, with secrets: `cargo +nightly fuzz run --fuzz-dir tests/fuzz tls`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::stream::fuzz_tls(data));
