//! Error events from exchanges.
//!
//! In: [`Exchange`](crate::http::Exchange)s in packet order. Out: [`ErrorEvent`]s and ECS documents.

use crate::{address::Endpoint, http::Exchange, time::Timestamp};

/// Which server's error log an event would have been in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dataset {
    /// `nginx.error`
    Nginx,
    /// `apache.error`
    Apache,
    /// `apache_tomcat.error`
    Tomcat,
    /// `iis.error`
    Iis,
    /// `http.error`: any other server, or none that can be told.
    #[default]
    Http,
}

/// `event.reason`: why an exchange is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A final response with an error status.
    HttpStatus,
    /// A complete request without a response.
    NoResponse,
    /// A request the server could not have parsed.
    MalformedRequest,
    /// A fatal alert during a TLS handshake.
    TlsAlert,
}

/// One failed exchange, attributed.
#[derive(Debug, Clone)]
pub struct ErrorEvent {
    /// `@timestamp`.
    pub time: Timestamp,
    /// The packet that made the event, for order.
    pub packet: u64,
    /// The true client; its port is 0 when a header named it without one.
    pub client: Endpoint,
    /// Why it is an error.
    pub reason: Reason,
    /// Whose log it would be in.
    pub dataset: Dataset,
    /// The exchange.
    pub exchange: Box<Exchange>,
}
