use std::sync::Arc;

use super::*;
use crate::{
    address::Address,
    event::{EventBuilder, EventSettings},
};

const SERVER: Endpoint = Endpoint::new(Address::v4([198, 51, 100, 1]), 80);
const CLIENT: Endpoint = Endpoint::new(Address::v4([192, 0, 2, 1]), 40_000);

fn learn(builder: &mut EventBuilder, exchange: &Exchange) {
    if let Some(fingerprint) = ServerFingerprint::of(exchange) {
        builder.learn(&fingerprint);
    }
}

const NGINX_PAGE: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>";
const NGINX_OLD_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body bgcolor=\"white\">\r\n<center><h1>502 Bad Gateway</h1></center>";
const APACHE_PAGE: &str = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n<p>The requested URL was not found";
const APACHE_NEW_PAGE: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n";
const TOMCAT_PAGE: &str = "<!doctype html><html lang=\"en\"><head><title>HTTP Status 404 – Not Found</title><style type=\"text/css\">body {font-family:Tahoma";
const TOMCAT_OLD_PAGE: &str = "<html><head><title>Apache Tomcat/7.0.52 - Error report</title><style>";
const IIS_PAGE: &str = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\r\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\"/>\r\n<title>404 - File or directory not found.</title>";
const HTTP_SYS_PAGE: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">\r\n<HTML><HEAD><TITLE>Bad Request</TITLE>\r\n<META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>";
const LIGHTTPD_PAGE: &str = "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n         \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>404 Not Found</title>";
const HAPROXY_PAGE: &str =
    "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n";

#[derive(Default, Clone, Copy)]
struct Response<'a> {
    server: &'a str,
    via: &'a str,
    page: &'a str,
    order: &'a str,
    host: &'a str,
}

fn exchange(response: Response<'_>) -> Exchange {
    let mut exchange = Exchange { endpoints: Some((CLIENT, SERVER)), status: 404, ..Exchange::default() };
    exchange.server = exchange.store(response.server.as_bytes());
    exchange.via = exchange.store(response.via.as_bytes());
    exchange.body_start = exchange.store(response.page.as_bytes());
    exchange.field_order = order(response.order);
    exchange.host = exchange.store(response.host.as_bytes());
    exchange
}

/// Makes the field order from a comma-separated list of header names.
fn order(names: &str) -> FieldOrder {
    let mut order = FieldOrder::default();
    for name in names.split_terminator(',') {
        order.fields += 1;
        let place = order.fields;
        match name {
            "accept-ranges" => order.accept_ranges = place,
            "connection" => order.connection = place,
            "content-language" => order.content_language = place,
            "content-length" => order.content_length = place,
            "content-type" => order.content_type = place,
            "date" => order.date = place,
            "transfer-encoding" => order.transfer_encoding = place,
            "x-powered-by" => order.x_powered_by = place,
            _ => {}
        }
    }
    order
}

fn told(response: Response<'_>) -> (Dataset, Evidence, bool) {
    let seen = EventBuilder::new(EventSettings::default(), Arc::default()).attribute(&exchange(response)).dataset;
    (seen.dataset, seen.evidence, seen.proxied)
}

#[test]
fn server_headers() {
    for (server, dataset) in [
        ("nginx", Dataset::Nginx),
        ("nginx/1.26.3 (Ubuntu)", Dataset::Nginx),
        ("NGINX", Dataset::Nginx),
        ("openresty/1.21.4.1", Dataset::Nginx),
        ("Apache", Dataset::Apache),
        ("Apache/2.4.62 (Debian)", Dataset::Apache),
        ("Apache-Coyote/1.1", Dataset::Tomcat),
        ("Apache Tomcat/10.1.34", Dataset::Tomcat),
        ("Microsoft-IIS/10.0", Dataset::Iis),
        ("Microsoft-HTTPAPI/2.0", Dataset::Iis),
        ("lighttpd/1.4.76", Dataset::Http),
        ("Werkzeug/3.0 Python/3.12", Dataset::Http),
        ("nginxish", Dataset::Http),
    ] {
        let response = Response { server, ..Response::default() };
        assert_eq!(told(response), (dataset, Evidence::ServerHeader, false), "{server}");
    }
    for server in ["", "cloudflare", "Varnish", "envoy", "ATS/9.2.1", "ApacheTrafficServer/9"] {
        assert_eq!(told(Response { server, ..Response::default() }).0, Dataset::Http, "{server}");
        assert_eq!(told(Response { server, ..Response::default() }).1, Evidence::None, "{server}");
    }
}

