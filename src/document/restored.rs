//! Alerts that an earlier run encoded but could not write.
//!
//! In: lines of ECS JSON. Out: documents with the same bytes, and with the identifier, time and route read back from the
//! JSON. Promises: a line that cannot be parsed is a document too, with default values for the fields that could not be
//! read.

use serde_json::Value as Json;

use super::{Document, Identifier, Route};
use crate::time::Timestamp;

/// Calls `each` with every line as a document.
pub(crate) fn restore_alerts(lines: &[u8], mut each: impl FnMut(&Document<'_>)) {
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let alert: Json = serde_json::from_slice(line).unwrap_or_default();
        let text = |pointer| alert.pointer(pointer).and_then(Json::as_str);
        let id = text("/event/id").and_then(|digits| Identifier::from_digits(digits.as_bytes())).unwrap_or_default();
        let time = text("/@timestamp").and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let nanos = time.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
        let route = Route {
            dataset: text("/data_stream/dataset").unwrap_or("wirespike.alert"),
            namespace: text("/data_stream/namespace").unwrap_or("default"),
            client: text("/source/ip").and_then(|ip| ip.parse::<std::net::IpAddr>().ok()).map(Into::into),
        };
        each(&Document::alert_line(id, nanos.map_or(Timestamp::EPOCH, Timestamp::from_nanos), route, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::Address, document::Value};

    #[test]
    fn what_a_sink_needs_is_read_back() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let line = format!(
            "{{\"@timestamp\":\"2023-11-14T22:13:20.250000001Z\",\"event\":{{\"id\":\"{id}\"}},\"source\":{{\"ip\":\"192.0.2.1\"}},\
             \"data_stream\":{{\"dataset\":\"wirespike.alert\",\"namespace\":\"lab\"}}}}\n"
        );
        let mut seen = Vec::new();
        restore_alerts(format!("{line}torn").as_bytes(), |document| {
            let Value::AlertLine(bytes) = document.value else { panic!("{document:?}") };
            let Route { namespace, client, .. } = document.route;
            seen.push((
                document.id.to_string(),
                document.time.as_nanos(),
                namespace.to_owned(),
                client,
                bytes.to_vec(),
            ));
        });
        let client = Some(Address::v4([192, 0, 2, 1]));
        assert_eq!(seen[0], (id.into(), 1_700_000_000_250_000_001, "lab".into(), client, line.into_bytes()));
        assert_eq!(seen[1].4, b"torn");
        assert_eq!(seen.len(), 2);
    }
}
