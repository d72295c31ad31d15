//! The metrics endpoint.
//!
//! In: the shared [`Snapshot`] that the threads of a live run refresh. Out: `/metrics` (OpenMetrics text), `/healthz`, `/readyz` over
//! HTTP/1.1. Promises: never touches the packet path; no label holds a client's address; a slow or hostile scraper costs
//! a bounded amount of memory and time.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
    io,
    net::SocketAddr,
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::timeout,
};

use crate::telemetry::snapshot::{InterfaceSnapshot, SharedSnapshot, Snapshot};

use super::{ServiceError, heartbeat::Heartbeat};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Longest head of a request that is read.
const MAX_REQUEST: usize = 8192;
/// Longest time for one request and its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections served at the same time. A further one takes the place of the oldest.
const MAX_CONNECTIONS: usize = 64;

/// Where the pages of the endpoint come from.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    /// The numbers.
    pub(super) snapshot: SharedSnapshot,
    /// Whether the threads of the run do their work, as it is when a page is asked for.
    pub(super) heartbeat: Heartbeat,
}

/// Binds the endpoint's address, before privileges are given up.
///
/// # Errors
///
/// An address that cannot be bound.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ServiceError> {
    let failed = |source| ServiceError::Metrics { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    if is_exposed(address) {
        tracing::warn!(%address, "the metrics endpoint can be reached from other hosts");
    }
    Ok(listener)
}

/// Serves a bound listener until the task is dropped.
pub(super) async fn serve(listener: TcpListener, pages: Pages) -> io::Result<()> {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, or a peer that is gone already: neither ends the endpoint.
            Err(error) => {
                tracing::warn!(%error, "metrics endpoint: cannot accept a connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let pages = pages.clone();
        let serving = tokio::spawn(async move {
            let _ = timeout(ANSWER_TIMEOUT, answer(stream, &pages)).await;
        });
        connections.push_back(serving.abort_handle());
    }
}

/// Returns whether an address can be reached from other hosts.
fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().is_loopback()
}

/// The snapshot in the OpenMetrics text format.
fn render(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("wirespike");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (stage, counts) in &self.stages {
            for count in counts {
                let name = format!("{stage}_{}", count.name);
                let metric = encoder.encode_descriptor(&name, count.help, None, MetricType::Counter)?;
                ConstCounter::new(count.value).encode(metric)?;
            }
        }
        for (stage, gauges) in &self.gauges {
            for gauge in gauges {
                let (name, unit) = name_and_unit(stage, gauge.name);
                let metric = encoder.encode_descriptor(&name, gauge.help, unit.as_ref(), MetricType::Gauge)?;
                ConstGauge::new(gauge.value).encode(metric)?;
            }
        }
        encode_interfaces(&self.interfaces, &mut encoder)
    }
}

