//! Parts of documents that are the same in many.
//!
//! In: what decides such a part. Out: the part as JSON, written once and copied from then on. Promises: what is kept is
//! bounded; the documents are the same as if each part were written anew. Documents by the million are mostly these parts.

use super::{
    ecs::write_endpoint,
    json::{Json, key},
};
use crate::{
    address::Endpoint,
    event::{Dataset, Reason, Site},
};

/// What decides the constant part of `event`, and `data_stream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) dataset: Dataset,
    pub(super) reason: Option<Reason>,
    pub(super) outcome: &'static str,
    pub(super) category: &'static str,
}

/// `event` without its end, and `data_stream`.
#[derive(Debug)]
pub(super) struct KindText {
    kind: Kind,
    pub(super) event: Vec<u8>,
    pub(super) stream: Vec<u8>,
}

/// `host` and `destination` of a server.
#[derive(Debug)]
pub(super) struct ServerText {
    server: Endpoint,
    pub(super) host: Vec<u8>,
    pub(super) destination: Vec<u8>,
}

/// The parts known so far.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    kinds: Vec<KindText>,
    server: Option<ServerText>,
}

/// What `write` puts into an object, without the brace that opens it.
pub(super) fn members(write: impl FnOnce(&mut Json<'_>)) -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut Json::object(&mut text));
    text.remove(0);
    text
}

impl Fragments {
    /// The parts that a kind of document has. There are no more than some dozen kinds.
    pub(super) fn kind(&mut self, kind: Kind, site: &Site) -> &KindText {
        let index = self.kinds.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            self.kinds.push(KindText::new(kind, site));
            self.kinds.len() - 1
        });
        &self.kinds[index]
    }

    /// The parts that tell the server; those of the last server are kept.
    pub(super) fn server(&mut self, server: Endpoint, site: &Site) -> &ServerText {
        if self.server.as_ref().is_some_and(|known| known.server != server) {
            self.server = None;
        }
        self.server.get_or_insert_with(|| ServerText::new(server, site))
    }
}

impl KindText {
    fn new(kind: Kind, site: &Site) -> Self {
        let Kind { dataset, reason, outcome, category } = kind;
        let name = if reason.is_some() { dataset.name() } else { dataset.access_name() };
        let event = members(|json| {
            json.open(key!("event"));
            json.name(key!("kind"), "event");
            for (member, value) in
                [(key!("category"), category), (key!("type"), if reason.is_some() { "error" } else { "access" })]
            {
                json.open_array(member);
                json.element_text(value);
                json.close_array();
            }
            json.name(key!("outcome"), outcome);
            if let Some(reason) = reason {
                json.name(key!("reason"), reason.name());
            }
            json.name(key!("dataset"), name);
            if let Some((module, _)) = name.split_once('.') {
                json.name(key!("module"), module);
            }
        });
        let stream = members(|json| {
            let stream = json.open(key!("data_stream"));
            json.name(key!("type"), "logs");
            json.name(key!("dataset"), name);
            json.text(key!("namespace"), &site.namespace);
            json.close(stream);
        });
        Self { kind, event, stream }
    }
}

impl ServerText {
    fn new(server: Endpoint, site: &Site) -> Self {
        let host = members(|json| {
            let host = json.open(key!("host"));
            match site.server_name(server.address) {
                Some(name) => json.text(key!("name"), name),
                None => json.address(key!("name"), server.address),
            }
            json.close(host);
        });
        let destination = members(|json| write_endpoint(json, key!("destination"), server));
        Self { server, host, destination }
    }
}
