//! What is said before the first event, and what has to be answered (`spec/websocket.md` 8).

use crate::ws::{
    metrics::Link,
    options::{Settings, Wire},
    read_more,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::{io::AsyncWriteExt, time::timeout};
use tremor_connector::{
    config::{ConfigError, Entry, OneOrMany, Reader, nearest},
    duplex::{Protocol, Stream, Traffic},
};
use tremor_value::{Value, sentence};
use tremor_ws::{Decoder, Deflate, Incoming, Role};

/// What may come in front of the reply that is expected, in bytes.
const MAX_BYTES_BEFORE: usize = 1 << 20;
const EXPECT_LIMIT_MS: u64 = 5000;

/// `open_message`, `expect` and `expect_timeout`.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    messages: Vec<Opening>,
    expected: Option<Expected>,
    /// For the reply.
    limit: Option<Duration>,
}

/// One message of our own.
#[derive(Debug)]
struct Opening {
    payload: Vec<u8>,
    is_binary: bool,
}

/// What a reply is like.
#[derive(Debug, PartialEq)]
enum Expected {
    /// It has these bytes in it.
    Contains(String),
    /// It is JSON that has all of this.
    Like(Value),
}

impl Greeting {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let messages = match settings.entry("open_message")? {
            Some(entry) => match entry.read::<OneOrMany<Entry<'_>>>()?.0 {
                none if none.is_empty() => {
                    return Err(entry.invalid("an empty list sends nothing; leave it out"));
                }
                messages => messages,
            },
            None => Vec::new(),
        };
        let messages = messages.iter().map(opening).collect::<Result<_, _>>()?;
        let expect = settings.entry("expect")?;
        let expected = expect.as_ref().map(expected).transpose()?;
        if let Some(doubt) = expect.as_ref().and_then(doubt) {
            settings.warn(&doubt);
        }
        let limit = settings.entry("expect_timeout")?;
        if let (Some(limit), None) = (&limit, &expected) {
            return Err(limit.conflict("has no effect without `expect`"));
        }
        let ms = limit.map_or(Ok(EXPECT_LIMIT_MS), |limit| limit.read())?;
        let limit = settings.time("expect_timeout", ms);
        Ok(Self { messages, expected, limit })
    }

    /// Says what is to be said, and waits for the reply. What has come by then stays in `input`: it becomes events. Gives
    /// the bytes that were sent, frames included.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn exchange(
        &self,
        stream: &mut Box<dyn Stream>,
        input: &mut BytesMut,
        protocol: &mut impl Protocol,
        (wire, deflate): (&Wire, Option<&Deflate>),
    ) -> Result<usize, String> {
        let mut out = Vec::new();
        if !self.messages.is_empty() {
            for Opening { payload, is_binary } in &self.messages {
                protocol.write(payload, *is_binary, &mut out).map_err(|error| error.to_string())?;
            }
            let writing = async {
                stream.write_all(&out).await?;
                stream.flush().await
            };
            let written = timeout(wire.times.write, writing).await;
            written
                .map_err(|_| "it does not read `open_message`".to_owned())?
                .map_err(|error| error.to_string())?;
        }
        let Some(expected) = &self.expected else { return Ok(out.len()) };
        let waiting = expected.wait(stream, input, (wire, deflate));
        let met = match self.limit {
            None => waiting.await,
            Some(limit) => timeout(limit, waiting).await.unwrap_or_else(|_| {
                Err(format!("the reply that `expect` describes has not come within {} ms", limit.as_millis()))
            }),
        };
        met.map(|()| out.len())
    }

    /// Counts the messages as what the connection has sent: it was not open yet when they were.
    pub(super) fn count(&self, sent: usize, link: &Link) {
        link.wrote_bytes(sent);
        if !self.messages.is_empty() {
            link.taken(&mut self.messages.iter().map(|message| (message.payload.len(), message.is_binary)));
        }
    }
}

/// What an opening message is.
const OPENING: &str = r#"a text (JSON is written as one: `"{\"a\": 1}"`) or `{"binary": "<base64>"}`"#;

fn opening(entry: &Entry<'_>) -> Result<Opening, ConfigError> {
    if entry.value().as_record().is_none() {
        let text: &str = entry.read()?;
        return Ok(Opening { payload: text.as_bytes().to_vec(), is_binary: false });
    }
    let mut reader: Reader<'_> = entry.read()?;
    if !reader.members().contains_key("binary") {
        return Err(entry.mismatch(OPENING));
    }
    let text: &str = reader.required("binary")?;
    let payload = STANDARD.decode(text).map_err(|_| reader.invalid("binary", "is no base64"))?;
    reader.finish()?;
    Ok(Opening { payload, is_binary: true })
}

