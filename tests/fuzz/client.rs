//! Client headers of requests: `Forwarded`, `X-Forwarded-For` and the others.
#![no_main]

libfuzzer_sys::fuzz_target!(|lines: &[u8]| wirespike::event::fuzz(lines));
