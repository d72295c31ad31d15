//! Claims about the client that somebody made up.
//!
//! In: [`Signals`]. Out: one sentence with numbers, if there are such claims. Promises: a few odd requests among many say nothing.

use super::activity::Signals;

/// Fewer requests show nothing.
const FEW: u64 = 5;
/// So many different clients with one user agent are no clients of a proxy.
const MANY_CLIENTS: u64 = 20;

/// Says what is made up about the clients for whom requests claim to come.
pub(super) fn made_up(signals: &Signals) -> Option<String> {
    let all = signals.with_claims;
    let is_habit = |count: u64| count >= FEW && count * 2 >= all;
    if is_habit(signals.claims_local) {
        let count = signals.claims_local;
        return Some(format!(
            "{count} of {all} failed requests with a forwarding header claim to come for the server's own host (127.0.0.1 or the \
             like): somebody tries to get around an access list."
        ));
    }
    if is_habit(signals.claims_impossible) {
        let count = signals.claims_impossible;
        return Some(format!(
            "{count} of {all} failed requests with a forwarding header name a client that cannot be, or that their other fields \
             contradict: somebody made it up."
        ));
    }
    let (clients, told) = (signals.claimed_clients, signals.claims_told);
    (clients >= MANY_CLIENTS && clients * 10 >= told * 9 && signals.agents <= 1).then(|| {
        format!(
            "{told} failed requests claim to come for {clients} different clients, all with one user agent: somebody makes them up \
             to get around a limit."
        )
    })
}

/// Returns whether the peer made up its claims itself: no proxy has added itself to most of them.
pub(super) fn are_own(signals: &Signals) -> bool {
    made_up(signals).is_some() && signals.claims_direct * 2 >= signals.with_claims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_habit_is_told() {
        let signals = |local, impossible, clients, agents| Signals {
            requests: 60,
            with_client_header: 60,
            with_claims: 60,
            claims_local: local,
            claims_impossible: impossible,
            claimed_clients: clients,
            claims_told: 60,
            claims_direct: 60,
            agents,
            ..Signals::default()
        };
        for (given, start) in [
            (
                signals(60, 0, 1, 1),
                "60 of 60 failed requests with a forwarding header claim to come for the server's own host",
            ),
            (signals(0, 40, 1, 1), "40 of 60 failed requests with a forwarding header name a client that cannot be"),
            (signals(0, 0, 60, 1), "60 failed requests claim to come for 60 different clients"),
        ] {
            assert!(made_up(&given).unwrap().starts_with(start), "{start}");
            assert!(are_own(&given));
            assert!(!are_own(&Signals { claims_direct: 0, ..given }), "a proxy has added itself");
        }
        for given in [signals(0, 0, 1, 1), signals(4, 4, 1, 1), signals(0, 0, 60, 3), signals(0, 0, 30, 1)] {
            assert_eq!(made_up(&given), None);
            assert!(!are_own(&given));
        }
    }
}
