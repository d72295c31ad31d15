//! A capture file of any format, plain or compressed: `tests/fuzz/run capture_files 60`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| wirespike::capture::files::fuzz(data));
