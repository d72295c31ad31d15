//! `[sensor]`: who this sensor is.

use crate::settings::{
    Settings,
    key::{Category::Sensor, Flag, Key, site},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("sensor-id"),
        value_name: "ID",
        long: "Alerts are counted by client and sensor: give each sensor a name of its own.",
        example: r#""dmz-1""#,
        ..Key::new("sensor.id", Sensor, "Name of this sensor, agent.id in all output", site!(sensor_id))
    },
    Key {
        flag: Flag::value("namespace"),
        value_name: "NAME",
        long: "The last part of the data stream's name in Elasticsearch: small letters, no blanks, no '-', at most 100 bytes.",
        example: r#""production""#,
        ..Key::new("sensor.namespace", Sensor, "data_stream.namespace in all output", site!(namespace))
    },
];
