//! What ended a stream of HTTP/2 before its messages did.
//!
//! In: nothing; the HTTP/2 parser fills it. Out: [`StreamEnd`]. Promises: eight bytes, as every exchange has room for one.

use std::borrow::Cow;

/// The frame that ended a stream (RFC 9113, sections 6.4 and 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndingFrame {
    /// `RST_STREAM`: it ends this stream alone.
    Reset,
    /// `GOAWAY`: it ends the connection, because of an error or for streams that were not begun yet.
    GoAway,
}

/// What ended a stream before its messages did, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// The frame.
    pub frame: EndingFrame,
    /// Whether the server sent it.
    pub by_server: bool,
    /// The error code (RFC 9113, section 7).
    pub code: u32,
}

impl StreamEnd {
    /// The name of the error code, or its number where it has no name.
    pub fn code_name(self) -> Cow<'static, str> {
        NAMES.get(self.code as usize).map_or_else(|| format!("{:#x}", self.code).into(), |name| Cow::Borrowed(*name))
    }
}

/// The names of the error codes, by their number.
const NAMES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_standard() {
        let named = |code| StreamEnd { frame: EndingFrame::Reset, by_server: true, code }.code_name().into_owned();
        assert_eq!(
            [0, 7, 8, 13, 14, u32::MAX].map(named),
            ["NO_ERROR", "REFUSED_STREAM", "CANCEL", "HTTP_1_1_REQUIRED", "0xe", "0xffffffff",]
        );
        assert_eq!(size_of::<Option<StreamEnd>>(), 8);
    }
}
