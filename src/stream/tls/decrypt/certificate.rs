//! The subject of a certificate.
//!
//! In: the body of a Certificate message. Out: the subject's common name or, without one, the first DNS name of the
//! certificate. Promises: no recursion; time is linear in the message's length.

use super::cursor::Cursor;

/// DER tags (X.690).
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Longest name that is returned.
const MAX_NAME_BYTES: usize = 255;

/// Returns the name in the first certificate of a Certificate message (RFC 5246, section 7.4.2; RFC 8446, section 4.4.2).
pub(super) fn subject(body: &[u8], is_tls13: bool) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    if is_tls13 {
        cursor.list8()?;
    }
    let certificate = Cursor(cursor.list24()?).list24()?;
    let mut fields = Cursor(enter(enter(certificate, SEQUENCE)?, SEQUENCE)?);
    let (tag, _) = element(&mut fields)?;
    if tag == VERSION {
        element(&mut fields)?;
    }
    // Now after the serial number: signature algorithm, issuer, validity, subject.
    for _ in 0..3 {
        element(&mut fields)?;
    }
    let (_, subject) = element(&mut fields)?;
    let name = common_name(subject).or_else(|| alternative_name(fields))?;
    (1..=MAX_NAME_BYTES).contains(&name.len()).then_some(name)
}

/// Takes the next element: its tag and content.
fn element<'a>(cursor: &mut Cursor<'a>) -> Option<(u8, &'a [u8])> {
    let tag = cursor.byte()?;
    let length = match cursor.byte()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => cursor.byte()?.into(),
        0x82 => cursor.number()?.into(),
        0x83 => cursor.number24()?,
        _ => return None,
    };
    Some((tag, cursor.bytes(length)?))
}

/// Returns the content of the first element if it has this tag.
fn enter(bytes: &[u8], expected: u8) -> Option<&[u8]> {
    element(&mut Cursor(bytes)).filter(|(tag, _)| *tag == expected).map(|(_, content)| content)
}

/// Iterates over elements as far as they are well-formed.
fn elements(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut cursor = Cursor(bytes);
    std::iter::from_fn(move || element(&mut cursor))
}

/// A subject is a sequence of sets of attributes. The most specific common name is the last one.
fn common_name(subject: &[u8]) -> Option<&[u8]> {
    let sets = elements(subject).filter(|(tag, _)| *tag == SET);
    let attributes = sets.flat_map(|(_, set)| elements(set)).filter(|(tag, _)| *tag == SEQUENCE);
    attributes.filter_map(|(_, attribute)| value_of(attribute, COMMON_NAME)).last().map(|(_, name)| name)
}

/// Returns the last element of a sequence that begins with this object identifier.
fn value_of<'a>(sequence: &'a [u8], identifier: &[u8]) -> Option<(u8, &'a [u8])> {
    let mut cursor = Cursor(sequence);
    (element(&mut cursor)? == (OBJECT_IDENTIFIER, identifier)).then(|| elements(cursor.0).last()).flatten()
}

/// `fields` are those after the subject.
fn alternative_name(fields: Cursor<'_>) -> Option<&[u8]> {
    let (_, extensions) = elements(fields.0).find(|(tag, _)| *tag == EXTENSIONS)?;
    let names = elements(enter(extensions, SEQUENCE)?)
        .find_map(|(_, extension)| value_of(extension, SUBJECT_ALTERNATIVE_NAME))
        .filter(|(tag, _)| *tag == OCTET_STRING)?;
    elements(enter(names.1, SEQUENCE)?).find(|(tag, _)| *tag == DNS_NAME).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut bytes = vec![tag];
        match content.len() {
            short @ 0..=0x7f => bytes.push(short as u8),
            long => bytes.extend([0x82, (long >> 8) as u8, long as u8]),
        }
        bytes.extend(content);
        bytes
    }

    fn list24(content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, (content.len() >> 8) as u8, content.len() as u8];
        bytes.extend(content);
        bytes
    }

    /// A certificate with the fields that are walked over.
    fn message(has_version: bool, names: &[&str], dns: Option<&str>) -> Vec<u8> {
        let attribute = |identifier: &[u8], text: &str| {
            der(SET, &[&der(SEQUENCE, &[&der(OBJECT_IDENTIFIER, &[identifier]), &der(0x0c, &[text.as_bytes()])])])
        };
        let organisation = attribute(&[0x55, 0x04, 0x0a], "org");
        let common = names.iter().flat_map(|name| attribute(COMMON_NAME, name)).collect::<Vec<_>>();
        let version = if has_version { der(VERSION, &[&der(2, &[&[2]])]) } else { Vec::new() };
        let (serial, empty, filler) = (der(2, &[&[1, 2, 3]]), der(SEQUENCE, &[]), der(SEQUENCE, &[&[5; 300]]));
        let issuer = der(SEQUENCE, &[&attribute(COMMON_NAME, "issuer")]);
        let subject = der(SEQUENCE, &[&organisation, &common]);
        let alternative = dns.map_or_else(Vec::new, |name| {
            let names = der(SEQUENCE, &[&der(0x87, &[&[1, 2, 3, 4]]), &der(DNS_NAME, &[name.as_bytes()])]);
            let identifier = der(OBJECT_IDENTIFIER, &[SUBJECT_ALTERNATIVE_NAME]);
            let extension = der(SEQUENCE, &[&identifier, &der(1, &[&[255]]), &der(OCTET_STRING, &[&names])]);
            der(EXTENSIONS, &[&der(SEQUENCE, &[&empty, &extension])])
        });
        let signed = der(SEQUENCE, &[&version, &serial, &empty, &issuer, &empty, &subject, &filler, &alternative]);
        list24(&list24(&der(SEQUENCE, &[&signed, &empty, &filler])))
    }

    #[test]
    fn the_name_is_the_common_name_or_the_first_dns_name() {
        for has_version in [true, false] {
            assert_eq!(subject(&message(has_version, &["a.test"], Some("b.test")), false), Some(&b"a.test"[..]));
            assert_eq!(subject(&message(has_version, &["x", "y"], None), false), Some(&b"y"[..]));
            assert_eq!(subject(&message(has_version, &[], Some("b.test")), false), Some(&b"b.test"[..]));
            assert_eq!(subject(&message(has_version, &[], None), false), None);
        }
        let in_tls13 = [&[0][..], &message(true, &["a.test"], None)].concat();
        assert_eq!(subject(&in_tls13, true), Some(&b"a.test"[..]));
    }

    proptest! {
        #[test]
        fn mutated_certificates_never_panic(changes in prop::collection::vec((0usize..800, any::<u8>()), 0..6), cut in 0usize..800) {
            let mut bytes = message(true, &["a.test"], Some("b.test"));
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(cut);
            subject(&bytes, false);
            subject(&bytes, true);
        }
    }
}
