//! WebSockets (`spec/websocket.md`): what server and client have in common.
//!
//! [`server`] and [`client`] are the kinds, each from its settings to a connection behind its 101. What they share, in the order
//! in which it matters:
//!
//! * Settings: [`fields`] lists them for the reference, [`options`] reads those that have two places, [`compression`] one of
//!   them, and [`foreign`] knows what others call them.
//! * Handshakes: [`guards`] decide who is let in and until when, [`exposed`] what events tell of it, and [`http2`] makes a byte
//!   stream of a stream of HTTP/2.
//! * Open connections: [`protocol`] puts frames around messages, [`pace`] lives by the clock, [`schema`] looks at what
//!   messages are like, and [`metrics`] counts.
//! * [`http`] gets documents for guards and schemas: keys, and schemas of registries.

pub(crate) mod client;
mod compression;
mod exposed;
mod fields;
mod foreign;
mod guards;
mod http;
mod http2;
mod metrics;
mod options;
mod pace;
mod places;
mod protocol;
mod schema;
pub(crate) mod server;
#[cfg(test)]
mod testing;

pub use fields::{CONDITIONS, GUARDS};
pub use metrics::{COMMON_TAGS, ROWS, Row};
use tokio::io::{AsyncRead, AsyncReadExt};
use tremor_connector::config::{ConfigError, Entry, OneOrMany, Reader};
use tremor_value::{Record, Value};
use tremor_ws::{Extension, ExtraHeaders, HeaderError};

/// Bytes of a handshake that are read at once.
const HANDSHAKE_READ_BYTES: usize = 1024;

/// Metadata of a connection's events, under the kind's name. All events of a sort share theirs.
struct Metadata {
    kind: &'static str,
    /// Of text messages.
    text: Value,
    /// Of binary messages, once there was one: most connections never have any.
    binary: Option<Value>,
}

impl Metadata {
    fn new(kind: &'static str, mut of_connection: Record) -> Self {
        of_connection.shrink_to_fit();
        let text = Record::from_iter([(kind, Value::from(of_connection))]).into();
        Self { kind, text, binary: None }
    }

    /// The same beside what is said under the kind's name.
    fn add(&mut self, kind: &'static str, value: Value) {
        if let Some(members) = self.text.as_record_mut() {
            members.insert(kind, value);
        }
    }

    /// Of text messages.
    fn text(&self) -> Value {
        self.text.clone()
    }

    /// Id of the connection.
    fn conn(&self) -> Value {
        self.text
            .get(self.kind)
            .and_then(|of_connection| of_connection.get("conn"))
            .cloned()
            .unwrap_or_default()
    }

    /// That of text messages is this from now on.
    fn replace(&mut self, text: &Value) {
        self.text = text.clone();
        self.binary = None;
    }

    /// Of binary messages.
    fn binary(&mut self) -> Value {
        let (kind, text) = (self.kind, &self.text);
        let binary = self.binary.get_or_insert_with(|| {
            let mut members = text.as_record().cloned().unwrap_or_default();
            if let Some(of_connection) = members.get_or_insert_null(kind).as_record_mut() {
                of_connection.insert("binary", true);
            }
            members.insert("binary", true);
            members.into()
        });
        binary.clone()
    }
}

/// `{"host", "port"}` of a peer.
fn peer_record(address: &tremor_connector::duplex::Address) -> Record {
    let port = address.port.map(|port| ("port", Value::from(u64::from(port))));
    [("host", Value::from(address.host.as_str()))].into_iter().chain(port).collect()
}

/// `extensions` of a connection that has agreed on any, written as in a handshake.
fn extensions_list(agreed: Option<&Extension>) -> Option<Value> {
    agreed.map(|extension| Value::from(vec![Value::from(extension.to_string())]))
}

/// Which headers can be sent: [`ExtraHeaders::for_request`] or its like.
type HeaderCheck = fn(Vec<(String, String)>) -> Result<ExtraHeaders, HeaderError>;

/// Headers of a configuration: a list repeats its header. `check` says which ones can be sent.
fn header_list(reader: &Reader<'_>, check: HeaderCheck) -> Result<Vec<(String, String)>, ConfigError> {
    let mut headers = Vec::new();
    for (name, entry) in reader.entries() {
        let values = entry.read::<OneOrMany<Entry<'_>>>()?.0;
        if values.is_empty() {
            return Err(entry.invalid("an empty list says nothing; leave it out"));
        }
        for value in values {
            // It may be a secret.
            let got = value.value().type_name();
            let wrong = || value.invalid(format!("expected string or list of strings but got {got}"));
            headers.push((name.to_string(), value.value().as_str().ok_or_else(wrong)?.to_owned()));
        }
        let alike = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        check(alike.cloned().collect()).map_err(|error| entry.invalid(error.to_string()))?;
    }
    Ok(headers)
}

/// Reads more of a handshake. `false` at the end of the stream.
async fn read_more(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut bytes::BytesMut,
) -> std::io::Result<bool> {
    input.reserve(HANDSHAKE_READ_BYTES);
    Ok(stream.read_buf(input).await? > 0)
}
