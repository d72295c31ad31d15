//! `[[server]]`: what is known of a server. All conditions that are given must hold.

use crate::settings::{
    key::{Category::Sensor, Key, field},
    server::Server,
};

/// The name of the section; the whole list is also a key for `--set`.
pub(in crate::settings) const SECTION: &str = "server";

pub(in crate::settings) const KEYS: &[Key<Server>] = &[
    Key {
        example: r#""203.0.113.80""#,
        ..Key::new("server.network", Sensor, "The server's address, or a network of servers", field!(Server, network))
    },
    Key { example: "8080", ..Key::new("server.port", Sensor, "The server's port", field!(Server, port)) },
    Key {
        example: r#""www.example.com""#,
        ..Key::new("server.host", Sensor, "The host that the request names, without port", field!(Server, host))
    },
    Key {
        long: "nginx, apache, apache_tomcat, iis or http. Without it the sensor learns it from the server's answers.",
        example: r#""nginx""#,
        ..Key::new("server.dataset", Sensor, "Whose error log it would be: event.dataset", field!(Server, dataset))
    },
    Key {
        long: "Needs network to be a single address.",
        example: r#""www1""#,
        ..Key::new("server.name", Sensor, "The server's name: host.name in all output", field!(Server, name))
    },
];
