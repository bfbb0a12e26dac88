//! Offers and answers. Source: RFC 7692, section 7.1; `spec/websocket.md` 10.2.

use super::{Deflate, Direction, MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use crate::handshake::Extension;

/// The extension's name.
const NAME: &str = "permessage-deflate";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// What is wanted of compression. Source: `spec/websocket.md` 10.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateOptions {
    /// Ask the peer to begin every message with an empty window. Default false.
    pub request_no_context_takeover: bool,
    /// Ask the peer to keep to a window of so many bits, 8 to 15, where 15 asks for nothing. Default 15.
    pub request_max_window_bits: u8,
    /// Begin every message of ours with an empty window. Default false.
    pub no_context_takeover: bool,
    /// Our own window in bits, up to 15; less than 9 means 9, which is the least that can be kept to. Default 15.
    pub max_window_bits: u8,
    /// Memory spent on finding repetitions and collecting symbols, 1 to 9. Default 8.
    pub memory_level: u8,
    /// Effort, 0 (none) to 9. Default 6.
    pub level: u8,
    /// Messages under so many bytes are sent as they are. Default 0.
    pub min_bytes: usize,
    /// Bytes that a message of the peer may inflate to, 0 for no other limit than
    /// [`Limits::max_message_bytes`](crate::Limits::max_message_bytes). Default 0.
    pub max_inflated_bytes: usize,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self {
            request_no_context_takeover: false,
            request_max_window_bits: MAX_WINDOW_BITS,
            no_context_takeover: false,
            max_window_bits: MAX_WINDOW_BITS,
            memory_level: 8,
            level: 6,
            min_bytes: 0,
            max_inflated_bytes: 0,
        }
    }
}

/// A server's answer to our offer that cannot be agreed to; the connection has to be failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeflateError {
    /// The same extension twice.
    #[error("the server's answer agrees on permessage-deflate more than once")]
    Repeated,
    /// A parameter that is unknown, repeated, has a value it cannot have, or was not offered.
    #[error("the server's answer to permessage-deflate has the invalid parameter `{name}`")]
    Parameter {
        /// Its name.
        name: String,
    },
}

/// The parameters of an offer or an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Params {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// `Some(None)` is a parameter without a value, which only an offer may have.
    client_bits: Option<Option<u8>>,
}

impl Params {
    /// Reads them; the error is the first that breaks the rules.
    fn read(extension: &Extension) -> Result<Self, &str> {
        let mut read = Self::default();
        for (name, value) in &extension.params {
            let is_new = match (name.as_str(), value.as_deref()) {
                (SERVER_NO_TAKEOVER, None) => !std::mem::replace(&mut read.server_no_takeover, true),
                (CLIENT_NO_TAKEOVER, None) => !std::mem::replace(&mut read.client_no_takeover, true),
                (SERVER_BITS, Some(bits)) => match window_bits(bits) {
                    Some(bits) => read.server_bits.replace(bits).is_none(),
                    None => false,
                },
                (CLIENT_BITS, None) => read.client_bits.replace(None).is_none(),
                (CLIENT_BITS, Some(bits)) => match window_bits(bits) {
                    Some(bits) => read.client_bits.replace(Some(bits)).is_none(),
                    None => false,
                },
                _ => false,
            };
            if !is_new {
                return Err(name);
            }
        }
        Ok(read)
    }

    fn write(self) -> Extension {
        let mut params = Vec::new();
        let mut push = |name: &str, value: Option<u8>| {
            params.push((name.to_owned(), value.map(|value| value.to_string())));
        };
        if self.server_no_takeover {
            push(SERVER_NO_TAKEOVER, None);
        }
        if self.client_no_takeover {
            push(CLIENT_NO_TAKEOVER, None);
        }
        if let Some(bits) = self.server_bits {
            push(SERVER_BITS, Some(bits));
        }
        if let Some(bits) = self.client_bits {
            push(CLIENT_BITS, bits);
        }
        Extension { name: NAME.to_owned(), params }
    }
}

/// 8 to 15, in decimal without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let bits = text.parse().ok().filter(|bits| (8..=MAX_WINDOW_BITS).contains(bits))?;
    (text == bits.to_string()).then_some(bits)
}

