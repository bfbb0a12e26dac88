//! Settings that may stand in `config` or in `config.options` (`spec/websocket.md` 19).

use std::time::Duration;
use tremor_connector::{
    config::{ConfigError, FromConfig, Reader},
    duplex,
};
use tremor_ws::{Accepted, Limits, Options};

/// Reads keys that have two places.
pub(super) struct Settings<'a> {
    pub(super) config: Reader<'a>,
    options: Option<Reader<'a>>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(mut config: Reader<'a>) -> Result<Self, ConfigError> {
        let options = config.record("options")?;
        Ok(Self { config, options })
    }

    /// What `key` holds, wherever it stands.
    pub(super) fn optional<T: FromConfig<'a>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let here = self.config.optional(key)?;
        let Some(options) = &mut self.options else { return Ok(here) };
        match (here, options.optional(key)?) {
            (Some(_), Some(_)) => Err(options.invalid(key, "stands in `config` too; say it once")),
            (here, there) => Ok(here.or(there)),
        }
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
        let ms = self.or(key, default_ms)?;
        Ok((ms > 0).then(|| Duration::from_millis(ms)))
    }

    /// Ends the reading: what nobody asked for is an error.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if let Some(options) = self.options {
            options.finish()?;
        }
        self.config.finish()
    }
}

/// What both sides of a connection are told about the protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) limits: Limits,
    pub(super) options: Options,
    pub(super) times: duplex::Limits,
    /// From the start of the handshake to the 101.
    pub(super) open_handshake: Option<Duration>,
}

/// Waits that are switched off are this long.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Wire {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let limits = Limits::default();
        let limits = Limits {
            max_frame_bytes: settings.or("max_frame_size", limits.max_frame_bytes)?,
            max_message_bytes: settings.or("max_message_size", limits.max_message_bytes)?,
            max_fragments: settings.or("max_fragments", limits.max_fragments)?,
        };
        let defaults = Options::default();
        let options = Options {
            validate_utf8: settings.or("validate_utf8", defaults.validate_utf8)?,
            apply_mask: settings.or("apply_mask", defaults.apply_mask)?,
            fail_by_drop: settings.or("fail_by_drop", defaults.fail_by_drop)?,
            echo_close_codereason: settings.or("echo_close_codereason", defaults.echo_close_codereason)?,
            auto_fragment_size: settings.or("auto_fragment_size", defaults.auto_fragment_size)?,
            accept: accepted(settings)?,
            ..defaults
        };
        let times = duplex::Limits {
            write: settings.limit("write_timeout", 30_000)?.unwrap_or(NEVER),
            close: settings.limit("close_handshake_timeout", 1000)?.unwrap_or(NEVER),
            drop: duplex::Limits::default().drop,
        };
        Ok(Self { limits, options, times, open_handshake: settings.limit("open_handshake_timeout", 5000)? })
    }
}

fn accepted(settings: &mut Settings<'_>) -> Result<Accepted, ConfigError> {
    let words = [("any", Accepted::Any), ("text", Accepted::Text), ("binary", Accepted::Binary)];
    let here = settings.config.word("accept", &words)?;
    let there = match &mut settings.options {
        Some(options) => options.word("accept", &words)?,
        None => None,
    };
    match (here, there) {
        (Some(_), Some(_)) => {
            Err(settings.config.invalid("accept", "stands in `config.options` too; say it once"))
        }
        (here, there) => Ok(here.or(there).unwrap_or_default()),
    }
}
