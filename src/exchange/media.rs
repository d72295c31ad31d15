//! Kinds of content, as `Content-Type` names them.
//!
//! In: the value of `Content-Type` (RFC 9110, section 8.3). Out: a [`MediaKind`], which fits in three bits. Promises: parameters and
//! case make no difference.

/// What a response's body is, in broad terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum MediaKind {
    /// Not named, or of no other kind.
    #[default]
    Unknown,
    /// A page.
    Html,
    /// JSON.
    Json,
    /// Plain text.
    Text,
    /// XML.
    Xml,
    /// An image, a font, sound or video.
    Media,
    /// A script or a style sheet.
    Script,
    /// Bytes to save: an archive, a dump, a document.
    Binary,
}

impl MediaKind {
    const ALL: [Self; 8] =
        [Self::Unknown, Self::Html, Self::Json, Self::Text, Self::Xml, Self::Media, Self::Script, Self::Binary];

    /// The name in documents. `None` where the kind is unknown.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Html => Some("html"),
            Self::Json => Some("json"),
            Self::Text => Some("text"),
            Self::Xml => Some("xml"),
            Self::Media => Some("media"),
            Self::Script => Some("script"),
            Self::Binary => Some("binary"),
        }
    }

    /// The kind with this number, modulo 8.
    pub(super) const fn numbered(number: u16) -> Self {
        Self::ALL[number as usize % Self::ALL.len()]
    }

    /// The kind that a value of `Content-Type` names.
    pub fn of(content_type: &[u8]) -> Self {
        let named = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let named = named.to_ascii_lowercase();
        let Some(slash) = named.iter().position(|byte| *byte == b'/') else { return Self::Unknown };
        let (class, name) = (&named[..slash], &named[slash + 1..]);
        let holds = |part: &[u8]| memchr::memmem::find(name, part).is_some();
        match class {
            b"image" | b"font" | b"audio" | b"video" => Self::Media,
            _ if holds(b"html") => Self::Html,
            _ if holds(b"json") => Self::Json,
            _ if holds(b"xml") => Self::Xml,
            _ if holds(b"javascript") || holds(b"ecmascript") || name == b"css" => Self::Script,
            b"text" => Self::Text,
            b"application" if !holds(b"form") => Self::Binary,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_whatever_case_and_parameters() {
        for (content_type, wanted) in [
            ("text/html; charset=utf-8", MediaKind::Html),
            ("Application/XHTML+xml", MediaKind::Html),
            ("application/problem+json", MediaKind::Json),
            ("text/plain", MediaKind::Text),
            ("TEXT/XML", MediaKind::Xml),
            ("image/svg+xml", MediaKind::Media),
            ("text/css", MediaKind::Script),
            ("application/javascript", MediaKind::Script),
            ("application/octet-stream", MediaKind::Binary),
            ("application/zip ;x", MediaKind::Binary),
            ("application/x-www-form-urlencoded", MediaKind::Unknown),
            ("", MediaKind::Unknown),
            ("html", MediaKind::Unknown),
            ("multipart/mixed", MediaKind::Unknown),
        ] {
            assert_eq!(MediaKind::of(content_type.as_bytes()), wanted, "{content_type}");
        }
        for (number, kind) in (0..).zip(MediaKind::ALL) {
            assert_eq!((MediaKind::numbered(number), kind as u16), (kind, number));
        }
    }
}
