//! Settings that may stand in `config` or in `config.options` (`spec/websocket.md` 19).

use super::{compression, foreign, pace::PaceOptions};
use std::{fmt::Display, ops::RangeBounds, time::Duration};
use tremor_connector::{
    DrainTimes, Environment, FrameType, SendQueue, WhenFull,
    config::{ConfigError, Entry, FromConfig, Key, Reader},
    duplex,
    socket::{SocketKind, SocketOptions},
    url::{Rules, Url},
};
use tremor_ws::{Accepted, DeflateOptions, Limits, Options, Role};

/// Reads keys that have two places.
pub(super) struct Settings<'a> {
    pub(super) config: Reader<'a>,
    options: Option<Reader<'a>>,
    pub(super) alias: &'a str,
}

impl<'a> Settings<'a> {
    /// `refuse` knows keys that have another name, or another place, here.
    pub(super) fn new(
        mut config: Reader<'a>,
        environment: &'a Environment,
        refuse: fn(&Reader<'_>) -> Result<(), ConfigError>,
    ) -> Result<Self, ConfigError> {
        let options = config.record("options")?;
        for reader in [Some(&config), options.as_ref()].into_iter().flatten() {
            refuse(reader)?;
        }
        options.as_ref().map_or(Ok(()), foreign::refuse_in_options)?;
        Ok(Self { config, options, alias: &environment.alias })
    }

    /// The settings in a record of their own, which is their only place.
    pub(super) fn alone(config: Reader<'a>, environment: &'a Environment) -> Self {
        Self { config, options: None, alias: &environment.alias }
    }

    /// Tells of a setting that works but is hardly meant; and where it stands, if that is not `config`.
    pub(super) fn warn(&self, hazard: &str) {
        match self.config.path() {
            [_] => tracing::warn!(target: "tremor_runtime", "[Connector::{}] {hazard}", self.alias),
            _ => {
                let path = self.config.path_text();
                tracing::warn!(target: "tremor_runtime", "[Connector::{}] {path}: {hazard}", self.alias);
            }
        }
    }

    /// A setting of the protocol whose value `hazard` only tests want.
    pub(super) fn flag(
        &mut self,
        key: &'static str,
        default: bool,
        hazard: Option<bool>,
    ) -> Result<bool, ConfigError> {
        let value = self.or(key, default)?;
        if hazard == Some(value) {
            self.warn(&format!("`{key}` is {value}, which breaks the WebSocket protocol"));
        }
        Ok(value)
    }

    /// `socket_options`, and the two other names of one of them.
    pub(super) fn socket(&mut self) -> Result<SocketOptions, ConfigError> {
        let mut socket = SocketOptions::from_config(&mut self.config, SocketKind::WebSocket)?;
        let written = self.config.members();
        let is_said = written.get("no_delay").is_some_and(|value| !value.is_null())
            || written.get("socket_options").is_some_and(|options| options.get("TCP_NODELAY").is_some());
        if let Some(no_delay) = self.optional("tcp_nodelay")? {
            if is_said && no_delay != socket.no_delay {
                let problem = "contradicts `no_delay` or `socket_options.TCP_NODELAY`; write one of them";
                return Err(self.config.invalid("tcp_nodelay", problem));
            }
            socket.no_delay = no_delay;
        }
        Ok(socket)
    }

    /// What `key` holds, wherever it stands.
    pub(super) fn optional<T: FromConfig<'a>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let here = self.config.optional(key)?;
        let Some(options) = &mut self.options else { return Ok(here) };
        match (here, options.optional(key)?) {
            (Some(_), Some(_)) => Err(options.invalid(key, SAID_TWICE)),
            (here, there) => Ok(here.or(there)),
        }
    }

    /// The error of `key` beside others, wherever it stands.
    pub(super) fn conflict(&self, key: &str, problem: &str) -> ConfigError {
        let is_there = |options: &&Reader<'_>| options.members().contains_key(key);
        self.options.as_ref().filter(is_there).unwrap_or(&self.config).conflict(key, problem)
    }

