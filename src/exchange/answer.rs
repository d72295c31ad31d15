//! What an exchange came to: the status of HTTP and that of gRPC, or the end of a handshake that failed.
//!
//! In: statuses and alerts as they were read. Out: [`Answer`], by which errors are counted, shown and judged; [`GrpcStatus`].
//! Promises: a status of gRPC never hides an error status of HTTP; a handshake that failed has no status.

use std::fmt;

use super::FailedHandshake;

/// A status of gRPC. A code that is in no list counts as [`Unknown`](Self::Unknown), as in the clients of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum GrpcStatus {
    /// The call succeeded.
    Ok,
    /// The caller cancelled the call.
    Cancelled,
    /// An error of another kind: often an exception in the service.
    Unknown,
    /// The arguments are wrong, whatever the state of the service.
    InvalidArgument,
    /// The call took too long.
    DeadlineExceeded,
    /// The thing that the call asks for does not exist.
    NotFound,
    /// The thing that the call is to create exists already.
    AlreadyExists,
    /// The caller is known, and may not.
    PermissionDenied,
    /// A quota or a rate is used up.
    ResourceExhausted,
    /// The state of the service does not allow the call.
    FailedPrecondition,
    /// The service aborted the call, for example because it conflicts with another call.
    Aborted,
    /// The arguments are beyond a range.
    OutOfRange,
    /// The server does not have this method or this service.
    Unimplemented,
    /// The service is broken.
    Internal,
    /// The service cannot be reached now.
    Unavailable,
    /// Data were lost.
    DataLoss,
    /// The caller has no valid credentials.
    Unauthenticated,
}

impl GrpcStatus {
    /// All statuses, in the order of their codes.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The status with this code.
    pub fn of(code: u16) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Unknown)
    }

    /// The code, as `grpc-status` carries it.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name in the specification of gRPC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The status of HTTP that says the same, by the mapping in `google/rpc/code.proto`. There is one exception: a server
    /// answers `UNIMPLEMENTED` to a path that it does not have, so it says what 404 says, and not 501.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Cancelled => 499,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound | Self::Unimplemented => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::ResourceExhausted => 429,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }
}

impl fmt::Display for GrpcStatus {
    /// `gRPC 16 UNAUTHENTICATED`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "gRPC {} {}", self.code(), self.name())
    }
}

/// What a response says of its request. The status of HTTP is in the low ten bits: it has three digits. The code of gRPC is in the
/// five bits above them, and 0 where the response is no failure of gRPC. The highest bit marks a handshake that failed; its alert is
/// in the low eight bits, and the bit above them says whether the server sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Answer(u16);

/// Bits of the status of HTTP.
const STATUS_BITS: u32 = 10;
const STATUS_MASK: u16 = (1 << STATUS_BITS) - 1;
const HANDSHAKE: u16 = 1 << 15;
const BY_SERVER: u16 = 1 << 8;

impl Answer {
    /// An answer with these statuses.
    #[inline]
    pub const fn new(status: u16, grpc: GrpcStatus) -> Self {
        let status = if status < STATUS_MASK { status } else { STATUS_MASK };
        Self(status | (grpc.code() as u16) << STATUS_BITS)
    }

    /// An answer without a status of gRPC.
    #[inline]
    pub const fn http(status: u16) -> Self {
        Self::new(status, GrpcStatus::Ok)
    }

    /// The final status of HTTP; 0 if there is none.
    #[inline]
    pub const fn status(self) -> u16 {
        if self.0 & HANDSHAKE == 0 { self.0 & STATUS_MASK } else { 0 }
    }

    /// What ended the handshake, if it failed.
    #[inline]
    pub fn failed_handshake(self) -> Option<FailedHandshake> {
        let failed = FailedHandshake { alert: self.0.to_le_bytes()[0], by_server: self.0 & BY_SERVER != 0 };
        (self.0 & HANDSHAKE != 0).then_some(failed)
    }

    /// The status of gRPC, if the response is one of gRPC that failed.
    #[inline]
    pub fn grpc(self) -> Option<GrpcStatus> {
        let code = (self.0 & !HANDSHAKE) >> STATUS_BITS;
        (code != 0).then(|| GrpcStatus::of(code))
    }

    /// The status of HTTP that says what the answer says: gRPC sends its failures with 200.
    #[inline]
    pub fn meaning(self) -> u16 {
        match self.grpc() {
            Some(grpc) if self.status() < 400 => grpc.http_status(),
            _ => self.status(),
        }
    }

    /// Returns whether the client got what it asked for, or was sent elsewhere.
    #[inline]
    pub fn is_success(self) -> bool {
        (200..400).contains(&self.meaning())
    }
}

impl From<FailedHandshake> for Answer {
    fn from(failed: FailedHandshake) -> Self {
        let by_server = if failed.by_server { BY_SERVER } else { 0 };
        Self(HANDSHAKE | by_server | u16::from(failed.alert))
    }
}

impl fmt::Display for Answer {
    /// `404`, or the status of gRPC, or the end of the handshake.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.failed_handshake(), self.grpc()) {
            (Some(failed), _) => failed.fmt(out),
            (None, Some(grpc)) => grpc.fmt(out),
            (None, None) => self.status().fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_those_of_grpc() {
        for (code, status) in (0..).zip(GrpcStatus::ALL) {
            assert_eq!((GrpcStatus::of(code), u16::from(status.code())), (status, code));
        }
        assert_eq!(GrpcStatus::of(16).to_string(), "gRPC 16 UNAUTHENTICATED");
        assert_eq!([17, 999, u16::MAX].map(GrpcStatus::of), [GrpcStatus::Unknown; 3]);
    }

    #[test]
    fn an_answer_means_what_its_more_serious_status_says() {
        let with = |status, code| Answer::new(status, GrpcStatus::of(code));
        for (answer, meaning, is_success) in [
            (Answer::http(200), 200, true),
            (Answer::http(404), 404, false),
            (Answer::http(0), 0, false),
            (with(200, 16), 401, false),
            (with(200, 7), 403, false),
            (with(200, 12), 404, false),
            (with(200, 14), 503, false),
            (with(200, 77), 500, false),
            (with(503, 5), 503, false),
        ] {
            assert_eq!((answer.meaning(), answer.is_success()), (meaning, is_success), "{answer:?}");
        }
        assert_eq!((with(999, 16).status(), with(999, 16).grpc()), (999, Some(GrpcStatus::Unauthenticated)));
        assert_eq!(with(200, 0), Answer::http(200));
        assert_eq!(size_of::<Answer>(), 2);
    }

    #[test]
    fn a_handshake_that_failed_has_no_status_and_names_its_alert() {
        for alert in 0..=u8::MAX {
            for by_server in [false, true] {
                let failed = FailedHandshake { alert, by_server };
                let answer = Answer::from(failed);
                assert_eq!(answer.failed_handshake(), Some(failed));
                assert_eq!(
                    (answer.status(), answer.grpc(), answer.meaning(), answer.is_success()),
                    (0, None, 0, false)
                );
            }
        }
        let said = |alert, by_server| Answer::from(FailedHandshake { alert, by_server }).to_string();
        assert_eq!(said(70, true), "TLS alert 70 protocol_version");
        assert_eq!(said(48, false), "TLS alert 48 unknown_ca by the client");
        assert_eq!((said(0, true), said(99, true)), ("TLS handshake cut off".into(), "TLS alert 99".into()));
        for answer in [Answer::http(0), Answer::http(404), Answer::new(999, GrpcStatus::Unauthenticated)] {
            assert_eq!(answer.failed_handshake(), None, "{answer}");
        }
    }
}
