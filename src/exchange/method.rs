//! Request methods.
//!
//! In: a method as sent. Out: [`Method`], one byte for each method of a list; and [`MethodName`], which also holds a method that
//! is in no list. Promises: a name from the wire is cut at [`MethodName::MOST_BYTES`].

macro_rules! methods {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal),* $(,)?) => {
        /// A request method in one byte. Methods are case-sensitive (RFC 9110, section 9.1): `get` is
        /// [`Other`](Self::Other).
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
        )]
        #[repr(u8)]
        pub enum Method {
            $($(#[doc = $help])+ $variant,)*
            /// A method that is not in this list.
            Other,
            /// The request was not seen.
            #[default]
            Unseen,
        }

        impl Method {
            /// All methods in order.
            pub const ALL: [Self; [$($name),*].len() + 2] = [$(Self::$variant,)* Self::Other, Self::Unseen];

            /// The method's name as sent; `other` and `unseen` for the last two variants.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other => "other",
                    Self::Unseen => "unseen",
                }
            }

            /// Returns the method with this name, by a comparison with all names.
            fn among_all(sent: &[u8]) -> Self {
                $(if sent == $name.as_bytes() {
                    return Self::$variant;
                })*
                if sent.is_empty() { Self::Unseen } else { Self::Other }
            }
        }
    };
}

methods! {
    /// `GET`
    Get = "GET",
    /// `HEAD`
    Head = "HEAD",
    /// `POST`
    Post = "POST",
    /// `PUT`
    Put = "PUT",
    /// `DELETE`
    Delete = "DELETE",
    /// `CONNECT`
    Connect = "CONNECT",
    /// `OPTIONS`
    Options = "OPTIONS",
    /// `TRACE`
    Trace = "TRACE",
    /// `PATCH`
    Patch = "PATCH",
    /// `QUERY`: a safe method with content.
    Query = "QUERY",
    /// `PRI`: the start of an HTTP/2 preface.
    Pri = "PRI",
    /// `PROPFIND` (WebDAV, RFC 4918)
    Propfind = "PROPFIND",
    /// `PROPPATCH` (WebDAV)
    Proppatch = "PROPPATCH",
    /// `MKCOL` (WebDAV)
    Mkcol = "MKCOL",
    /// `COPY` (WebDAV)
    Copy = "COPY",
    /// `MOVE` (WebDAV)
    Move = "MOVE",
    /// `LOCK` (WebDAV)
    Lock = "LOCK",
    /// `UNLOCK` (WebDAV)
    Unlock = "UNLOCK",
    /// `ACL` (WebDAV, RFC 3744)
    Acl = "ACL",
    /// `SEARCH` (WebDAV, RFC 5323)
    Search = "SEARCH",
    /// `ORDERPATCH` (WebDAV, RFC 3648)
    Orderpatch = "ORDERPATCH",
    /// `BIND` (WebDAV, RFC 5842)
    Bind = "BIND",
    /// `UNBIND` (WebDAV)
    Unbind = "UNBIND",
    /// `REBIND` (WebDAV)
    Rebind = "REBIND",
    /// `MKCALENDAR` (CalDAV, RFC 4791)
    Mkcalendar = "MKCALENDAR",
    /// `MKREDIRECTREF` (RFC 4437)
    Mkredirectref = "MKREDIRECTREF",
    /// `UPDATEREDIRECTREF` (RFC 4437)
    Updateredirectref = "UPDATEREDIRECTREF",
    /// `REPORT` (versioning, RFC 3253)
    Report = "REPORT",
    /// `CHECKIN` (versioning)
    Checkin = "CHECKIN",
    /// `CHECKOUT` (versioning)
    Checkout = "CHECKOUT",
    /// `UNCHECKOUT` (versioning)
    Uncheckout = "UNCHECKOUT",
    /// `VERSION-CONTROL` (versioning)
    VersionControl = "VERSION-CONTROL",
    /// `BASELINE-CONTROL` (versioning)
    BaselineControl = "BASELINE-CONTROL",
    /// `LABEL` (versioning)
    Label = "LABEL",
    /// `MERGE` (versioning)
    Merge = "MERGE",
    /// `MKACTIVITY` (versioning)
    Mkactivity = "MKACTIVITY",
    /// `MKWORKSPACE` (versioning)
    Mkworkspace = "MKWORKSPACE",
    /// `UPDATE` (versioning)
    Update = "UPDATE",
    /// `LINK` (RFC 2068)
    Link = "LINK",
    /// `UNLINK` (RFC 2068)
    Unlink = "UNLINK",
    /// `TRACK`: a method of IIS similar to TRACE, which scanners try.
    Track = "TRACK",
    /// `DEBUG`: remote debugging of ASP.NET, which scanners try.
    Debug = "DEBUG",
    /// `PURGE`, for caches.
    Purge = "PURGE",
    /// `BAN`, for caches.
    Ban = "BAN",
    /// `NOTIFY` (UPnP)
    Notify = "NOTIFY",
    /// `SUBSCRIBE` (UPnP)
    Subscribe = "SUBSCRIBE",
    /// `UNSUBSCRIBE` (UPnP)
    Unsubscribe = "UNSUBSCRIBE",
    /// `M-SEARCH` (UPnP)
    MSearch = "M-SEARCH",
    /// `RPC_IN_DATA` (Outlook Anywhere)
    RpcInData = "RPC_IN_DATA",
    /// `RPC_OUT_DATA` (Outlook Anywhere)
    RpcOutData = "RPC_OUT_DATA",
}

