//! Exchanges as lines like those of an access log.
//!
//! In: the JSON document of an exchange. Out: one line: time, status, method, target and size of the body; of a gRPC call that failed,
//! also its gRPC status. Promises: each document gives exactly one line, also if its texts have line ends; a field that the document
//! lacks is shown as a dash.

use serde_json::Value;

use crate::{exchange::GrpcStatus, printable::printable};

/// The line of an exchange, without a line end.
pub fn exchange_line(exchange: &Value) -> String {
    let text = |pointer: &str| exchange.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| exchange.pointer(pointer).and_then(Value::as_u64).map(|number| number.to_string());
    let time = text("/@timestamp").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let time = time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
    let status = number("/http/response/status_code");
    let remarks = exchange.pointer("/wirespike/remarks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // A stream of HTTP/2 without a response: who did not want it.
    let given_up = ["refused", "cancelled"].into_iter().find(|name| remarks.iter().any(|remark| remark == name));
    let status = status.as_deref().or_else(|| text("/wirespike/failure")).or(given_up).unwrap_or("-");
    let [method, target] = ["/http/request/method", "/url/original"].map(|at| printable(text(at).unwrap_or("-")));
    let size = number("/http/response/body/bytes");
    let failed = exchange.pointer("/rpc/grpc/status_code").and_then(Value::as_u64).filter(|code| *code != 0);
    let grpc = failed.map(|code| format!("  {}", GrpcStatus::of(u16::try_from(code).unwrap_or(u16::MAX))));
    let size = size.as_deref().unwrap_or("-");
    format!("{time}  {:<3}  {method}  {target}  {size}{}", printable(status), grpc.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_what_an_access_log_has() {
        let exchange = json!({
            "@timestamp": "2026-11-24T21:30:54.027498837Z",
            "url": {"original": "/a\u{1b}[2J\nb"},
            "http": {"request": {"method": "GET"}, "response": {"status_code": 404, "body": {"bytes": 162}}},
        });
        assert_eq!(exchange_line(&exchange), "2026-11-24 21:30:54.027  404  GET  /a\\u{1b}[2J\\u{a}b  162");
        assert_eq!(exchange_line(&json!({"wirespike": {"failure": "reset"}})), "-  reset  -  -  -");
        let call = json!({"http": {"response": {"status_code": 200}}, "rpc": {"grpc": {"status_code": 16}}});
        assert_eq!(exchange_line(&call), "-  200  -  -  -  gRPC 16 UNAUTHENTICATED");
        assert_eq!(exchange_line(&json!({"rpc": {"grpc": {"status_code": 0}}})), "-  -    -  -  -");
        let refused = json!({"wirespike": {"remarks": ["midstream", "refused"]}});
        assert_eq!(exchange_line(&refused), "-  refused  -  -  -");
        assert_eq!(exchange_line(&Value::Null), "-  -    -  -  -");
    }
}
