//! Where in a file a key of a configuration stands.

use tremor_connector::config::Key;
use tremor_diagnostic::{SourceMap, Span};
use tremor_lang::{Setting, Settings};

/// The place that `path` means: the innermost key of it that is written literally in the setting's value, else
/// the value itself. `None` if the connector does not have the setting.
pub(crate) fn key(path: &[Key], settings: &Settings, sources: &SourceMap) -> Option<Span> {
    let (first, rest) = path.split_first()?;
    let Key::Field(name) = first else { return None };
    let setting = setting(settings, name)?;
    let text = sources.text(setting.span);
    let mut found = setting.span;
    let mut from = 0;
    for key in rest {
        let Key::Field(name) = key else { continue };
        let literal = format!("\"{name}\"");
        let Some(at) = text.get(from..).and_then(|rest| rest.find(&literal)) else { break };
        let start = u32::try_from(from + at).ok()? + setting.span.start;
        found = Span { start, end: start + u32::try_from(literal.len()).ok()?, ..setting.span };
        from += at + literal.len();
    }
    Some(found)
}

fn setting<'s>(settings: &'s Settings, name: &str) -> Option<&'s Setting> {
    match name {
        "codec" => settings.codec.as_ref(),
        "config" => settings.config.as_ref(),
        "metrics_interval_s" => settings.metrics_interval_s.as_ref(),
        "postprocessors" => settings.postprocessors.as_ref(),
        "preprocessors" => settings.preprocessors.as_ref(),
        "reconnect" => settings.reconnect.as_ref(),
        _ => None,
    }
}
