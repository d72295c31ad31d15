//! Annotations in the document of an alert.
//!
//! In: [`Annotations`]. Out: members of `source` and of `wirespike.alert`. Promises: absent annotations are left out.

use super::json::{Json, key};
use crate::enrich::Annotations;

/// Writes `as` and `geo`, the network and the place of the client.
pub(super) fn write_source(json: &mut Json<'_>, annotations: &Annotations) {
    if annotations.as_number.is_some() || annotations.as_organization.is_some() {
        let network = json.open(key!("as"));
        if let Some(number) = annotations.as_number {
            json.number(key!("number"), number.into());
        }
        if let Some(name) = &annotations.as_organization {
            let organization = json.open(key!("organization"));
            json.text(key!("name"), name);
            json.close(organization);
        }
        json.close(network);
    }
    if annotations.country.is_some() || annotations.city.is_some() {
        let place = json.open(key!("geo"));
        if let Some(code) = &annotations.country {
            json.text(key!("country_iso_code"), code);
        }
        if let Some(name) = &annotations.city {
            json.text(key!("city_name"), name);
        }
        json.close(place);
    }
}

/// Writes `labels` and `sightings`.
pub(super) fn write_members(json: &mut Json<'_>, annotations: &Annotations) {
    if !annotations.labels.is_empty() {
        json.open_array(key!("labels"));
        annotations.labels.iter().for_each(|label| json.element_text(label));
        json.close_array();
    }
    if let Some(sighting) = annotations.sightings {
        let sightings = json.open(key!("sightings"));
        json.time(key!("first_alert"), sighting.first_alert);
        json.time(key!("last_alert"), sighting.last_alert);
        json.number(key!("alerts"), sighting.alerts);
        json.close(sightings);
    }
}