impl Method {
    /// Returns the method with this name as sent, or [`Unseen`](Self::Unseen) if there are no bytes.
    #[inline]
    pub fn of(sent: &[u8]) -> Self {
        match sent {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            _ => Self::among_all(sent),
        }
    }
}

/// A method with its name: one of the list, or another as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum MethodName {
    /// A method of the list.
    Listed(Method),
    /// A method that is in no list, as sent. The bytes are those of the wire.
    Sent(Box<[u8]>),
}

impl MethodName {
    /// The most bytes of a name that are kept. Registered names have at most 17.
    pub const MOST_BYTES: usize = 32;

    /// The name of a method. `sent` is its text, where it is known.
    pub fn new(method: Method, sent: Option<&[u8]>) -> Self {
        match sent {
            Some(sent) if method == Method::Other && !sent.is_empty() => Self::Sent(cut(sent).into()),
            _ => Self::Listed(method),
        }
    }

    /// Returns whether this is the name of a method, the text of which is `sent`, where it is known.
    #[inline]
    pub fn is(&self, method: Method, sent: Option<&[u8]>) -> bool {
        match self {
            Self::Listed(listed) => *listed == method && (method != Method::Other || sent.is_none_or(<[u8]>::is_empty)),
            Self::Sent(name) => method == Method::Other && sent.is_some_and(|sent| **name == *cut(sent)),
        }
    }

    /// The name as bytes; `other` and `unseen` where it is not known.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Listed(method) => method.name().as_bytes(),
            Self::Sent(name) => name,
        }
    }

    /// Returns whether this is one of these methods.
    pub fn is_one_of(&self, methods: &[Method]) -> bool {
        matches!(self, Self::Listed(method) if methods.contains(method))
    }

    /// The number of bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Listed(_) => 0,
            Self::Sent(name) => name.len(),
        }
    }
}

fn cut(sent: &[u8]) -> &[u8] {
    sent.get(..MethodName::MOST_BYTES).unwrap_or(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_read_from_its_name() {
        for method in Method::ALL.into_iter().filter(|method| !matches!(method, Method::Other | Method::Unseen)) {
            assert_eq!(Method::of(method.name().as_bytes()), method);
        }
        for (index, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, index, "the list is in order");
        }
        for (sent, method) in [("get", Method::Other), ("GETS", Method::Other), ("", Method::Unseen)] {
            assert_eq!(Method::of(sent.as_bytes()), method, "{sent}");
        }
    }

    #[test]
    fn a_method_in_no_list_keeps_its_name() {
        let long = [b'X'; 100];
        for (sent, name) in [
            (&b"GET"[..], &b"GET"[..]),
            (b"PROPFIND", b"PROPFIND"),
            (b"get", b"get"),
            (b"JEFF", b"JEFF"),
            (b"", b"unseen"),
            (&long, &long[..MethodName::MOST_BYTES]),
        ] {
            let method = Method::of(sent);
            let known = MethodName::new(method, Some(sent));
            assert_eq!(known.bytes(), name);
            assert!(known.is(method, Some(sent)) && !known.is(Method::Other, Some(b"JEF")));
        }
        let without_text = MethodName::new(Method::Other, None);
        assert_eq!(without_text.bytes(), b"other");
        assert!(without_text.is(Method::Other, None) && !without_text.is(Method::Other, Some(b"JEFF")));
    }
}
