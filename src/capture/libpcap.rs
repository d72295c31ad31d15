//! Which libpcap the program is linked with.
//!
//! In: nothing. Out: libpcap's own line about its version, such as `libpcap version 1.10.4`. Promises: the one `unsafe`
//! block reads a constant text of the library.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    /// In libpcap, which the crate `pcap` links; that crate does not offer the function.
    safe fn pcap_lib_version() -> *const c_char;
}

/// The version of libpcap, in its own words.
pub fn version() -> String {
    let text = pcap_lib_version();
    if text.is_null() {
        return "libpcap of an unknown version".to_owned();
    }
    // SAFETY: pcap_lib_version(3PCAP) returns a string that ends with NUL, and that is neither freed nor changed.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn libpcap_says_its_name_and_version() {
        let version = super::version();
        assert!(version.starts_with("libpcap version "), "{version}");
    }
}