fn expected(entry: &Entry<'_>) -> Result<Expected, ConfigError> {
    let Some(record) = entry.value().as_record() else {
        return Err(entry.mismatch(r#"{"contains": "..."}, or a record with members that the reply has"#));
    };
    if record.is_empty() {
        return Err(entry.invalid("is empty, so it says nothing of the reply"));
    }
    let mut reader: Reader<'_> = entry.read()?;
    let Some(contains) = reader.entry("contains") else { return Ok(Expected::Like(entry.value().clone())) };
    match contains.read()? {
        "" => Err(contains.invalid("is empty, so every message would be the reply")),
        _ if record.len() > 1 => Err(contains.invalid(
            "is a text that the reply has in it, and stands alone; what else stands here describes a record in JSON",
        )),
        text => Ok(Expected::Contains(text.to_owned())),
    }
}

/// What is hardly meant, in words: a text under a name that is nearly `contains`. The reply may have such a member all the same.
fn doubt(entry: &Entry<'_>) -> Option<String> {
    let record = entry.value().as_record().filter(|record| record.get("contains").is_none())?;
    let is_near = |name: &str| nearest(name, std::iter::once("contains")).is_some();
    let (name, _) = record.iter().find(|(name, value)| value.as_str().is_some() && is_near(name))?;
    Some(format!(
        "`expect` waits for JSON with a member `{name}`; did you mean `contains`, for any message that has the text in it?"
    ))
}

impl Expected {
    fn is_met_by(&self, payload: &Bytes) -> bool {
        match self {
            Self::Contains(text) => memchr::memmem::find(payload, text.as_bytes()).is_some(),
            Self::Like(pattern) => {
                let text = std::str::from_utf8(payload).ok();
                let value = text.and_then(|text| Value::from_json_str(text).ok());
                value.is_some_and(|value| is_like(pattern, &value))
            }
        }
    }

    /// Reads on until the reply is there.
    async fn wait(
        &self,
        stream: &mut Box<dyn Stream>,
        input: &mut BytesMut,
        (wire, deflate): (&Wire, Option<&Deflate>),
    ) -> Result<(), String> {
        let mut decoder = Decoder::new(Role::Client, wire.limits, wire.options);
        if let Some(deflate) = deflate {
            decoder = decoder.deflate(deflate);
        }
        // A copy is looked at: whoever has the connection next begins at the beginning.
        let (mut ahead, mut found) = (input.clone(), Vec::new());
        loop {
            let decoded = decoder.decode(&mut ahead, &mut found);
            for item in found.drain(..) {
                match item {
                    Incoming::Message { payload, .. } if self.is_met_by(&payload) => return Ok(()),
                    Incoming::Close { code, reason } => return Err(closed(code, &reason)),
                    _ => {}
                }
            }
            decoded.map_err(|error| error.to_string())?;
            if input.len() > MAX_BYTES_BEFORE {
                return Err("the reply that `expect` describes is not in the first MiB that came".to_owned());
            }
            let before = input.len();
            if !read_more(stream, input).await.map_err(|error| error.to_string())? {
                return Err("the connection ended before the reply that `expect` describes".to_owned());
            }
            ahead.extend_from_slice(input.get(before..).unwrap_or_default());
        }
    }
}

fn closed(code: Option<u16>, reason: &str) -> String {
    let code = code.unwrap_or(1005);
    let behind = if reason.is_empty() { String::new() } else { format!(", {}", sentence(reason)) };
    format!(
        "the server closed the connection instead of giving the reply that `expect` describes ({code}{behind})"
    )
}

/// Whether `value` has all that `pattern` has: the same values, and of records at least these members.
fn is_like(pattern: &Value, value: &Value) -> bool {
    match (pattern.as_record(), value.as_record()) {
        (Some(pattern), Some(value)) => {
            pattern.iter().all(|(name, pattern)| value.get(name).is_some_and(|value| is_like(pattern, value)))
        }
        _ => pattern == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(expect: &str, reply: &str) -> bool {
        let value = Value::from_json_str(expect).unwrap();
        expected(&Entry::root(&value, "expect")).unwrap().is_met_by(&Bytes::from(reply.to_owned()))
    }

    #[test]
    fn replies_contain_a_text_or_have_all_members() {
        for (expect, reply, is_met) in [
            (r#"{"contains": "come"}"#, "welcome", true),
            (r#"{"contains": "come"}"#, "Come", false),
            (r#"{"a": {"contains": 1}}"#, r#"{"a": {"contains": 1}}"#, true),
            (r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 1, "c": 2}, "d": 3}"#, true),
            (r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 2}}"#, false),
            (r#"{"a": {"b": 1}}"#, r#"{"a": 1}"#, false),
            (r#"{"a": null}"#, r#"{"b": 1}"#, false),
            (r#"{"a": [1, 2]}"#, r#"{"a": [1, 2]}"#, true),
            (r#"{"a": [1]}"#, r#"{"a": [1, 2]}"#, false),
            (r#"{"a": 1}"#, "no JSON", false),
        ] {
            assert_eq!(meets(expect, reply), is_met, "{expect} {reply}");
        }
        let others = [r#"{"contains": ""}"#, r#"{"contains": 1}"#, r#"{"contains": "a", "b": 1}"#];
        for bad in ["{}", "1", r#""text""#].into_iter().chain(others) {
            let value = Value::from_json_str(bad).unwrap();
            assert!(expected(&Entry::root(&value, "expect")).is_err(), "{bad}");
        }
    }
}