    /// What `key` holds, or `default`.
    pub(super) fn or<T: FromConfig<'a>>(&mut self, key: &'static str, default: T) -> Result<T, ConfigError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// A time in milliseconds; 0 means none.
    pub(super) fn limit(
        &mut self,
        key: &'static str,
        default_ms: u64,
    ) -> Result<Option<Duration>, ConfigError> {
        let default = (default_ms > 0).then(|| Duration::from_millis(default_ms));
        self.limit_or(key, default)
    }

    /// The same with a default that was read before.
    pub(super) fn limit_or(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
    ) -> Result<Option<Duration>, ConfigError> {
        let ms = self.optional(key)?;
        Ok(ms.map_or(default, |ms| self.time(key, ms)))
    }

    /// The time that `key` says in milliseconds; 0 means none.
    pub(super) fn time(&self, key: &str, ms: u64) -> Option<Duration> {
        if (1..SHORT_MS).contains(&ms) {
            self.warn(&format!("`{key}` is {ms} ms, which is very short"));
        }
        (ms > 0).then(|| Duration::from_millis(ms).min(NEVER))
    }

    /// What `key` holds, or `default`; within `range`.
    pub(super) fn in_range<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: impl RangeBounds<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromConfig<'a> + PartialOrd + Display,
    {
        self.entry(key)?.map_or(Ok(default), |entry| entry.read_in(range))
    }

    /// What one of `words` stands for, wherever it stands.
    pub(super) fn word<T: Clone>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let here = self.config.word(key, words)?;
        let Some(options) = &mut self.options else { return Ok(here) };
        match (here, options.word(key, words)?) {
            (Some(_), Some(_)) => Err(options.invalid(key, SAID_TWICE)),
            (here, there) => Ok(here.or(there)),
        }
    }

    /// The entry of `key`, wherever it stands.
    pub(super) fn entry(&mut self, key: &'static str) -> Result<Option<Entry<'a>>, ConfigError> {
        let here = self.config.entry(key);
        let Some(options) = &mut self.options else { return Ok(here) };
        match (here, options.entry(key)) {
            (Some(_), Some(_)) => Err(options.invalid(key, SAID_TWICE)),
            (here, there) => Ok(here.or(there)),
        }
    }

    /// `send_queue` for all connections, where a peer that does not read is given up sooner or later; with the name of the
    /// key, if it is said.
    pub(super) fn send_queue_of_all(&mut self) -> Result<(SendQueue, Option<String>), ConfigError> {
        let when_full = WhenFull::WaitAtMost(Duration::from_millis(BLOCK_TIMEOUT_MS));
        let queue = self.send_queue(&SendQueue { when_full, ..SendQueue::default() })?;
        Ok((queue.queue, queue.key))
    }

    /// `send_queue`, and what `defaults` say where it says nothing.
    pub(super) fn send_queue(&mut self, defaults: &SendQueue) -> Result<ReadQueue, ConfigError> {
        let Some(mut reader) = self.optional::<Reader<'_>>("send_queue")? else {
            return Ok(ReadQueue { queue: *defaults, key: None, at: None });
        };
        let at = Some(reader.path().to_vec());
        let waits = |when_full| matches!(when_full, WhenFull::Wait | WhenFull::WaitAtMost(_));
        let mut when_full = match reader.word("policy", &POLICIES)? {
            Some(Some(policy)) => policy,
            Some(None) if !waits(defaults.when_full) => {
                WhenFull::WaitAtMost(Duration::from_millis(BLOCK_TIMEOUT_MS))
            }
            Some(None) | None => defaults.when_full,
        };
        if let Some(ms) = reader.optional("block_timeout")? {
            if !waits(when_full) {
                return Err(reader.conflict("block_timeout", "belongs to the policy `block`"));
            }
            when_full =
                if ms == 0 { WhenFull::Wait } else { WhenFull::WaitAtMost(Duration::from_millis(ms)) };
        }
        let key = reader.optional::<String>("key")?;
        if key.as_ref().is_some_and(String::is_empty) {
            return Err(reader.invalid("key", "is empty; it names a member of the metadata"));
        }
        if key.is_some() && when_full != WhenFull::Conflate {
            return Err(reader.conflict("key", "belongs to the policy `conflate`"));
        }
        let queue = SendQueue {
            messages: reader.or_in("messages", defaults.messages, 1..)?,
            bytes: reader.or_in("bytes", defaults.bytes, 1..)?,
            when_full,
        };
        reader.finish()?;
        Ok(ReadQueue { queue, key, at })
    }

    /// `frame_type`
    pub(super) fn frame_type(&mut self) -> Result<FrameType, ConfigError> {
        let words = [("text", FrameType::Text), ("binary", FrameType::Binary), ("auto", FrameType::Auto)];
        Ok(self.word("frame_type", &words)?.unwrap_or_default())
    }

    /// `drain_spread` and `drain_timeout`.
    pub(super) fn drain_times(&mut self) -> Result<DrainTimes, ConfigError> {
        let defaults = DrainTimes::default();
        let mut time = |key, default: Duration| {
            let Some(ms) = self.optional(key)? else { return Ok(default) };
            if ms > DRAIN_LIMIT_MS {
                self.warn(&format!(
                    "`{key}` is {ms} ms, but a flow that drains has {DRAIN_LIMIT_MS} ms for all of it"
                ));
            }
            Ok(Duration::from_millis(ms).min(NEVER))
        };
        Ok(DrainTimes {
            spread: time("drain_spread", defaults.spread)?,
            timeout: time("drain_timeout", defaults.timeout)?,
        })
    }

    /// Ends the reading: what nobody asked for is an error.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if let Some(options) = self.options {
            options.finish()?;
        }
        self.config.finish()
    }
}