/// Writes each metric of the interfaces once, with a sample for each interface.
fn encode_interfaces(interfaces: &[InterfaceSnapshot], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Some(first) = interfaces.first() else { return Ok(()) };
    for (index, count) in first.counts.iter().enumerate() {
        let name = format!("interface_{}", count.name);
        let mut family = encoder.encode_descriptor(&name, count.help, None, MetricType::Counter)?;
        for interface in interfaces {
            let Some(count) = interface.counts.get(index) else { continue };
            let labels = [("interface", interface.interface.as_str())];
            ConstCounter::new(count.value).encode(family.encode_family(&labels)?)?;
        }
    }
    for (index, gauge) in first.gauges.iter().enumerate() {
        let (name, unit) = name_and_unit("interface", gauge.name);
        let mut family = encoder.encode_descriptor(&name, gauge.help, unit.as_ref(), MetricType::Gauge)?;
        for interface in interfaces {
            let Some(gauge) = interface.gauges.get(index) else { continue };
            let labels = [("interface", interface.interface.as_str())];
            ConstGauge::new(gauge.value).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// A gauge's full name without its unit, which the encoder appends, and the unit.
fn name_and_unit(stage: &str, name: &str) -> (String, Option<Unit>) {
    for (suffix, unit) in [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes), ("_ratio", Unit::Ratios)] {
        if let Some(stem) = name.strip_suffix(suffix) {
            // The format's own word for ratios is plural; the conventional suffix is not.
            let unit = if suffix == "_ratio" { Unit::Other("ratio".into()) } else { unit };
            return (format!("{stage}_{stem}"), Some(unit));
        }
    }
    (format!("{stage}_{name}"), None)
}

async fn answer(mut stream: TcpStream, pages: &Pages) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MAX_REQUEST || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let response = pages.respond(&head);
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

impl Pages {
    /// The answer to a request.
    fn respond(&self, head: &[u8]) -> String {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
        let with_body = match method {
            b"GET" => true,
            b"HEAD" => false,
            _ => return response("405 Method Not Allowed", "text/plain", "only GET and HEAD\n", true),
        };
        match path {
            b"/metrics" => match render(self.snapshot.latest()) {
                Ok(text) => response("200 OK", CONTENT_TYPE, &text, with_body),
                Err(_) => response("500 Internal Server Error", "text/plain", "cannot be encoded\n", with_body),
            },
            b"/healthz" => probe(self.heartbeat.is_healthy(), "healthy", "a thread of the pipeline hangs", with_body),
            b"/readyz" => probe(self.snapshot.latest().ready, "ready", "not capturing", with_body),
            _ => response("404 Not Found", "text/plain", "see /metrics, /healthz, /readyz\n", with_body),
        }
    }
}

fn probe(passed: bool, yes: &str, no: &str, with_body: bool) -> String {
    let (status, word) = if passed { ("200 OK", yes) } else { ("503 Service Unavailable", no) };
    response(status, "text/plain", &format!("{word}\n"), with_body)
}

fn response(status: &str, content_type: &str, body: &str, with_body: bool) -> String {
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if with_body {
        let _ = text.write_str(body);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Count, snapshot::Gauge};

    fn snapshot() -> Snapshot {
        let interface = |name: &str, packets| InterfaceSnapshot {
            interface: name.into(),
            counts: vec![Count { name: "packets", help: "Packets received", value: packets }],
            gauges: vec![Gauge { name: "ring_fill_ratio", help: "Share of the ring in use", value: 0.5 }],
        };
        Snapshot {
            stages: vec![("tcp", vec![Count { name: "gap_bytes", help: "Bytes never captured", value: 7 }])],
            gauges: vec![("flow", vec![Gauge { name: "memory_bytes", help: "Memory held", value: 12.0 }])],
            interfaces: vec![interface("eth0", 3), interface("mirror\"1", 4)],
            ready: true,
        }
    }

    /// The pages of a run whose threads have not reported for long.
    fn pages() -> Pages {
        let pages = Pages { snapshot: SharedSnapshot::default(), heartbeat: Heartbeat::silent() };
        pages.snapshot.update(|latest| *latest = snapshot());
        pages
    }

    #[test]
    fn names_and_units_are_conventional() {
        let text = render(snapshot()).unwrap();
        for line in [
            "# TYPE wirespike_tcp_gap_bytes counter",
            "wirespike_tcp_gap_bytes_total 7",
            "# UNIT wirespike_flow_memory_bytes bytes",
            "wirespike_flow_memory_bytes 12.0",
            "wirespike_interface_packets_total{interface=\"eth0\"} 3",
            "wirespike_interface_packets_total{interface=\"mirror\\\"1\"} 4",
            "wirespike_interface_ring_fill_ratio{interface=\"eth0\"} 0.5",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn each_path_has_its_answer() {
        for (request, status) in [
            ("GET /metrics HTTP/1.1\r\n\r\n", "200"),
            ("GET /metrics?x=1 HTTP/1.1\r\n\r\n", "200"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "200"),
            ("GET /healthz HTTP/1.0\r\n\r\n", "503"),
            ("GET /readyz HTTP/1.1\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("\r\n\r\n", "405"),
        ] {
            let answer = pages().respond(request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.is_empty(), request.starts_with("HEAD"), "{request:?}");
        }
    }

    #[test]
    fn health_is_as_of_the_request() {
        let pages = pages();
        let status = || pages.respond(b"GET /healthz HTTP/1.1\r\n\r\n")[9..12].to_owned();
        assert_eq!(status(), "503");
        pages.heartbeat.packet_thread();
        pages.heartbeat.output_thread();
        assert_eq!(status(), "200", "though no thread has refreshed the snapshot");
    }

    #[test]
    fn answers_over_a_connection_and_drops_oversized_requests() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, pages()));
            let mut reply = String::new();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /met").await.unwrap();
            stream.write_all(b"rics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            stream.read_to_string(&mut reply).await.unwrap();
            assert!(reply.ends_with("# EOF\n"), "{reply}");
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&[b'x'; MAX_REQUEST]).await.unwrap();
            let mut reply = Vec::new();
            let _ = stream.read_to_end(&mut reply).await;
            assert!(reply.is_empty());
        });
    }

    #[test]
    fn a_hundred_slow_clients_keep_nobody_waiting() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, pages()));
            let mut slow = Vec::new();
            for number in 0..150 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                if number % 2 == 0 {
                    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
                }
                slow.push(stream);
            }
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").await.unwrap();
            let mut reply = String::new();
            let read = stream.read_to_string(&mut reply);
            timeout(ANSWER_TIMEOUT / 2, read).await.expect("answered before a slow client is given up").unwrap();
            reply
        });
        assert!(reply.starts_with("HTTP/1.1 "), "{reply}");
    }

    #[test]
    fn only_loopback_is_not_exposed() {
        assert!(!is_exposed("127.0.0.1:9".parse().unwrap()) && !is_exposed("[::1]:9".parse().unwrap()));
        assert!(is_exposed("0.0.0.0:9".parse().unwrap()));
    }
}
