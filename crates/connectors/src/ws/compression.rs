//! `compression` (`spec/websocket.md` 10.1).

use super::options::Settings;
use tremor_connector::config::{ConfigError, Entry, Reader};
use tremor_ws::{DeflateOptions, Role};

/// The largest window in bits, and what is said where no limit is.
const MAX_WINDOW_BITS: u8 = 15;

/// What is wanted of compression: `defaults` where `settings` say nothing of it, `None` for none; and whether the peer has
/// to agree. No message has more than `max_message` bytes, unless that is 0.
pub(super) fn read(
    settings: &mut Settings<'_>,
    role: Role,
    defaults: Option<DeflateOptions>,
    max_message: usize,
) -> Result<(Option<DeflateOptions>, bool), ConfigError> {
    let Some(mut methods) = settings.optional::<Reader<'_>>("compression")? else {
        return Ok((defaults, false));
    };
    let required = methods.entry("required");
    let options = match methods.record("deflate")? {
        Some(reader) => Some(deflate(settings, reader, max_message)?),
        None => None,
    };
    methods.finish()?;
    let is_required = required.map_or(Ok(false), |entry| is_required(&entry, role, options.is_some()))?;
    if options.is_none() && defaults.is_none() {
        settings.warn("`compression` names no method, so nothing is compressed; write `{\"deflate\": {}}`, or leave it out");
    }
    Ok((options, is_required))
}

fn is_required(entry: &Entry<'_>, role: Role, has_method: bool) -> Result<bool, ConfigError> {
    let is_required = entry.read()?;
    if role == Role::Server {
        return Err(entry.conflict("is for `ws_client`: it is clients that offer compression"));
    }
    if is_required && !has_method {
        return Err(entry.conflict("needs `deflate` beside it, or nothing is offered"));
    }
    Ok(is_required)
}

fn deflate(
    settings: &Settings<'_>,
    mut reader: Reader<'_>,
    max_message: usize,
) -> Result<DeflateOptions, ConfigError> {
    let defaults = DeflateOptions::default();
    let options = DeflateOptions {
        request_no_context_takeover: reader
            .or("request_no_context_takeover", defaults.request_no_context_takeover)?,
        request_max_window_bits: window_bits(&mut reader, "request_max_window_bits")?,
        no_context_takeover: reader.or("no_context_takeover", defaults.no_context_takeover)?,
        max_window_bits: window_bits(&mut reader, "max_window_bits")?,
        memory_level: reader.or_in("memory_level", defaults.memory_level, 1..=9)?,
        level: reader.or_in("level", defaults.level, 0..=9)?,
        min_bytes: reader.or("min_size", defaults.min_bytes)?,
        max_inflated_bytes: reader.or("max_inflated_size", defaults.max_inflated_bytes)?,
    };
    reader.finish()?;
    if (1..options.max_inflated_bytes).contains(&max_message) {
        settings
            .warn(&format!("`max_inflated_size` has no effect: `max_message_size` is less, {max_message}"));
    }
    if options.max_window_bits == 8 {
        settings.warn("`max_window_bits` is 8, which cannot be kept to when compressing; 9 is used");
    }
    if options.request_max_window_bits == 8 {
        settings.warn(
            "`request_max_window_bits` is 8: peers that compress with zlib cannot keep to it, and most of them fail the connection; \
             9 is what all can do",
        );
    }
    Ok(options)
}

/// 8 to 15, where 0 stands for the largest.
fn window_bits(reader: &mut Reader<'_>, key: &'static str) -> Result<u8, ConfigError> {
    match reader.or_in(key, MAX_WINDOW_BITS, 0..=MAX_WINDOW_BITS)? {
        0 => Ok(MAX_WINDOW_BITS),
        1..8 => Err(reader.invalid(key, "is not 8 to 15, or 0 for no limit")),
        bits => Ok(bits),
    }
}
