//! Properties of sessions of TLS 1.3.

use proptest::prelude::*;

use super::{
    Cause, Content,
    testing::{Reader, record},
    tests13::{CLIENT, KEY_UPDATE, LABELS, SERVER, answer, connected, hello, learn},
};

/// What happens to one record.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Given,
    Lost,
    Changed(usize),
    Skipped,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Given),
        1 => Just(Fate::Lost),
        1 => any::<usize>().prop_map(Fate::Changed),
        1 => Just(Fate::Skipped),
    ]
}

proptest! {
    /// Whatever is lost or changed, each record that is given unchanged is read, in order, with its own data, and the
    /// number of lost records is right.
    #[test]
    fn every_record_that_is_there_is_read(
        suite in prop::sample::select(vec![0x1301u16, 0x1302, 0x1303]),
        fates in prop::collection::vec((fate(), any::<bool>()), 1..40),
    ) {
        let (mut reader, mut peers) = connected(suite);
        prop_assert!(reader.data(SERVER, &peers.server(b"first")).is_some());
        let mut lost = 0;
        for (index, (fate, updates)) in fates.into_iter().enumerate() {
            let data = [index as u8; 30];
            let mut bytes = peers.server(&data);
            match fate {
                Fate::Given => {
                    let opened = reader.give(SERVER, &bytes);
                    prop_assert_eq!((opened.lost, &opened.content), (lost, &Content::Data(0..30)));
                    prop_assert_eq!(&reader.plaintext[..30], &data);
                    lost = 0;
                    if updates {
                        let update = peers.data[1].seal(22, &KEY_UPDATE);
                        prop_assert_eq!(reader.give(SERVER, &update).content, Content::Handshake);
                        peers.data[1].update();
                    }
                }
                Fate::Lost => {
                    reader.session.gap(SERVER, bytes.len() as u64);
                    lost += 1;
                }
                Fate::Changed(at) => {
                    let at = 5 + at % (bytes.len() - 5);
                    bytes[at] ^= 0x40;
                    prop_assert_eq!(reader.give(SERVER, &bytes).content, Content::Failed(Cause::Desynchronised));
                }
                Fate::Skipped => reader.session.skip(SERVER, *bytes.first_chunk().expect("a header")),
            }
        }
    }

    /// Records and hellos of any content never panic.
    #[test]
    fn any_records_never_panic(
        records in prop::collection::vec(
            (any::<bool>(), 20u8..24, prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 0..20),
        changes in prop::collection::vec((0usize..300, any::<u8>()), 0..8),
    ) {
        let mut reader = Reader::default();
        learn(&reader, 0x1301, &LABELS);
        let mut first = hello();
        let mut second = answer(0x1301);
        for (at, value) in changes {
            let target = if at % 2 == 0 { &mut first } else { &mut second };
            if let Some(byte) = target.get_mut(at / 2 + 5) {
                *byte = value;
            }
        }
        reader.give(CLIENT, &first);
        reader.give(SERVER, &second);
        for (is_client, kind, body, is_gap) in records {
            let sender = if is_client { CLIENT } else { SERVER };
            if is_gap {
                reader.session.gap(sender, body.len() as u64);
            }
            reader.give(sender, &record(kind, 0x0303, &body));
        }
    }
}
