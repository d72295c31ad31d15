//! An error in 32 bytes.
//!
//! In: an error that was [`Matched`]. Out: the values that counting and evidence need, with hashes instead of texts. A
//! client with few errors is kept as a list of records. A million records fit into memory where their texts would not.

use std::num::NonZeroU32;

use super::evidence::{Seen, Texts};
use crate::{
    detect::Matched,
    event::{Dataset, Reason, Site},
    exchange::{Answer, Grade, Method},
    time::Timestamp,
};

/// An error in its compact form. The hash of a text is `None` when the text is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) path: Option<NonZeroU32>,
    pub(super) user_agent: Option<NonZeroU32>,
    pub(super) host: Option<NonZeroU32>,
    packet: u32,
    /// The server's number in the engine's list.
    pub(super) server: u16,
    /// The statuses of the response, or the end of the handshake. A status of gRPC is among them only if it is the reason.
    pub(super) answer: Answer,
    pub(super) method: Method,
    pub(super) dataset: Dataset,
    pub(super) reason: Reason,
    pub(super) grade: Grade,
}

impl Record {
    /// The packet's number, modulo 2³². It only orders errors of equal time.
    pub(super) fn packet(&self) -> u64 {
        u64::from(self.packet)
    }
}

/// Reads an error for counting. Returns `None` when the exchange is not an error.
pub(super) fn read<'e>(matched: &Matched<'e>, server: u16, site: &'e Site) -> Option<Seen<'e>> {
    let Matched { observation, exchange, reason, dataset, .. } = *matched;
    let reason = reason?;
    let answer = match reason {
        Reason::GrpcStatus | Reason::TlsAlert => observation.answer,
        _ => Answer::http(observation.answer.status()),
    };
    let record = Record {
        time: observation.time,
        path: observation.path,
        user_agent: observation.user_agent,
        host: observation.host,
        packet: observation.packet as u32,
        server,
        answer,
        method: observation.method,
        dataset,
        reason,
        grade: observation.grade,
    };
    let user_agent = exchange.field(exchange.user_agent);
    let host = exchange.field(exchange.host);
    let text = Texts { user_agent, host, tls: exchange.tls.as_deref(), flow: exchange.endpoints, site };
    let sent = (observation.method == Method::Other).then(|| exchange.field(exchange.method));
    Some(Seen { record, sent, target: Some(exchange.field(exchange.target)), text: Some(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert_eq!(size_of::<Record>(), 32);
    }
}
