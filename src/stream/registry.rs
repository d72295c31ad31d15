//! The list of parsers.
//!
//! In: the parsers named in the list. Out: [`Reader`], which names the parser of a side, and functions that call this
//! parser. Promises: static dispatch. A further protocol needs only one line here, and costs nothing on connections that
//! speak HTTP/1.
//!
//! HTTP/1 is not in the list: it reads every side that no other parser recognises, and every [`Stream`](super::Stream)
//! contains its state.

use super::{End, GapKind, Held, Parser, Probe, context::ParserContext, http2, settings::StreamSettings, tls};
use crate::{exchange::ExchangeSink, tcp::Direction, time::Timestamp};

macro_rules! parsers {
    ($($(#[$attribute:meta])* $variant:ident => $field:ident: $parser:ty;)*) => {
        /// Which parser reads a side.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub(super) enum Reader {
            /// No parser yet: no bytes have come, or the first bytes do not show the protocol.
            #[default]
            Undecided,
            /// HTTP/1.
            Http1,
            $($(#[$attribute])* #[doc = concat!("The parser `", stringify!($parser), "`.")] $variant,)*
            /// No parser any more: the bytes are encrypted or of another protocol.
            Opaque,
        }

        /// The state of each parser that reads a side or has read one.
        #[derive(Debug, Default)]
        pub(super) struct States {
            $($(#[$attribute])* $field: Option<Box<$parser>>,)*
        }

        /// Probes a side's first bytes with each parser in the order of the list. HTTP/1 is the answer if all of them
        /// refuse.
        #[inline]
        pub(super) fn probe(bytes: &[u8]) -> Probed {
            let mut is_undecided = false;
            $($(#[$attribute])* match <$parser>::probe(bytes) {
                Probe::Certain => return Probed::Known(Reader::$variant),
                Probe::Undecided => is_undecided = true,
                Probe::Other => {}
            })*
            if is_undecided { Probed::Undecided } else { Probed::Known(Reader::Http1) }
        }

        /// Makes a parser the reader of the current side, and creates the parser's state.
        pub(super) fn begin<K: ExchangeSink>(reader: Reader, around: &mut ParserContext<'_, K>) {
            around.sides[around.direction() as usize].reader = reader;
            match reader {
                $($(#[$attribute])* Reader::$variant => {
                    if around.rare.as_ref().is_none_or(|rare| rare.states.$field.is_none()) {
                        let parser = <$parser>::begin(around);
                        around.rare_mut().states.$field = Some(Box::new(parser));
                    }
                })*
                Reader::Undecided | Reader::Http1 | Reader::Opaque => {}
            }
        }

        /// Gives a side's next bytes to its parser. Returns how many bytes the parser read.
        pub(super) fn bytes<K: ExchangeSink>(around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize {
            match around.reader(around.direction()) {
                $($(#[$attribute])* Reader::$variant => {
                    let Some(mut parser) = around.rare.as_mut().and_then(|rare| rare.states.$field.take()) else {
                        around.sides[around.direction() as usize].reader = Reader::Opaque;
                        return 0;
                    };
                    let taken = parser.bytes(around, bytes, at);
                    around.rare_mut().states.$field = Some(parser).filter(|parser| !parser.is_over());
                    taken
                })*
                Reader::Undecided | Reader::Http1 | Reader::Opaque => bytes.len(),
            }
        }

        /// Tells a side's parser that bytes are missing.
        pub(super) fn gap<K: ExchangeSink>(around: &mut ParserContext<'_, K>, length: u64, kind: GapKind) {
            match around.reader(around.direction()) {
                $($(#[$attribute])* Reader::$variant => {
                    if let Some(mut parser) = around.rare.as_mut().and_then(|rare| rare.states.$field.take()) {
                        parser.gap(around, length, kind);
                        around.rare_mut().states.$field = Some(parser).filter(|parser| !parser.is_over());
                    }
                })*
                Reader::Undecided | Reader::Http1 | Reader::Opaque => {}
            }
        }

        /// Tells every parser of a connection that a side or the whole flow has ended.
        pub(super) fn end<K: ExchangeSink>(around: &mut ParserContext<'_, K>, end: End) {
            $($(#[$attribute])* if let Some(mut parser) =
                around.rare.as_mut().and_then(|rare| rare.states.$field.take())
            {
                parser.end(around, end);
                around.rare_mut().states.$field = Some(parser).filter(|parser| !parser.is_over());
            })*
        }

        /// Tells every parser of a connection whose deadline has passed.
        pub(super) fn time<K: ExchangeSink>(around: &mut ParserContext<'_, K>) {
            $($(#[$attribute])* if let Some(mut parser) =
                around.rare.as_mut().and_then(|rare| rare.states.$field.take())
            {
                if parser.deadline(&around.shared.settings).is_some_and(|deadline| deadline < around.now().time) {
                    parser.time(around);
                }
                around.rare_mut().states.$field = Some(parser).filter(|parser| !parser.is_over());
            })*
        }

        /// Drops every parser of a connection that HTTP/1 takes over.
        pub(super) fn abandon<K: ExchangeSink>(around: &mut ParserContext<'_, K>) {
            $($(#[$attribute])* if let Some(mut parser) =
                around.rare.as_mut().and_then(|rare| rare.states.$field.take())
            {
                parser.abandon(around);
            })*
        }

        /// Lets every parser of a connection finish its exchanges in flight.
        pub(super) fn let_go<K: ExchangeSink>(around: &mut ParserContext<'_, K>) {
            $($(#[$attribute])* if let Some(mut parser) =
                around.rare.as_mut().and_then(|rare| rare.states.$field.take())
            {
                parser.let_go(around);
                around.rare_mut().states.$field = Some(parser);
            })*
        }

        impl States {
            /// Returns what the exchanges in flight of all parsers hold.
            pub(super) fn held(&self) -> Option<Held> {
                let held = [$($(#[$attribute])* self.$field.as_ref().and_then(|parser| parser.held()),)*];
                held.into_iter().flatten().reduce(Held::and)
            }

            /// Returns whether a parser waits for something that does not come with the connection's packets.
            pub(super) fn outlive_flow(&self) -> bool {
                $($(#[$attribute])* if self.$field.as_ref().is_some_and(|parser| parser.outlives_flow()) {
                    return true;
                })*
                false
            }

            /// Returns whether no parser has a state.
            pub(super) fn is_empty(&self) -> bool {
                [$($(#[$attribute])* self.$field.is_none(),)*].into_iter().all(|is_none| is_none)
            }

            /// Returns the earliest deadline of all parsers.
            pub(super) fn deadline(&self, settings: &StreamSettings) -> Option<Timestamp> {
                let deadlines =
                    [$($(#[$attribute])* self.$field.as_ref().and_then(|parser| parser.deadline(settings)),)*];
                deadlines.into_iter().flatten().min()
            }

            /// Returns how many of a side's next bytes its parser will not read.
            pub(super) fn unneeded(&self, reader: Reader, direction: Direction) -> u64 {
                match reader {
                    $($(#[$attribute])* Reader::$variant => {
                        self.$field.as_ref().map_or(0, |parser| parser.unneeded(direction))
                    })*
                    Reader::Undecided | Reader::Http1 | Reader::Opaque => 0,
                }
            }
        }
    };
}

impl States {
    /// Returns whether a side was found to speak TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns whether a side was found to speak HTTP/2.
    pub(super) fn has_http2(&self) -> bool {
        self.http2.is_some()
    }

    /// Returns whether the server has changed to HTTP/2 by its 101.
    pub(super) fn is_upgraded_to_http2(&self) -> bool {
        self.http2.as_ref().is_some_and(|http2| http2.is_upgraded())
    }

    /// Takes the state of HTTP/2 in place of the one that may be there.
    pub(super) fn set_http2(&mut self, http2: http2::Http2) {
        self.http2 = Some(Box::new(http2));
    }
}

/// The result of probing the first bytes of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probed {
    /// The parser that reads the side.
    Known(Reader),
    /// The bytes do not show the protocol yet; more bytes are needed.
    Undecided,
}

parsers! {
    Tls => tls: tls::Tls;
    Http2 => http2: http2::Http2;
    #[cfg(test)]
    Lines => lines: super::lines::Lines;
}
