//! Exchanges as lines like those of an access log.
//!
//! In: the JSON document of an exchange. Out: one line: time, status, method, target, size of the body. Promises: one line for
//! one document, whatever the wire said; what is absent is a dash.

use serde_json::Value;

use crate::printable::printable;

/// The line of an exchange, without a line end.
pub fn exchange_line(exchange: &Value) -> String {
    let text = |pointer: &str| exchange.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| exchange.pointer(pointer).and_then(Value::as_u64).map(|number| number.to_string());
    let time = text("/@timestamp").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let time = time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
    let status = number("/http/response/status_code");
    let status = status.as_deref().or_else(|| text("/wirespike/failure")).unwrap_or("-");
    let [method, target] = ["/http/request/method", "/url/original"].map(|at| printable(text(at).unwrap_or("-")));
    let size = number("/http/response/body/bytes");
    format!("{time}  {:<3}  {method}  {target}  {}", printable(status), size.as_deref().unwrap_or("-"))
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
        assert_eq!(exchange_line(&Value::Null), "-  -    -  -  -");
    }
}
