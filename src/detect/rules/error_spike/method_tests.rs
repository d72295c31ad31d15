use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    capture::Stamp,
    detect::{
        Alert, Matched, Rule, RuleContext,
        rules::error_spike::{ErrorSpike, ErrorSpikeSettings},
    },
    event::{
        Site,
        testing::{builder, client, exchange},
    },
};

/// The alert about errors with these methods, the last of which comes at another time.
fn alert(methods: &[&str], threshold: u32) -> Alert {
    let settings = ErrorSpikeSettings { threshold, ..ErrorSpikeSettings::default() };
    let (mut rule, mut alerts) = (ErrorSpike::new(settings, &RuleContext::default()), Vec::new());
    let time = Timestamp::from_parts(1_700_000_100, 0);
    for (number, method) in (0..).zip(methods) {
        let mut exchange = exchange(client(1), time, number, 405, "/");
        exchange.method = exchange.store(method.as_bytes());
        let event = builder(Site::default()).error_event(Box::new(exchange), Stamp { number, time }).unwrap();
        rule.take(&Matched::of(&event), &mut alerts);
    }
    rule.finish(time, &mut alerts);
    alerts.pop().unwrap()
}

proptest! {
    /// Few errors and many, in any order: the counts by method are those of a recount, as long as no more than eight are in no list.
    #[test]
    fn every_method_is_counted_under_its_name(
        methods in proptest::collection::vec(
            prop_oneof![
                Just("GET"), Just("POST"), Just("PROPFIND"), Just("BAN"), Just("JEFF"), Just("get"), Just("X-1"),
                Just("PROPFINDS"), Just("TRACE"),
            ],
            1..90,
        ),
        threshold in 0u32..3,
    ) {
        prop_assume!(methods.len() > threshold as usize);
        let mut recount = BTreeMap::new();
        methods.iter().for_each(|method| *recount.entry(method.as_bytes().to_vec()).or_insert(0u64) += 1);
        let alert = alert(&methods, threshold);
        let counted: BTreeMap<_, _> =
            alert.summary.methods.iter().map(|(method, count)| (method.bytes().to_vec(), *count)).collect();
        prop_assert_eq!(counted, recount);
        let last = alert.summary.last.unwrap().method.unwrap();
        prop_assert_eq!(last.bytes(), methods.last().unwrap().as_bytes());
    }
}

#[test]
fn a_flood_of_methods_is_counted_with_the_first_names() {
    let names: Vec<String> = (0..500).map(|number| format!("M{number}")).collect();
    let methods: Vec<&str> = names.iter().map(String::as_str).collect();
    let counted = alert(&methods, 50).summary.methods;
    assert_eq!(counted.len(), SENT_METHODS + 1);
    assert_eq!((counted[0].0.bytes(), counted[0].1), (&b"other"[..], 500 - SENT_METHODS as u64));
}