/// The address in `entry`, or `wrong` of what is none: TCP alone is spoken of there.
pub(super) fn address(entry: &Entry<'_>) -> Result<Url, ConfigError> {
    let text: &str = entry.read()?;
    let text = text.trim();
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let is_port = rest.starts_with(|first: char| first.is_ascii_digit());
    let is_unix = scheme.to_ascii_lowercase().split('+').any(|part| part == "unix") && !is_port;
    if !is_unix {
        return Url::from_entry(entry, &Rules::WEBSOCKET);
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = if path.starts_with('/') { path } else { "/..." };
    Err(entry.invalid(format!("is for TCP; for a unix socket write {} instead", unix_endpoint(path))))
}

/// How a unix socket is written.
pub(super) fn unix_endpoint(path: &str) -> String {
    format!(r#"`"endpoint": {{"type": "unix", "path": "{path}"}}`"#)
}

/// Times below this are probably seconds that were taken for milliseconds.
const SHORT_MS: u64 = 100;

/// What a flow has for its drain (`spec/runtime.md` 13.1).
const DRAIN_LIMIT_MS: u64 = 5000;

const SAID_TWICE: &str = "stands in `config` too; say it once";

/// How long a full queue may delay those who send, unless the configuration says otherwise.
const BLOCK_TIMEOUT_MS: u64 = 5000;

/// What may happen while a send queue is full; `None`: senders wait.
const POLICIES: [(&str, Option<WhenFull>); 5] = [
    ("block", None),
    ("drop_newest", Some(WhenFull::DropNewest)),
    ("drop_oldest", Some(WhenFull::DropOldest)),
    ("close", Some(WhenFull::Close)),
    ("conflate", Some(WhenFull::Conflate)),
];

/// What a configuration says of a send queue.
pub(super) struct ReadQueue {
    pub(super) queue: SendQueue,
    /// The name of the key, if it is said.
    pub(super) key: Option<String>,
    /// Where it stands, if it does.
    pub(super) at: Option<Vec<Key>>,
}

/// The member of an event's metadata that says what its message stands for, unless another is named.
pub(super) const KEY: &str = "key";

/// What both sides of a connection are told about the protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) limits: Limits,
    pub(super) options: Options,
    pub(super) times: duplex::Limits,
    pub(super) pace: PaceOptions,
    /// What is wanted of compression, if it is.
    pub(super) deflate: Option<DeflateOptions>,
    /// A server that does not agree to that is left.
    pub(super) requires_deflate: bool,
}

impl Default for Wire {
    fn default() -> Self {
        let times = duplex::Limits::default();
        let pace = PaceOptions::default();
        let (limits, options) = (Limits::default(), Options::default());
        Self { limits, options, times, pace, deflate: None, requires_deflate: false }
    }
}

/// Waits that are switched off are this long.
pub(super) const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Wire {
    /// What `settings` say, and `defaults` where they say nothing.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        role: Role,
        defaults: &Self,
    ) -> Result<Self, ConfigError> {
        let Self { limits, options, times, pace, deflate, .. } = *defaults;
        let (frame, message) = (settings.optional("max_frame_size")?, settings.optional("max_message_size")?);
        if let (Some(frame), Some(message)) = (frame, message)
            && (1..frame).contains(&message)
        {
            settings.warn(&format!(
                "`max_frame_size` is {frame}, but no frame has more than a message may have: `max_message_size` is {message}"
            ));
        }
        let limits = Limits {
            max_frame_bytes: frame.unwrap_or(limits.max_frame_bytes),
            max_message_bytes: message.unwrap_or(limits.max_message_bytes),
            max_fragments: settings.or("max_fragments", limits.max_fragments)?,
        };
        let options = Options {
            validate_utf8: settings.flag("validate_utf8", options.validate_utf8, Some(false))?,
            apply_mask: settings.flag("apply_mask", options.apply_mask, Some(false))?,
            fail_by_drop: settings.or("fail_by_drop", options.fail_by_drop)?,
            echo_close_codereason: settings.or("echo_close_codereason", options.echo_close_codereason)?,
            auto_fragment_size: settings.or("auto_fragment_size", options.auto_fragment_size)?,
            accept: accepted(settings)?.unwrap_or(options.accept),
            ..options
        };
        let times = duplex::Limits {
            write: settings.limit_or("write_timeout", Some(times.write))?.unwrap_or(NEVER),
            close: settings.limit_or("close_handshake_timeout", Some(times.close))?.unwrap_or(NEVER),
            ..times
        };
        let pace = PaceOptions::read(settings, &pace)?;
        let (deflate, requires_deflate) =
            compression::read(settings, role, deflate, limits.max_message_bytes)?;
        Ok(Self { limits, options, times, pace, deflate, requires_deflate })
    }
}

