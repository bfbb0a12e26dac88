//! Logger configuration files: appenders, loggers and their levels (`spec/cli.md` 7).

use super::{
    appender::{Appender, Console, Log, Policy, Roller},
    pattern::{self, Pattern},
};
use crate::output::{self, ColorChoice};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tracing::{Level, level_filters::LevelFilter};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    refresh_rate: Option<String>,
    #[serde(default)]
    appenders: BTreeMap<String, AppenderConfig>,
    #[serde(default)]
    root: Root,
    #[serde(default)]
    loggers: BTreeMap<String, LoggerConfig>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum AppenderConfig {
    Console {
        #[serde(default)]
        target: Target,
        encoder: Option<Encoder>,
    },
    File {
        path: String,
        #[serde(default = "yes")]
        append: bool,
        encoder: Option<Encoder>,
    },
    RollingFile {
        path: String,
        #[serde(default = "yes")]
        append: bool,
        encoder: Option<Encoder>,
        policy: PolicyConfig,
    },
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    #[default]
    Stdout,
    Stderr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoder {
    #[serde(default)]
    kind: Option<EncoderKind>,
    pattern: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncoderKind {
    Pattern,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyConfig {
    #[serde(default)]
    kind: Option<PolicyKind>,
    trigger: Trigger,
    roller: RollerConfig,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PolicyKind {
    Compound,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Trigger {
    Size { limit: String },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum RollerConfig {
    Delete {},
    FixedWindow {
        pattern: String,
        #[serde(default)]
        base: u32,
        count: u32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    #[serde(default = "debug")]
    level: String,
    #[serde(default)]
    appenders: Vec<String>,
}

impl Default for Root {
    fn default() -> Self {
        Self { level: debug(), appenders: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggerConfig {
    level: Option<String>,
    #[serde(default)]
    appenders: Vec<String>,
    #[serde(default = "yes")]
    additive: bool,
}

fn yes() -> bool {
    true
}

fn debug() -> String {
    "debug".to_owned()
}

/// An appender and how its lines look.
pub(super) struct Output {
    pub(super) pattern: Pattern,
    pub(super) appender: Box<dyn Appender>,
}

/// A logger, or the root, with everything that it inherits.
struct Logger {
    /// Empty for the root.
    name: String,
    level: LevelFilter,
    outputs: Vec<Arc<Output>>,
}

/// A configuration that was checked and whose files are open.
pub(super) struct Plan {
    /// The root first; then by name, so that a logger comes behind its parents.
    loggers: Vec<Logger>,
    /// How often the file is to be read again.
    pub(super) refresh: Option<Duration>,
}

impl Plan {
    /// Checks `text` and opens what it names. `choice` is about colour on the console.
    ///
    /// # Errors
    /// If anything in it cannot be understood or opened.
    pub(super) fn parse(text: &str, choice: ColorChoice) -> Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let refresh = file.refresh_rate.as_deref().map(duration).transpose()?;
        let mut outputs = BTreeMap::new();
        for (name, config) in &file.appenders {
            let output = output(config, choice).map_err(|error| format!("appender `{name}`: {error}"))?;
            outputs.insert(name.as_str(), Arc::new(output));
        }
        let find = |names: &[String]| {
            let find = |name: &String| {
                outputs.get(name.as_str()).cloned().ok_or_else(|| format!("there is no appender `{name}`"))
            };
            names.iter().map(find).collect::<Result<Vec<_>, _>>()
        };
        let root = Logger {
            name: String::new(),
            level: level(&file.root.level)?,
            outputs: find(&file.root.appenders)?,
        };
        let mut loggers = vec![root];
        // Sorted names: a parent comes before its children.
        for (name, config) in &file.loggers {
            let parent = nearest(&loggers, name);
            let level = match &config.level {
                Some(text) => level(text)?,
                None => parent.map_or(LevelFilter::OFF, |parent| parent.level),
            };
            let mut all = find(&config.appenders)?;
            if let Some(parent) = parent.filter(|_| config.additive) {
                all.extend(parent.outputs.iter().cloned());
            }
            loggers.push(Logger { name: name.clone(), level, outputs: all });
        }
        Ok(Self { loggers, refresh })
    }

    /// Most verbose level that anything is logged at.
    pub(super) fn max_level(&self) -> LevelFilter {
        self.loggers.iter().map(|logger| logger.level).max().unwrap_or(LevelFilter::OFF)
    }

    /// Where a record of this level and target goes.
    pub(super) fn outputs(&self, level: Level, target: &str) -> &[Arc<Output>] {
        match nearest(&self.loggers, target) {
            Some(logger) if level <= logger.level => &logger.outputs,
            _ => &[],
        }
    }
}

/// The logger with the longest name that `target` is, or is below.
fn nearest<'a>(loggers: &'a [Logger], target: &str) -> Option<&'a Logger> {
    let covers = |logger: &&Logger| match target.strip_prefix(logger.name.as_str()) {
        Some(rest) => logger.name.is_empty() || rest.is_empty() || rest.starts_with("::"),
        None => false,
    };
    loggers.iter().filter(covers).max_by_key(|logger| logger.name.len())
}

fn output(config: &AppenderConfig, choice: ColorChoice) -> Result<Output, String> {
    let (encoder, appender): (_, Box<dyn Appender>) = match config {
        AppenderConfig::Console { target, encoder } => {
            let to_stderr = matches!(target, Target::Stderr);
            let color = if to_stderr { output::stderr_has_color(choice) } else { output::stdout_has_color() };
            (encoder, Box::new(Console { to_stderr, color }))
        }
        AppenderConfig::File { path, append, encoder } => (encoder, Box::new(log(path, *append, None)?)),
        AppenderConfig::RollingFile { path, append, encoder, policy } => {
            let policy = self::policy(policy)?;
            (encoder, Box::new(log(path, *append, Some(policy))?))
        }
    };
    let text = encoder
        .as_ref()
        .and_then(|Encoder { kind: None | Some(EncoderKind::Pattern), pattern }| pattern.as_deref());
    let pattern =
        Pattern::parse(text.unwrap_or(pattern::DEFAULT)).map_err(|error| format!("pattern: {error}"))?;
    Ok(Output { pattern, appender })
}

fn log(path: &str, append: bool, policy: Option<Policy>) -> Result<Log, String> {
    let path = PathBuf::from(with_env(path)?);
    Log::open(&path, append, policy).map_err(|error| format!("cannot open {}: {error}", path.display()))
}

fn policy(config: &PolicyConfig) -> Result<Policy, String> {
    let PolicyConfig { kind: None | Some(PolicyKind::Compound), trigger: Trigger::Size { limit }, roller } =
        config;
    let roller = match roller {
        RollerConfig::Delete {} => Roller::Delete,
        RollerConfig::FixedWindow { pattern, base, count } => {
            let pattern = with_env(pattern)?;
            if !pattern.contains("{}") {
                return Err(format!("the pattern `{pattern}` of the roller has no `{{}}` for the number"));
            }
            if Path::new(&pattern).extension().is_some_and(|extension| extension == "gz") {
                return Err(format!("the pattern `{pattern}` of the roller: files are not compressed"));
            }
            if *count > 1000 {
                return Err(format!("the roller keeps {count} files; at most 1000 are possible"));
            }
            Roller::FixedWindow { pattern, base: *base, count: *count }
        }
    };
    Ok(Policy { limit_bytes: bytes(limit)?, roller })
}

/// Replaces every `$ENV{NAME}`.
fn with_env(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$ENV{") {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("`{text}`: a `}}` is missing"))?;
        let value = std::env::var(name).map_err(|_| format!("`{text}`: the variable {name} is not set"))?;
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn level(text: &str) -> Result<LevelFilter, String> {
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    if !known.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(format!("`{text}` is no level; there are {}", known.join(", ")));
    }
    text.parse().map_err(|_| format!("`{text}` is no level"))
}

/// A number and a unit, with or without a blank between them.
fn quantity(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write `30 seconds`, `5 minutes` or the like");
    let (number, unit) = quantity(text).ok_or_else(wrong)?;
    let secs = match unit.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        _ => return Err(wrong()),
    };
    let secs = number.checked_mul(secs).filter(|secs| *secs > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(secs))
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write `10 mb`, `500 kb` or the like");
    let (number, unit) = quantity(text).ok_or_else(wrong)?;
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "kb" | "kib" => 1 << 10,
        "mb" | "mib" => 1 << 20,
        "gb" | "gib" => 1 << 30,
        "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        Plan::parse(text, ColorChoice::Never)
    }

    #[test]
    fn loggers_inherit() {
        let plan = plan(
            "refresh_rate: 30 seconds
appenders:
  a: { kind: console }
  b: { kind: console, target: stderr, encoder: { kind: pattern, pattern: '{m}{n}' } }
root: { level: warn, appenders: [a] }
loggers:
  tremor_runtime: { level: info, appenders: [b], additive: false }
  tremor: { level: INFO, appenders: [b] }
  tremor::deep: { level: off }
  tremor::plain: {}
",
        )
        .unwrap();
        assert_eq!(plan.refresh, Some(Duration::from_secs(30)));
        assert_eq!(plan.max_level(), LevelFilter::INFO);
        let count = |level, target| plan.outputs(level, target).len();
        assert_eq!(count(Level::WARN, "elsewhere"), 1);
        assert_eq!(count(Level::INFO, "elsewhere"), 0);
        assert_eq!(count(Level::INFO, "tremor_runtime::flow"), 1);
        assert_eq!(count(Level::INFO, "tremor_runtimes"), 0);
        assert_eq!(count(Level::INFO, "tremor"), 2, "additive");
        assert_eq!(count(Level::ERROR, "tremor::deep::er"), 0);
        assert_eq!(count(Level::INFO, "tremor::plain"), 2, "level and appenders of the parent");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("[", ""),
            ("apenders: {}", "apenders"),
            ("root: {level: loud}", "`loud`"),
            ("root: {appenders: [x]}", "`x`"),
            ("appenders: {a: {kind: syslog}}", "syslog"),
            ("appenders: {a: {kind: console, encoder: {pattern: '{q}'}}}", "`{q}`"),
            ("appenders: {a: {kind: file, path: '/proc/no/x'}}", "/proc/no/x"),
            ("appenders: {a: {kind: file, path: '$ENV{NO_SUCH_VARIABLE}/x'}}", "NO_SUCH_VARIABLE"),
            (
                "appenders: {a: {kind: rolling_file, path: x, policy: {trigger: {kind: size, limit: 1 ml}, roller: {kind: delete}}}}",
                "`1 ml`",
            ),
            (
                "appenders: {a: {kind: rolling_file, path: x, policy: {trigger: {kind: time}, roller: {kind: delete}}}}",
                "time",
            ),
            ("refresh_rate: often", "`often`"),
            ("refresh_rate: 0 s", "`0 s`"),
        ] {
            let error = plan(text).err().unwrap_or_else(|| panic!("{text} is accepted"));
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn quantities_have_units() {
        assert_eq!(bytes("10 mb"), Ok(10 << 20));
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(duration("2minutes"), Ok(Duration::from_secs(120)));
        assert!(bytes("99999999999 tb").is_err() && bytes("mb").is_err());
    }
}