/// A limit that is worth writing down: 15 bits are the largest window there is.
fn limit(bits: u8) -> Option<u8> {
    (bits < MAX_WINDOW_BITS).then_some(bits)
}

impl DeflateOptions {
    /// What a client offers.
    pub fn offer(&self) -> Extension {
        let params = Params {
            server_no_takeover: self.request_no_context_takeover,
            client_no_takeover: self.no_context_takeover,
            server_bits: limit(self.request_max_window_bits),
            client_bits: Some(limit(self.own_bits())),
        };
        params.write()
    }

    /// What a server answers to the first of `offers` that it can take, and what holds then; `None` if there is no such.
    pub fn answer(&self, offers: &[Extension]) -> Option<(Extension, Deflate)> {
        let offers = offers.iter().filter(|offer| offer.name == NAME);
        offers.filter_map(|offer| self.answer_one(Params::read(offer).ok()?)).next()
    }

    fn answer_one(&self, offer: Params) -> Option<(Extension, Deflate)> {
        let own_bits = offer.server_bits.unwrap_or(MAX_WINDOW_BITS).min(self.own_bits());
        if own_bits < MIN_WINDOW_BITS {
            return None;
        }
        // Without a word of the client on this it would not know what to do with ours.
        let their_bits = offer.client_bits.and_then(|offered| {
            let wanted = limit(self.request_max_window_bits)?;
            Some(wanted.min(offered.unwrap_or(MAX_WINDOW_BITS)))
        });
        let answer = Params {
            server_no_takeover: offer.server_no_takeover || self.no_context_takeover,
            client_no_takeover: self.request_no_context_takeover,
            server_bits: offer.server_bits.map(|_| own_bits).or(limit(own_bits)),
            client_bits: their_bits.map(Some),
        };
        let ours = Direction { window_bits: own_bits, takeover: !answer.server_no_takeover };
        let theirs = Direction {
            window_bits: their_bits.unwrap_or(MAX_WINDOW_BITS),
            takeover: !answer.client_no_takeover,
        };
        Some((answer.write(), self.agreed(ours, theirs)))
    }

    /// What holds for a client that has made the [`offer`](Self::offer) and was answered `answers`; `None` if the server
    /// does not compress.
    ///
    /// # Errors
    /// The server agreed to what was not offered.
    pub fn agree(&self, answers: &[Extension]) -> Result<Option<Deflate>, DeflateError> {
        let mut answers = answers.iter().filter(|answer| answer.name == NAME);
        let Some(answer) = answers.next() else { return Ok(None) };
        if answers.next().is_some() {
            return Err(DeflateError::Repeated);
        }
        let invalid = |name: &str| DeflateError::Parameter { name: name.to_owned() };
        let answer = Params::read(answer).map_err(invalid)?;
        let own_limit = self.own_bits();
        let own_bits = match answer.client_bits {
            None => own_limit,
            Some(Some(bits)) if (MIN_WINDOW_BITS..=own_limit).contains(&bits) => bits,
            Some(_) => return Err(invalid(CLIENT_BITS)),
        };
        let their_bits = answer.server_bits.unwrap_or(MAX_WINDOW_BITS);
        if answer.server_bits.is_some_and(|bits| bits > self.request_max_window_bits) {
            return Err(invalid(SERVER_BITS));
        }
        let ours = Direction {
            window_bits: own_bits,
            takeover: !(answer.client_no_takeover || self.no_context_takeover),
        };
        let theirs = Direction { window_bits: their_bits, takeover: !answer.server_no_takeover };
        Ok(Some(self.agreed(ours, theirs)))
    }