#[test]
fn stock_error_pages_without_a_server_header() {
    for (page, dataset) in [
        (NGINX_PAGE, Some(Dataset::Nginx)),
        (NGINX_OLD_PAGE, Some(Dataset::Nginx)),
        (APACHE_PAGE, Some(Dataset::Apache)),
        (APACHE_NEW_PAGE, Some(Dataset::Apache)),
        (TOMCAT_PAGE, Some(Dataset::Tomcat)),
        (TOMCAT_OLD_PAGE, Some(Dataset::Tomcat)),
        (IIS_PAGE, Some(Dataset::Iis)),
        (HTTP_SYS_PAGE, Some(Dataset::Iis)),
        ("<!DOCTYPE html><html><head><title>IIS 10.0 Detailed Error - 404.0 - Not Found</title>", Some(Dataset::Iis)),
        (LIGHTTPD_PAGE, Some(Dataset::Http)),
        (HAPROXY_PAGE, Some(Dataset::Http)),
        ("<html><head><title>My shop</title></head><body><center><h1>Oops", None),
        ("{\"error\":404}", None),
        ("", None),
        ("<title>", None),
        ("<html><title>40", None),
    ] {
        assert_eq!(by_error_page(page.as_bytes()), dataset, "{page}");
        let expected = dataset.map_or(Evidence::None, |_| Evidence::ErrorPage);
        assert_eq!(told(Response { page, ..Response::default() }).1, expected, "{page}");
    }
}

#[test]
fn header_orders_with_server_stripped() {
    const HTML: &str = "text/html";
    const LATIN: &str = "text/html; charset=iso-8859-1";
    for (order, kind, dataset) in [
        ("date,content-type,content-length,connection,etag", "text/plain", Some(Dataset::Nginx)),
        ("date,content-type,transfer-encoding,connection", HTML, Some(Dataset::Nginx)),
        ("date,content-type,content-length", HTML, Some(Dataset::Nginx)),
        ("date,content-type,content-length", "text/html; charset=utf-8", None),
        ("date,content-length,keep-alive,connection,content-type", LATIN, Some(Dataset::Apache)),
        ("date,content-length,content-type", LATIN, Some(Dataset::Apache)),
        ("date,last-modified,etag,accept-ranges,content-length,content-type", HTML, Some(Dataset::Apache)),
        ("content-type,content-language,content-length,date,keep-alive,connection", HTML, Some(Dataset::Tomcat)),
        ("accept-ranges,etag,last-modified,content-type,content-length,date", HTML, Some(Dataset::Tomcat)),
        ("content-type,x-powered-by,date,content-length", HTML, Some(Dataset::Iis)),
        ("cache-control,content-type,date,content-length,connection", HTML, Some(Dataset::Iis)),
        ("cache-control,content-type,date,connection,content-length", "application/json", None),
        // Go's standard library, with and without a type of the handler's choice.
        ("date,content-length,content-type", "text/plain; charset=utf-8", None),
        ("content-type,x-content-type-options,date,content-length", "text/plain; charset=utf-8", None),
        ("x-powered-by,content-type,content-length,etag,date,connection", HTML, None),
        ("content-type,content-length,date", HTML, None),
        ("content-type,content-length", HTML, None),
        ("date", HTML, None),
        ("", HTML, None),
    ] {
        assert_eq!(by_header_order(self::order(order), kind.as_bytes()), dataset, "{order}");
    }
}

#[test]
fn a_proxy_in_front_is_told_from_the_server_behind() {
    let nginx_before_tomcat = Response { server: "nginx", page: TOMCAT_PAGE, ..Response::default() };
    assert_eq!(told(nginx_before_tomcat), (Dataset::Tomcat, Evidence::ErrorPage, true));
    let varnish_before_apache = Response { server: "Apache/2.4", via: "1.1 varnish", ..Response::default() };
    assert_eq!(told(varnish_before_apache), (Dataset::Apache, Evidence::ServerHeader, true));
    let cloudflare_before_nginx = Response { server: "cloudflare", page: NGINX_PAGE, ..Response::default() };
    assert_eq!(told(cloudflare_before_nginx), (Dataset::Nginx, Evidence::ErrorPage, true));
    let haproxy_itself = Response { page: HAPROXY_PAGE, ..Response::default() };
    assert_eq!(told(haproxy_itself), (Dataset::Http, Evidence::ErrorPage, false));
    let renamed = Response { server: "secret", page: APACHE_PAGE, ..Response::default() };
    assert_eq!(told(renamed), (Dataset::Apache, Evidence::ErrorPage, true));
}

