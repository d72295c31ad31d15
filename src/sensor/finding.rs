//! What a sensor finds.

use crate::{
    detect::Alert,
    event::{Attribution, ErrorEvent},
    exchange::Exchange,
    time::Stretch,
    verdict::Verdict,
};

/// One finding, lent to the caller. Findings come in the order of the packets that led to them; an event may come up to a few
/// seconds of packet time later, if it had to be seen first whether the client leg of a proxy shows the same error.
#[derive(Debug, Clone, Copy)]
pub enum Finding<'a> {
    /// An exchange failed. The event comes as soon as the response's header block is complete, or as soon as it is clear
    /// that there will be no response.
    Event(&'a ErrorEvent),
    /// An exchange is over and will not change any more. Only with
    /// [`report_exchanges`](super::SensorSettings::report_exchanges).
    Exchange {
        /// The exchange.
        exchange: &'a Exchange,
        /// Whose exchange it was.
        attribution: &'a Attribution,
    },
    /// An exchange failed and is over with the same packet: an [`Event`](Self::Event) and an
    /// [`Exchange`](Self::Exchange) in one.
    EventAndExchange(&'a ErrorEvent),
    /// A rule raised an alert.
    Alert {
        /// The alert.
        alert: &'a Alert,
        /// The verdict on it.
        verdict: &'a Verdict,
    },
    /// Bytes of TCP streams that may have held responses were not captured between these times: what is counted there is
    /// a lower bound.
    Gap(Stretch),
}
