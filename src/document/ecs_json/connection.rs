//! The connection that carried an exchange, as parts of its document.
//!
//! In: an exchange. Out: the parts of `network` before and after the Community ID, `tls`, and the members of `wirespike`
//! about tunnel, gaps and handshake. Promises: absent fields are left out.

use super::super::json::{Json, key};
use super::fields::{Changes, Field};
use crate::{
    address::Endpoint,
    decode::TunnelKind,
    exchange::{EndingFrame, Exchange, StreamEnd, TlsFailure},
};

/// Writes the beginning of `network`: the protocols, up to the Community ID.
pub(super) fn begin_network(json: &mut Json<'_>, exchange: &Exchange, server: Endpoint) {
    json.open(key!("network"));
    json.raw(match (exchange.tls_failure.is_some(), server.address.is_v4()) {
        (false, true) => br#""transport":"tcp","protocol":"http","type":"ipv4","community_id":""#,
        (false, false) => br#""transport":"tcp","protocol":"http","type":"ipv6","community_id":""#,
        (true, true) => br#""transport":"tcp","protocol":"tls","type":"ipv4","community_id":""#,
        (true, false) => br#""transport":"tcp","protocol":"tls","type":"ipv6","community_id":""#,
    });
}

/// Writes the end of `network`, after the Community ID: the VLANs.
pub(super) fn end_network(json: &mut Json<'_>, exchange: &Exchange) {
    json.raw(b"\"");
    let [outer, inner] = exchange.encapsulation.vlans;
    if outer != 0 {
        json.raw(br#","vlan":{"id":""#);
        json.raw(itoa::Buffer::new().format(outer).as_bytes());
        json.raw(br#""}"#);
    }
    if inner != 0 {
        json.raw(br#","inner":{"vlan":{"id":""#);
        json.raw(itoa::Buffer::new().format(inner).as_bytes());
        json.raw(br#""}}"#);
    }
    json.raw(b"}");
}

/// Writes `tls`: the facts from a handshake.
pub(super) fn write_tls(json: &mut Json<'_>, exchange: &Exchange, changes: &mut Changes) {
    let Some(connection) = &exchange.tls else { return };
    let tls = json.open(key!("tls"));
    json.flag(key!("established"), exchange.tls_failure.is_none());
    if connection.version != 0 {
        json.name(key!("version"), version_number(connection.version));
    }
    if !connection.cipher.is_empty() {
        json.name(key!("cipher"), connection.cipher);
    }
    changes.note(Field::Tls, json.optional_bytes(key!("next_protocol"), &connection.next_protocol));
    if let Some(is_resumed) = connection.is_resumed {
        json.flag(key!("resumed"), is_resumed);
    }
    let client = json.open(key!("client"));
    changes.note(Field::ServerName, json.optional_bytes(key!("server_name"), &connection.server_name));
    let _digits = json.optional_bytes(key!("ja3"), connection.ja3.as_bytes());
    json.close(client);
    if !connection.certificate.is_empty() {
        let server = json.open(key!("server"));
        let certificate = json.open(key!("x509"));
        let subject = json.open(key!("subject"));
        changes.note(Field::Tls, json.bytes(key!("common_name"), &connection.certificate));
        json.close(subject);
        json.close(certificate);
        json.close(server);
    }
    json.close(tls);
}

/// Writes `rpc`: the status of gRPC.
pub(super) fn write_rpc(json: &mut Json<'_>, exchange: &Exchange) {
    let Some(status) = exchange.grpc_status else { return };
    let rpc = json.open(key!("rpc"));
    let grpc = json.open(key!("grpc"));
    json.number(key!("status_code"), u64::from(status));
    json.close(grpc);
    json.close(rpc);
}

/// Writes what ended the stream, tunnel, gaps and TLS alert.
pub(super) fn write_connection(json: &mut Json<'_>, exchange: &Exchange) {
    if let Some(end) = exchange.stream_end {
        write_stream_end(json, end);
    }
    let encapsulation = exchange.encapsulation;
    if encapsulation.tunnel != TunnelKind::None {
        let tunnel = json.open(key!("tunnel"));
        json.name(key!("type"), tunnel_name(encapsulation.tunnel));
        json.number(key!("id"), u64::from(encapsulation.tunnel_id));
        json.number(key!("depth"), u64::from(encapsulation.depth));
        json.close(tunnel);
    }
    if exchange.gap_bytes > 0 || exchange.disagreeing_bytes > 0 {
        let tcp = json.open(key!("tcp"));
        json.number(key!("gap_bytes"), exchange.gap_bytes);
        json.number(key!("disagreeing_bytes"), exchange.disagreeing_bytes);
        json.close(tcp);
    }
    if exchange.tls.is_some() || exchange.tls_failure.is_some() {
        write_handshake(json, exchange);
    }
}

/// Writes `wirespike.http2`: which frame ended the stream.
fn write_stream_end(json: &mut Json<'_>, end: StreamEnd) {
    let http2 = json.open(key!("http2"));
    let frame = json.open(match end.frame {
        EndingFrame::Reset => key!("reset"),
        EndingFrame::GoAway => key!("goaway"),
    });
    json.name(key!("by"), if end.by_server { "server" } else { "client" });
    json.name(key!("code"), &end.code_name());
    json.close(frame);
    json.close(http2);
}

/// Writes `wirespike.tls`: how the handshake failed, and the fingerprints that ECS has no field for.
fn write_handshake(json: &mut Json<'_>, exchange: &Exchange) {
    let tls = json.open(key!("tls"));
    if let Some(TlsFailure { alert, offered_version, by_server }) = exchange.tls_failure {
        json.number(key!("alert"), u64::from(alert));
        json.name(key!("alert_sender"), if by_server { "server" } else { "client" });
        if offered_version != 0 {
            json.name(key!("offered_version"), tls_version(offered_version));
        }
    }
    if let Some(connection) = &exchange.tls {
        let _ascii = json.optional_bytes(key!("ja4"), connection.ja4.as_bytes());
        let _ascii = json.optional_bytes(key!("ja4s"), connection.ja4s.as_bytes());
    }
    json.close(tls);
}

/// A version as ECS has it in `tls.version`.
const fn version_number(version: u16) -> &'static str {
    match version {
        0x0300 => "3.0",
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        0x0304 => "1.3",
        _ => "other",
    }
}

const fn tls_version(version: u16) -> &'static str {
    match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        _ => "other",
    }
}

const fn tunnel_name(kind: TunnelKind) -> &'static str {
    match kind {
        TunnelKind::None => "none",
        TunnelKind::Gre => "gre",
        TunnelKind::Nvgre => "nvgre",
        TunnelKind::Erspan => "erspan",
        TunnelKind::Vxlan => "vxlan",
        TunnelKind::Geneve => "geneve",
        TunnelKind::IpInIp => "ip_in_ip",
        TunnelKind::GtpU => "gtp_u",
        TunnelKind::Teredo => "teredo",
        TunnelKind::L2tp => "l2tp",
        TunnelKind::Mpls => "mpls",
        TunnelKind::Pbb => "pbb",
        TunnelKind::Pppoe => "pppoe",
        TunnelKind::Tzsp => "tzsp",
        TunnelKind::JuniperMirror => "juniper_mirror",
        TunnelKind::Capwap => "capwap",
        TunnelKind::Lisp => "lisp",
    }
}