#[test]
fn an_endpoint_is_remembered_by_its_strongest_evidence() {
    let mut builder = EventBuilder::new(EventSettings::default(), Arc::default());
    let silent = exchange(Response::default());
    learn(
        &mut builder,
        &exchange(Response { order: "date,content-type,content-length,connection", ..Response::default() }),
    );
    let seen = builder.attribute(&silent).dataset;
    assert_eq!((seen.dataset, seen.evidence, seen.learned), (Dataset::Nginx, Evidence::HeaderOrder, true));

    learn(&mut builder, &exchange(Response { page: APACHE_PAGE, ..Response::default() }));
    assert_eq!(builder.attribute(&silent).dataset.dataset, Dataset::Apache);

    learn(&mut builder, &exchange(Response { server: "Apache-Coyote/1.1", ..Response::default() }));
    learn(&mut builder, &exchange(Response { page: APACHE_PAGE, ..Response::default() }));
    assert_eq!(builder.attribute(&silent).dataset.dataset, Dataset::Tomcat);

    let ordered = exchange(Response { order: "date,content-type,content-length,connection", ..Response::default() });
    assert_eq!(builder.attribute(&ordered).dataset.dataset, Dataset::Tomcat, "a guess yields to what was said");

    let mut elsewhere = silent.clone();
    elsewhere.endpoints = Some((CLIENT, Endpoint::new(SERVER.address, 8080)));
    assert_eq!(builder.attribute(&elsewhere).dataset.dataset, Dataset::Http);
}

#[test]
fn the_table_of_endpoints_is_bounded_and_says_so() {
    let mut builder = EventBuilder::new(EventSettings { max_endpoints: 2, ..EventSettings::default() }, Arc::default());
    for port in 1..=5 {
        let mut seen = exchange(Response { server: "nginx", ..Response::default() });
        seen.endpoints = Some((CLIENT, Endpoint::new(SERVER.address, port)));
        learn(&mut builder, &seen);
        learn(&mut builder, &seen);
    }
    assert_eq!(builder.counters().endpoints_unlearned, 6);
}

#[test]
fn configuration_overrides_by_address_network_port_and_host() {
    let rule = |network: Option<&str>, port, host: Option<&str>, dataset| DatasetRule {
        network: network.map(|text| text.parse().unwrap()),
        port,
        host: host.map(str::to_owned),
        dataset,
    };
    let mut builder = EventBuilder::new(
        EventSettings {
            dataset_rules: vec![
                rule(None, None, Some("shop.example"), Dataset::Tomcat),
                rule(Some("198.51.100.1/32"), Some(8080), None, Dataset::Iis),
                rule(Some("198.51.100.0/24"), None, None, Dataset::Apache),
            ],
            ..EventSettings::default()
        },
        Arc::default(),
    );
    let mut decide = |address: [u8; 4], port, host| {
        let mut exchange = exchange(Response { server: "nginx", host, ..Response::default() });
        exchange.endpoints = Some((CLIENT, Endpoint::new(Address::v4(address), port)));
        let seen = builder.attribute(&exchange).dataset;
        (seen.dataset, seen.evidence)
    };
    assert_eq!(decide([198, 51, 100, 1], 80, "Shop.Example:80"), (Dataset::Tomcat, Evidence::Configuration));
    assert_eq!(decide([198, 51, 100, 1], 8080, "a"), (Dataset::Iis, Evidence::Configuration));
    assert_eq!(decide([198, 51, 100, 2], 8080, "a"), (Dataset::Apache, Evidence::Configuration));
    assert_eq!(decide([203, 0, 113, 1], 8080, "a"), (Dataset::Nginx, Evidence::ServerHeader));
}

#[test]
fn hosts_lose_their_port_only() {
    for (host, name) in [
        ("www.example:8080", "www.example"),
        ("www.example", "www.example"),
        ("[2001:db8::1]:80", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("2001:db8::1", "2001:db8::1"),
        ("a:b", "a:b"),
        ("", ""),
        (":", ""),
    ] {
        assert_eq!(host_without_port(host.as_bytes()), name.as_bytes(), "{host}");
    }
}