/// `open_handshake_timeout`: from the start of the handshake to the 101.
pub(super) fn open_handshake(settings: &mut Settings<'_>) -> Result<Option<Duration>, ConfigError> {
    settings.limit("open_handshake_timeout", 5000)
}

fn accepted(settings: &mut Settings<'_>) -> Result<Option<Accepted>, ConfigError> {
    let words = [("any", Accepted::Any), ("text", Accepted::Text), ("binary", Accepted::Binary)];
    settings.word("accept", &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::testing::environment;
    use tremor_value::Value;

    fn no_delay(config: &str) -> Result<bool, String> {
        let environment = environment();
        let config = Value::from_json_str(config).unwrap();
        let reader = Reader::new(&config, "config").unwrap();
        let mut settings = Settings::new(reader, &environment, |_| Ok(())).unwrap();
        let socket = settings.socket().map_err(|error| error.to_string())?;
        settings.finish().map_err(|error| error.to_string())?;
        Ok(socket.no_delay)
    }

    /// That sockets are given it is tested where they are made.
    #[test]
    fn small_writes_leave_at_once_unless_that_is_switched_off() {
        for (config, expected) in [
            ("{}", true),
            (r#"{"tcp_nodelay": false}"#, false),
            (r#"{"options": {"tcp_nodelay": false}}"#, false),
            (r#"{"no_delay": false}"#, false),
            (r#"{"socket_options": {"TCP_NODELAY": false}}"#, false),
            (r#"{"options": {"tcp_nodelay": false}, "no_delay": false}"#, false),
            (r#"{"options": {"tcp_nodelay": true}}"#, true),
        ] {
            assert_eq!(no_delay(config), Ok(expected), "{config}");
        }
        let twice = no_delay(r#"{"tcp_nodelay": false, "options": {"tcp_nodelay": false}}"#).unwrap_err();
        assert!(twice.contains("config.options.tcp_nodelay: stands in `config` too"), "{twice}");
    }
}
