//! What an exchange keeps of the credentials in a request: whose they are, and whether they are others than before.
//!
//! In: `Authorization`, and the first bytes of a form. Out: the user's name, and a hash of the whole credentials. Promises: no
//! password is kept, in no form from which it could be read: the key of the hash is random and nobody knows it.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    exchange::{Exchange, Features, Span, percent_decoded},
    keyed_hash::KeyedState,
};

/// The most bytes of a form that are looked at.
const FORM_BYTES: usize = 4 << 10;
/// The longest name of a user that is kept.
const USER_BYTES: usize = 64;
/// The most bytes of Basic credentials that are decoded.
const BASIC_BYTES: usize = 1 << 10;

/// Stores what is kept of `Authorization` (RFC 9110, section 11.6.2).
#[cold]
pub(super) fn store_authorization(exchange: &mut Exchange, value: &[u8]) {
    note(exchange, value);
    let Some((scheme, rest)) = value.split_at_checked(6) else { return };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return;
    }
    let decoded = base64(rest.trim_ascii());
    if let Some(colon) = memchr::memchr(b':', &decoded) {
        exchange.user = user(exchange, &decoded[..colon]);
    }
}

/// Notes whether a request with a body carries a form or a file.
#[cold]
pub(super) fn note_kind(exchange: &mut Exchange, method: &[u8], content_type: &[u8]) {
    let is = |kind: &[u8]| content_type.len() >= kind.len() && content_type[..kind.len()].eq_ignore_ascii_case(kind);
    exchange.features.add_if(method == b"PUT" || is(b"multipart/form-data"), Features::UPLOAD);
    exchange.features.add_if(is(b"application/x-www-form-urlencoded"), Features::FORM);
}

/// Stores what is kept of a form, given the first bytes of the body that came together.
#[cold]
pub(super) fn store_form(exchange: &mut Exchange, body: &[u8]) {
    if !exchange.features.has(Features::FORM) || exchange.features.has(Features::CREDENTIALS) {
        return;
    }
    let body = body.get(..FORM_BYTES).unwrap_or(body);
    let pairs = || {
        body.split(|byte| *byte == b'&').filter_map(|pair| {
            let equals = memchr::memchr(b'=', pair)?;
            Some((&pair[..equals], &pair[equals + 1..]))
        })
    };
    let Some((_, password)) = pairs().find(|(name, _)| holds_any(name, &[b"pass", b"pwd", b"passwd"])) else { return };
    let named = pairs().find(|(name, _)| holds_any(name, &[b"user", b"login", b"mail", b"log", b"name", b"account"]));
    let name = named.map_or(&b""[..], |(_, name)| name);
    note(exchange, &[name, b":", password].concat());
    let name: Vec<u8> = name.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    exchange.user = user(exchange, &percent_decoded(&name));
}

/// Notes that the request has credentials, and these.
fn note(exchange: &mut Exchange, credentials: &[u8]) {
    exchange.features.add(Features::CREDENTIALS);
    exchange.credentials = ((KeyedState::secret().hash(credentials) >> 32) as u32).max(1);
}

fn user(exchange: &mut Exchange, name: &[u8]) -> Span {
    exchange.store(name.get(..USER_BYTES).unwrap_or(name))
}

fn holds_any(name: &[u8], marks: &[&[u8]]) -> bool {
    let name = name.to_ascii_lowercase();
    name.len() <= 256 && marks.iter().any(|mark| memchr::memmem::find(&name, mark).is_some())
}

/// Decodes Base64 (RFC 4648, section 4). Text that is none gives nothing.
fn base64(text: &[u8]) -> Vec<u8> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
    ENGINE.decode(text.get(..BASIC_BYTES).unwrap_or(text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fill: impl Fn(&mut Exchange)) -> (String, u32) {
        let mut exchange = Exchange::default();
        fill(&mut exchange);
        let user = String::from_utf8(exchange.field(exchange.user).to_vec()).unwrap();
        assert!(exchange.text.len() == user.len(), "nothing else is kept");
        (user, exchange.credentials)
    }

    #[test]
    fn users_are_named_and_passwords_only_told_apart() {
        let basic = |value: &'static str| read(|exchange| store_authorization(exchange, value.as_bytes()));
        // bob:secret, bob:other, alice:x:y
        let (user, first) = basic("Basic Ym9iOnNlY3JldA==");
        let (_, other) = basic("basic Ym9iOm90aGVy");
        assert!(user == "bob" && first != 0 && first != other && first == basic("Basic Ym9iOnNlY3JldA==").1);
        assert_eq!(basic("BASIC YWxpY2U6eDp5").0, "alice");
        assert!(basic("Bearer abcdef").0.is_empty() && basic("Bearer abcdef").1 != 0);
        for odd in ["Basic", "Basic ", "Basic =", "Basic !!", "B", ""] {
            assert_eq!(basic(odd).0, "", "{odd}");
        }
        let form = |kind: &'static str, body: &'static str| {
            read(|exchange| {
                note_kind(exchange, b"POST", kind.as_bytes());
                store_form(exchange, body.as_bytes());
            })
        };
        let url = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(form(url, "csrf=1&username=al%69ce%40h&password=x&go=1").0, "alice@h");
        assert_eq!(form(url, "log=admin&pwd=1").0, "admin");
        assert!(form(url, "q=words&page=2").1 == 0 && form("text/plain", "user=a&password=b").1 == 0);
        assert_ne!(form(url, "user=a&password=b").1, form(url, "user=a&password=c").1);
    }
}
