//! The settings of what lives by the clock.

use super::HeartbeatOptions;
use crate::ws::options::Settings;
use std::num::NonZeroU64;
use tremor_connector::config::{ConfigError, Entry, Reader};
use tremor_value::Value;
use tremor_ws::KeepaliveOptions;

/// Pings and pongs that may come in a second, unless the configuration says otherwise.
const CONTROL_RATE: u64 = 100;

/// What both sides of a connection are told about time.
#[derive(Clone, Copy, Debug)]
pub(in crate::ws) struct PaceOptions {
    pub(in crate::ws) keepalive: KeepaliveOptions,
    pub(in crate::ws) rates: RateOptions,
    /// Pings and pongs that may come in a second.
    pub(in crate::ws) max_control_rate: Option<NonZeroU64>,
}

/// What may come in a second.
#[derive(Clone, Copy, Debug)]
pub(in crate::ws) struct RateOptions {
    pub(in crate::ws) messages: Option<NonZeroU64>,
    pub(in crate::ws) bytes: Option<NonZeroU64>,
    /// More than that ends the connection instead of waiting.
    pub(in crate::ws) closes: bool,
}

impl RateOptions {
    pub(super) fn is_off(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }
}

impl Default for PaceOptions {
    fn default() -> Self {
        Self {
            keepalive: KeepaliveOptions::default(),
            rates: RateOptions { messages: None, bytes: None, closes: false },
            max_control_rate: NonZeroU64::new(CONTROL_RATE),
        }
    }
}

impl PaceOptions {
    /// Whether connections need a timer.
    pub(in crate::ws) fn is_off(&self) -> bool {
        self.keepalive.is_off() && self.rates.is_off()
    }

    pub(in crate::ws) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let defaults = KeepaliveOptions::default();
        let keepalive = KeepaliveOptions {
            ping_interval: settings.limit("auto_ping_interval", 0)?,
            ping_timeout: settings.limit("auto_ping_timeout", 0)?,
            ping_bytes: settings.in_range("auto_ping_size", defaults.ping_bytes, 12..=125)?,
            any_traffic_answers: settings
                .or("auto_ping_restart_on_any_traffic", defaults.any_traffic_answers)?,
            idle: settings.limit("idle_timeout", 0)?,
            lifetime: settings.limit("max_lifetime", 0)?,
            message: settings.limit("message_timeout", 0)?,
        };
        if keepalive.ping_timeout.is_some() && keepalive.ping_interval.is_none() {
            settings.warn("`auto_ping_timeout` has no effect without `auto_ping_interval`: nothing is pinged");
        }
        let words = [("pause", false), ("close", true)];
        let on_rate = settings.word("on_rate", &words)?;
        let rates = RateOptions {
            messages: NonZeroU64::new(settings.or("message_rate", 0)?),
            bytes: NonZeroU64::new(settings.or("byte_rate", 0)?),
            closes: on_rate.unwrap_or(false),
        };
        if on_rate.is_some() && rates.is_off() {
            settings.warn("`on_rate` has no effect without `message_rate` or `byte_rate`");
        }
        let max_control_rate = NonZeroU64::new(settings.or("max_control_rate", CONTROL_RATE)?);
        Ok(Self { keepalive, rates, max_control_rate })
    }
}

impl HeartbeatOptions {
    /// `heartbeat` of a client.
    pub(in crate::ws) fn read(settings: &mut Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(mut reader) = settings.optional::<Reader<'_>>("heartbeat")? else { return Ok(None) };
        let Some(message) = reader.entry("message") else {
            return Err(reader.missing("message", "the text to send, or a value to send as JSON"));
        };
        let interval = settings.limit_in(&mut reader, "interval")?;
        let Some(interval) = interval else {
            return Err(reader.missing("interval", "the milliseconds from one heartbeat to the next"));
        };
        let options = Self {
            interval,
            message: text(&message)?.into(),
            reply_contains: reader.optional("reply_contains")?,
            timeout: settings.limit_in(&mut reader, "timeout")?,
        };
        if options.reply_contains.as_ref().is_some_and(String::is_empty) {
            return Err(reader.invalid("reply_contains", "is empty, so every message would be a reply"));
        }
        if options.timeout.is_some() && options.reply_contains.is_none() {
            return Err(reader.invalid("timeout", "needs `reply_contains`, or no reply would be known as one"));
        }
        reader.finish()?;
        Ok(Some(options))
    }
}

/// A text as it is, anything else as JSON.
fn text(message: &Entry<'_>) -> Result<String, ConfigError> {
    match message.value() {
        Value::String(_) => message.read(),
        Value::Null => Err(message.mismatch("string or a value to send as JSON")),
        value => Ok(value.to_string()),
    }
}
