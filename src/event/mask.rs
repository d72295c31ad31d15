//! Credentials in URLs.
//!
//! In: a URL or target as sent. Out: the same text, with passwords and the values of the configured parameters replaced by
//! `***`. Promises: linear time; a text without secrets is returned unchanged and is not copied.

use std::borrow::Cow;

use crate::byte_scan;

const MASK: &[u8] = b"***";

/// Replaces the password of the authority, and the values of `parameters` (in lower case) in query, fragment and path.
pub(super) fn masked<'a>(url: &'a [u8], parameters: &[String]) -> Cow<'a, [u8]> {
    // A secret needs one of these bytes. Most targets have none of them, so one pass over the bytes is enough.
    if !byte_scan::hold_any(url, *b"=@#") {
        return Cow::Borrowed(url);
    }
    let mut out = Vec::new();
    let mut copied = 0;
    for secret in password(url).into_iter().chain(values(url, parameters)) {
        out.extend_from_slice(&url[copied..secret.start]);
        out.extend_from_slice(MASK);
        copied = secret.end;
    }
    if copied == 0 {
        return Cow::Borrowed(url);
    }
    out.extend_from_slice(&url[copied..]);
    Cow::Owned(out)
}

/// The range of the password in `scheme://user:password@` (RFC 3986, section 3.2.1).
fn password(url: &[u8]) -> Option<std::ops::Range<usize>> {
    let authority = memchr::memmem::find(url, b"//")? + 2;
    let scheme = authority == 2 || url[authority - 3] == b':';
    let end = url[authority..].iter().position(|byte| b"/?#".contains(byte)).map_or(url.len(), |at| authority + at);
    let at = authority + memchr::memrchr(b'@', &url[authority..end])?;
    let colon = authority + memchr::memchr(b':', &url[authority..at])?;
    (scheme && colon + 1 < at).then_some(colon + 1..at)
}

/// The ranges of the parameters' values, in order.
fn values<'a>(url: &'a [u8], parameters: &'a [String]) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    let is_delimiter = |byte: &u8| b"?&;#".contains(byte);
    let mut position = url.iter().position(is_delimiter).map_or(url.len(), |at| at + 1);
    std::iter::from_fn(move || {
        while position < url.len() {
            let start = position;
            let end = url[start..].iter().position(is_delimiter).map_or(url.len(), |at| start + at);
            // A path parameter ends where the next path segment begins.
            let value_end = |from: usize| {
                let in_path = memchr::memchr2(b'?', b'#', &url[..start]).is_none();
                if in_path { memchr::memchr(b'/', &url[from..end]).map_or(end, |at| from + at) } else { end }
            };
            position = end + 1;
            let Some(equals) = memchr::memchr(b'=', &url[start..end]).map(|at| start + at) else { continue };
            let name = &url[start..equals];
            if parameters.iter().any(|parameter| name_is(name, parameter.as_bytes())) {
                let value = equals + 1..value_end(equals + 1);
                if !value.is_empty() {
                    return Some(value);
                }
            }
        }
        None
    })
}

/// Returns whether `name` equals `parameter`, ignoring case. `name` may be percent-encoded.
fn name_is(name: &[u8], parameter: &[u8]) -> bool {
    if memchr::memchr(b'%', name).is_none() {
        return name.eq_ignore_ascii_case(parameter);
    }
    let mut rest = name;
    let decoded = std::iter::from_fn(|| {
        let (&first, after) = rest.split_first()?;
        let digits = if first == b'%' { after.first_chunk::<2>() } else { None };
        let value = digits.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        rest = if value.is_some() { after.get(2..).unwrap_or_default() } else { after };
        Some(value.unwrap_or(first).to_ascii_lowercase())
    });
    decoded.eq(parameter.iter().copied())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::MASKED_KEYS;

    fn mask(url: &str) -> String {
        let parameters: Vec<String> = MASKED_KEYS.iter().map(|&name| name.into()).collect();
        String::from_utf8(masked(url.as_bytes(), &parameters).into_owned()).unwrap()
    }

    #[test]
    fn hides_credentials_and_nothing_else() {
        for (url, expected) in [
            ("/index.html", "/index.html"),
            ("/a?b=c&d=e", "/a?b=c&d=e"),
            ("/login?user=x&password=hunter2", "/login?user=x&password=***"),
            ("/login?PassWord=hunter2&next=/", "/login?PassWord=***&next=/"),
            ("/login?pass%77ord=hunter2&next=/", "/login?pass%77ord=***&next=/"),
            ("/cb#access_token=abc&state=1", "/cb#access_token=***&state=1"),
            ("/shop;jsessionid=0123/cart;v=2?token=a;b", "/shop;jsessionid=***/cart;v=2?token=***;b"),
            ("/a?token=&x=1", "/a?token=&x=1"),
            ("/a?mytoken=1", "/a?mytoken=1"),
            ("/a?token=/b/c", "/a?token=***"),
            ("http://user:secret@host/path", "http://user:***@host/path"),
            ("http://user:se@cr:et@host/?token=1", "http://user:***@host/?token=***"),
            ("//user:secret@host/", "//user:***@host/"),
            ("http://user@host/a:b@c", "http://user@host/a:b@c"),
            ("/redirect?to=mail@host", "/redirect?to=mail@host"),
            ("http://h/?password=a?password=b", "http://h/?password=***?password=***"),
        ] {
            assert_eq!(mask(url), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(url in proptest::collection::vec(proptest::sample::select(b"/?&;#=@:%ptoken2f".to_vec()), 0..60)) {
            let parameters = vec!["token".to_owned(), "p".to_owned()];
            let once = masked(&url, &parameters).into_owned();
            prop_assert_eq!(masked(&once, &parameters).into_owned(), once.clone());
        }
    }
}