    fn own_bits(&self) -> u8 {
        self.max_window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)
    }

    fn agreed(&self, ours: Direction, theirs: Direction) -> Deflate {
        let Self { level, memory_level, min_bytes, max_inflated_bytes, .. } = *self;
        Deflate { ours, theirs, level, memory_level, min_bytes, max_inflated_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a; b=1, c` as a header would have it.
    fn extensions(text: &str) -> Vec<Extension> {
        let one = |text: &str| {
            let mut parts = text.split(';').map(str::trim);
            let name = parts.next().unwrap().to_owned();
            let params = parts.map(|part| match part.split_once('=') {
                None => (part.to_owned(), None),
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            });
            Extension { name, params: params.collect() }
        };
        text.split(',').filter(|text| !text.is_empty()).map(|text| one(text.trim())).collect()
    }

    /// The header that holds `text` with the names of parameters cut short.
    fn long(text: &str) -> String {
        text.replace("pmd", NAME)
            .replace("snct", SERVER_NO_TAKEOVER)
            .replace("cnct", CLIENT_NO_TAKEOVER)
            .replace("smwb", SERVER_BITS)
            .replace("cmwb", CLIENT_BITS)
    }

    fn options(change: impl FnOnce(&mut DeflateOptions)) -> DeflateOptions {
        let mut options = DeflateOptions::default();
        change(&mut options);
        options
    }

    /// Our bits and takeover, then the peer's.
    fn agreed(deflate: Deflate) -> (u8, bool, u8, bool) {
        let Deflate { ours, theirs, .. } = deflate;
        (ours.window_bits, ours.takeover, theirs.window_bits, theirs.takeover)
    }

    #[test]
    fn a_client_offers_what_is_wanted() {
        let cases = [
            (options(|_| {}), "pmd; cmwb"),
            (options(|o| o.request_no_context_takeover = true), "pmd; snct; cmwb"),
            (options(|o| o.no_context_takeover = true), "pmd; cnct; cmwb"),
            (options(|o| o.request_max_window_bits = 8), "pmd; smwb=8; cmwb"),
            (options(|o| o.max_window_bits = 11), "pmd; cmwb=11"),
            // Eight bits cannot be kept to, so they are not offered.
            (options(|o| o.max_window_bits = 8), "pmd; cmwb=9"),
        ];
        for (options, offer) in cases {
            assert_eq!(options.offer().to_string(), long(offer));
        }
    }

    #[test]
    fn a_server_answers_the_first_offer_that_it_can_take() {
        let plain = options(|_| {});
        let small = options(|o| {
            (o.max_window_bits, o.request_max_window_bits) = (11, 10);
        });
        let fresh = options(|o| {
            (o.no_context_takeover, o.request_no_context_takeover) = (true, true);
        });
        let cases = [
            (plain, "pmd", "pmd", (15, true, 15, true)),
            (plain, "other, pmd; cmwb", "pmd", (15, true, 15, true)),
            (plain, "pmd; cmwb=10", "pmd", (15, true, 15, true)),
            (plain, "pmd; snct", "pmd; snct", (15, false, 15, true)),
            // A hint, which need not be answered.
            (plain, "pmd; cnct", "pmd", (15, true, 15, true)),
            (plain, "pmd; smwb=15", "pmd; smwb=15", (15, true, 15, true)),
            (plain, "pmd; smwb=9", "pmd; smwb=9", (9, true, 15, true)),
            (plain, "pmd; smwb=8, pmd; smwb=12, pmd", "pmd; smwb=12", (12, true, 15, true)),
            (plain, "pmd; smwb=8, pmd", "pmd", (15, true, 15, true)),
            (plain, "pmd; x, pmd; snct; snct, pmd; snct=1, pmd; cmwb", "pmd", (15, true, 15, true)),
            (small, "pmd", "pmd; smwb=11", (11, true, 15, true)),
            (small, "pmd; smwb=9; cmwb", "pmd; smwb=9; cmwb=10", (9, true, 10, true)),
            (small, "pmd; smwb=14; cmwb=8", "pmd; smwb=11; cmwb=8", (11, true, 8, true)),
            (small, "pmd; cmwb=15", "pmd; smwb=11; cmwb=10", (11, true, 10, true)),
            (fresh, "pmd", "pmd; snct; cnct", (15, false, 15, false)),
            (options(|o| o.request_max_window_bits = 8), "pmd; cmwb", "pmd; cmwb=8", (15, true, 8, true)),
            (options(|o| o.max_window_bits = 8), "pmd", "pmd; smwb=9", (9, true, 15, true)),
        ];
        for (options, offers, answer, holds) in cases {
            let (written, deflate) = options.answer(&extensions(&long(offers))).unwrap();
            assert_eq!((written.to_string(), agreed(deflate)), (long(answer), holds), "{offers}");
        }
    }

    /// Parameters that neither an offer nor an answer may have.
    const BAD: [&str; 15] = [
        "x",
        "snct=1",
        "cnct=0",
        "snct; snct",
        "cnct; cnct",
        "smwb",
        "smwb=7",
        "smwb=16",
        "smwb=08",
        "smwb=+9",
        "smwb=9; smwb=9",
        "cmwb=7",
        "cmwb=16",
        "cmwb=010",
        "cmwb=9; cmwb=9",
    ];

    #[test]
    fn a_server_declines_what_it_cannot_take() {
        let options = options(|_| {});
        for bad in BAD.into_iter().chain(["cmwb; cmwb", "SNCT", "smwb=8"]) {
            assert_eq!(options.answer(&extensions(&long(&format!("pmd; {bad}")))), None, "{bad}");
        }
        assert_eq!(options.answer(&[]), None);
        assert_eq!(options.answer(&extensions("permessage-bzip2")), None);
    }

    #[test]
    fn a_client_takes_answers_to_what_it_has_offered() {
        let plain = options(|_| {});
        let small = options(|o| {
            (o.max_window_bits, o.request_max_window_bits) = (11, 10);
        });
        let cases = [
            (plain, "pmd", (15, true, 15, true)),
            (plain, "pmd; snct; cnct", (15, false, 15, false)),
            (plain, "pmd; smwb=8; cmwb=9", (9, true, 8, true)),
            (small, "pmd; smwb=10", (11, true, 10, true)),
            (small, "pmd; smwb=9; cmwb=11", (11, true, 9, true)),
            (options(|o| o.no_context_takeover = true), "pmd", (15, false, 15, true)),
        ];
        for (options, answer, holds) in cases {
            let deflate = options.agree(&extensions(&long(answer))).unwrap().unwrap();
            assert_eq!(agreed(deflate), holds, "{answer}");
        }
        assert_eq!(plain.agree(&[]), Ok(None));
        let more_than_asked_for = ["smwb=11", "cmwb=12", "cmwb=8", "cmwb"];
        for bad in BAD.into_iter().chain(more_than_asked_for) {
            let failed = small.agree(&extensions(&long(&format!("pmd; {bad}"))));
            let name = long(bad.split([';', '=']).next().unwrap());
            assert_eq!(failed, Err(DeflateError::Parameter { name }), "{bad}");
        }
        assert_eq!(plain.agree(&extensions(&long("pmd, pmd"))), Err(DeflateError::Repeated));
    }

    #[test]
    fn both_sides_come_to_the_same() {
        let every = || {
            let flags = [(false, false), (false, true), (true, false), (true, true)];
            flags.into_iter().flat_map(|(ours, theirs)| {
                (8..=15).flat_map(move |own_bits| {
                    (8..=15).map(move |their_bits| DeflateOptions {
                        no_context_takeover: ours,
                        request_no_context_takeover: theirs,
                        max_window_bits: own_bits,
                        request_max_window_bits: their_bits,
                        ..DeflateOptions::default()
                    })
                })
            })
        };
        for client in every() {
            for server in every() {
                let Some((answer, at_server)) = server.answer(&[client.offer()]) else {
                    assert_eq!(client.request_max_window_bits, 8);
                    continue;
                };
                let at_client = client.agree(&[answer]);
                if server.request_max_window_bits == 8 {
                    assert!(at_client.is_err(), "a client cannot keep to eight bits");
                    continue;
                }
                let at_client = at_client.unwrap().unwrap();
                assert_eq!(at_server.ours, at_client.theirs);
                // A client may do more than was agreed, which is what it has hinted at.
                assert!(at_server.theirs.window_bits >= at_client.ours.window_bits);
                assert!(at_server.theirs.takeover >= at_client.ours.takeover);
            }
        }
    }
}
