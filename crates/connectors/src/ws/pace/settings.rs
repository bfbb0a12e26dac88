//! The settings of what lives by the clock.

use super::HeartbeatOptions;
use crate::ws::options::Settings;
use std::num::NonZeroU64;
use tremor_connector::config::{ConfigError, Entry, Reader};
use tremor_value::Value;
use tremor_ws::KeepaliveOptions;

/// Pings and pongs that may come in a second, unless the configuration says otherwise.
const CONTROL_RATE: u32 = 100;

/// What both sides of a connection are told about time.
#[derive(Clone, Copy, Debug)]
pub(in crate::ws) struct PaceOptions {
    pub(in crate::ws) keepalive: KeepaliveOptions,
    pub(in crate::ws) rates: RateOptions,
    /// Pings and pongs that may come in a second; 0 is any number.
    pub(in crate::ws) max_control_rate: u32,
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
            max_control_rate: CONTROL_RATE,
        }
    }
}

impl PaceOptions {
    /// Whether connections need a timer.
    pub(in crate::ws) fn is_off(&self) -> bool {
        self.keepalive.is_off() && self.rates.is_off()
    }

    /// What `settings` say, and `defaults` where they say nothing.
    pub(in crate::ws) fn read(settings: &mut Settings<'_>, defaults: &Self) -> Result<Self, ConfigError> {
        let Self { keepalive, rates, max_control_rate } = *defaults;
        let of_pings = ["auto_ping_size", "auto_ping_restart_on_any_traffic", "auto_ping_timeout"];
        let mut said = Vec::new();
        for key in of_pings {
            said.extend(settings.entry(key)?.map(|_| key));
        }
        let keepalive = KeepaliveOptions {
            ping_interval: settings.limit_or("auto_ping_interval", keepalive.ping_interval)?,
            ping_timeout: settings.limit_or("auto_ping_timeout", keepalive.ping_timeout)?,
            ping_bytes: settings.in_range("auto_ping_size", keepalive.ping_bytes, 12..=125)?,
            any_traffic_answers: settings
                .or("auto_ping_restart_on_any_traffic", keepalive.any_traffic_answers)?,
            idle: settings.limit_or("idle_timeout", keepalive.idle)?,
            lifetime: settings.limit_or("max_lifetime", keepalive.lifetime)?,
            message: settings.limit_or("message_timeout", keepalive.message)?,
        };
        if keepalive.ping_interval.is_none()
            && let Some(key) = said.first()
        {
            settings.warn(&format!("`{key}` has no effect without `auto_ping_interval`: nothing is pinged"));
        }
        let words = [("pause", false), ("close", true)];
        let on_rate = settings.word("on_rate", &words)?;
        let rates = RateOptions {
            messages: settings.optional("message_rate")?.map_or(rates.messages, NonZeroU64::new),
            bytes: settings.optional("byte_rate")?.map_or(rates.bytes, NonZeroU64::new),
            closes: on_rate.unwrap_or(rates.closes),
        };
        if on_rate.is_some() && rates.is_off() {
            settings.warn("`on_rate` has no effect without `message_rate` or `byte_rate`");
        }
        let max_control_rate = settings.or("max_control_rate", max_control_rate)?;
        Ok(Self { keepalive, rates, max_control_rate })
    }
}

impl HeartbeatOptions {
    /// `heartbeat` of a client.
    pub(in crate::ws) fn read(settings: &mut Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(mut reader) = settings.optional::<Reader<'_>>("heartbeat")? else { return Ok(None) };
        let Some(message) = reader.entry("message") else {
            return Err(reader.missing("message", "the text to send, or a record or list to send as JSON"));
        };
        let interval = reader.required::<NonZeroU64>("interval")?.get();
        let timeout = reader.or("timeout", 0)?;
        let options = Self {
            message: text(&message)?.into(),
            interval: settings.time("heartbeat.interval", interval).unwrap_or_default(),
            reply_contains: reader.optional("reply_contains")?,
            timeout: settings.time("heartbeat.timeout", timeout),
        };
        if options.reply_contains.as_ref().is_some_and(String::is_empty) {
            return Err(reader.invalid("reply_contains", "is empty, so every message would be a reply"));
        }
        if options.timeout.is_some() && options.reply_contains.is_none() {
            return Err(
                reader.conflict("timeout", "needs `reply_contains`, or no reply would be known as one")
            );
        }
        reader.finish()?;
        Ok(Some(options))
    }
}

/// A text as it is, anything else as JSON.
fn text(message: &Entry<'_>) -> Result<String, ConfigError> {
    match message.value() {
        Value::String(_) => message.read(),
        value if value.as_record().is_some() || value.as_array().is_some() => Ok(value.to_string()),
        _ => Err(message.mismatch("string, record or list")),
    }
}
