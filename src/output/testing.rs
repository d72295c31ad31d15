//! Batches for tests.

use crate::{
    document::{Batch, Document, Identifier, Route},
    time::Timestamp,
};

/// An alert of this line.
pub(super) fn alert(line: &str) -> Document<'_> {
    let route = Route { dataset: "wirespike.alert", namespace: "default", client: None };
    Document::alert_line(Identifier::default(), Timestamp::EPOCH, route, line.as_bytes())
}

/// A batch of alerts of these lines.
pub(super) fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for line in lines {
        batch.push(&alert(line), |out| out.extend_from_slice(line.as_bytes()));
    }
    batch
}
