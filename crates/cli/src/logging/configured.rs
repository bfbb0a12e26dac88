//! Logging as a configuration file wants it, and reading that file again while the process runs.

use super::{Fields, config::Plan, pattern::Record};
use crate::{CliError, output::ColorChoice};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    thread,
};
use time::OffsetDateTime;
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// Longest file that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The plan that is in force; replaced as a whole.
type Current = Arc<RwLock<Arc<Plan>>>;

/// Starts logging by `file`.
///
/// # Errors
/// If the file cannot be loaded.
pub(super) fn init(file: &Path, choice: ColorChoice) -> Result<(), CliError> {
    let failed = |cause: String| {
        CliError::new(format!("Error loading logger-config from '{}': {cause}", file.display()))
    };
    let text = read(file).map_err(|error| failed(error.to_string()))?;
    let plan = Plan::parse(&text, choice).map_err(failed)?;
    let refreshes = plan.refresh.is_some();
    let current: Current = Arc::new(RwLock::new(Arc::new(plan)));
    // A second call in one process keeps the first logger.
    let _already_set = tracing_subscriber::registry().with(Configured(Arc::clone(&current))).try_init();
    if refreshes {
        let file = file.to_owned();
        thread::Builder::new()
            .name("logger-config".to_owned())
            .spawn(move || refresh(&file, text, choice, &current))
            .map_err(|error| failed(format!("cannot watch it: {error}")))?;
    }
    Ok(())
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// Looks at the file again and again, as often as it says itself, until it no longer says so. A file that cannot be
/// loaded changes nothing.
fn refresh(file: &Path, mut text: String, choice: ColorChoice, current: &Current) {
    while let Some(rate) = plan(current).refresh {
        thread::sleep(rate);
        let loaded = match read(file) {
            Ok(new) if new == text => continue,
            Ok(new) => Plan::parse(&new, choice).map(|plan| (new, plan)),
            Err(error) => Err(error.to_string()),
        };
        match loaded {
            Ok((new, plan)) => {
                text = new;
                *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
                tracing::callsite::rebuild_interest_cache();
            }
            Err(error) => {
                tracing::warn!(target: "tremor", "Cannot load {} again, it stays as it was: {error}", file.display());
            }
        }
    }
}

fn plan(current: &Current) -> Arc<Plan> {
    Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner))
}

struct Configured(Current);

impl<S: Subscriber> Layer<S> for Configured {
    fn enabled(&self, meta: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        meta.is_span() || !plan(&self.0).outputs(*meta.level(), meta.target()).is_empty()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(plan(&self.0).max_level())
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let (plan, meta) = (plan(&self.0), event.metadata());
        let outputs = plan.outputs(*meta.level(), meta.target());
        if outputs.is_empty() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let text = fields.into_text();
        let record = Record {
            time: OffsetDateTime::now_utc(),
            level: *meta.level(),
            target: meta.target(),
            module: meta.module_path().unwrap_or(meta.target()),
            file: meta.file().unwrap_or_default(),
            line: meta.line().unwrap_or_default(),
            message: &text,
        };
        for output in outputs {
            let mut line = String::new();
            output.pattern.render(&record, output.appender.has_color(), &mut line);
            output.appender.append(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        time::{Duration, Instant},
    };
    use tremor_codec::testing::listen;

    #[test]
    fn a_changed_file_takes_effect() {
        let dir = tempfile::tempdir().unwrap();
        let (file, log) = (dir.path().join("logger.yaml"), dir.path().join("x.log"));
        let config = |level: &str| {
            let log = log.display();
            format!(
                "refresh_rate: 1 second\nappenders: {{f: {{kind: file, path: '{log}', encoder: {{pattern: '{{l}} {{t}} {{m}}{{n}}'}}}}}}\n\
                 root: {{level: {level}, appenders: [f]}}\n"
            )
        };
        fs::write(&file, config("warn")).unwrap();
        let text = read(&file).unwrap();
        let plan = Plan::parse(&text, ColorChoice::Never).unwrap();
        let current: Current = Arc::new(RwLock::new(Arc::new(plan)));
        let subscriber = tracing_subscriber::registry().with(Configured(Arc::clone(&current)));
        let _listening = listen(subscriber);
        tracing::info!(target: "tremor", "quiet");
        tracing::warn!(target: "tremor", tries = 2, "loud");
        assert_eq!(fs::read_to_string(&log).unwrap(), "WARN tremor loud tries=2\n");

        fs::write(&file, "root: [").unwrap();
        let watched = (file.clone(), Arc::clone(&current));
        let watcher = thread::spawn(move || refresh(&watched.0, text, ColorChoice::Never, &watched.1));
        fs::write(&file, config("info").replace("refresh_rate: 1 second\n", "")).unwrap();
        let began = Instant::now();
        while !watcher.is_finished() {
            assert!(began.elapsed() < Duration::from_secs(150), "the file is not read again");
            thread::sleep(Duration::from_millis(5));
        }
        tracing::info!(target: "tremor", "heard");
        assert!(fs::read_to_string(&log).unwrap().ends_with("INFO tremor heard\n"));
    }
}
