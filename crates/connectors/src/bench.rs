//! `bench`: replays a file as fast as it can, and measures what comes back (`spec/connectors.md` 3.18).

pub(crate) mod data;
mod meter;
mod report;
mod sink;
mod source;

use async_trait::async_trait;
use data::Cut;
use meter::Plan;
use sink::{Gauge, Run};
use source::Blaster;
use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tremor_connector::config::{ConfigError, Entry, FromConfig, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, ExitSwitch, Field, Given, Sink,
    SinkUse, Spec,
};
use tremor_event::OriginUri;
use tremor_value::Bytes;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "bench",
    summary: "Replays a file as fast as it can, measures how long events took that come back, and ends the process.",
    fields: FIELDS,
    below: &[],
    needs_config: true,
    codec: CodecUse::Default("json"),
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: true,
    build,
};

const FIELDS: &[Field] = &[
    Field {
        name: "path",
        kind: "string",
        default: "",
        text: "The file, read completely when the connector is made; relative to the working directory of the process. \
               A name that ends in `.xz`, `.gz` or `.zst` is decompressed.",
    },
    Field {
        name: "interval",
        kind: "integer",
        default: "null",
        text: "Nanoseconds to wait before each event.",
    },
    Field {
        name: "chunk_size",
        kind: "integer",
        default: "null",
        text: "Cuts the data into chunks of so many bytes, not into lines.",
    },
    Field {
        name: "iters",
        kind: "integer",
        default: "null",
        text: "Ends the run after so many passes over the data.",
    },
    Field { name: "base64", kind: "bool", default: "false", text: "Every line or chunk is base64." },
    Field {
        name: "is_transactional",
        kind: "bool",
        default: "false",
        text: "Events are acknowledged, and nobody listens: to see what that costs.",
    },
    Field { name: "structured", kind: "bool", default: "false", text: "Reports as JSON, not as text." },
    Field {
        name: "stop_after_secs",
        kind: "integer",
        default: "0",
        text: "Ends the run so many seconds after the warm-up; 0: no time limit.",
    },
    Field {
        name: "warmup_secs",
        kind: "integer",
        default: "0",
        text: "What arrives in the first so many seconds is not measured.",
    },
    Field {
        name: "significant_figures",
        kind: "integer",
        default: "2",
        text: "Decimal digits of latencies that are told apart, from 0 to 5.",
    },
];

/// More digits than that are not told apart.
const MAX_DIGITS: u8 = 5;

fn build(mut config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let entry: Entry<'_> = config.required_like("path", PathBuf::EXPECTED)?;
    let path: PathBuf = entry.read()?;
    let interval = config.duration_ns("interval")?.filter(|interval| !interval.is_zero());
    let chunk_bytes: Option<NonZeroUsize> = config.optional("chunk_size")?;
    let passes: Option<NonZeroU64> = config.optional("iters")?;
    let is_base64 = config.or("base64", false)?;
    let is_transactional = config.or("is_transactional", false)?;
    let structured = config.or("structured", false)?;
    let limit = Some(config.or("stop_after_secs", 0)?).filter(|secs| *secs > 0).map(Duration::from_secs);
    let warmup = Duration::from_secs(config.or("warmup_secs", 0)?);
    // Read with a sign, so that a number below the range is told the range as well.
    let digits = config.or_in("significant_figures", 2, 0..=i64::from(MAX_DIGITS))?;
    let digits = u8::try_from(digits).unwrap_or(MAX_DIGITS);
    config.finish()?;
    let cut = chunk_bytes.map_or(Cut::Lines, Cut::Chunks);
    let pieces = load(&path, cut, is_base64).map_err(|problem| {
        entry.invalid(format!("the data file `{}` cannot be used: {problem}", path.display()))
    })?;
    // How many events a chunk holds is for the preprocessors to say; a line is taken to be one.
    let events = match (cut, passes) {
        (Cut::Lines, Some(passes)) => Some(passes.get().saturating_mul(pieces.len() as u64)),
        _ => None,
    };
    let shown = path.to_string_lossy();
    let segments = shown.split('/').filter(|segment| !segment.is_empty());
    let origin = OriginUri {
        path: segments.map(str::to_owned).collect(),
        ..OriginUri::new("tremor-blaster", &*environment.hostname)
    };
    Ok(Built::new(Bench {
        pieces: pieces.into(),
        passes,
        interval,
        is_transactional,
        structured,
        plan: Plan { warmup, limit, enough: events, digits },
        origin: Arc::new(origin),
        alias: environment.alias.clone(),
        switch: environment.exit.clone(),
        is_read: false,
        is_fed: false,
        given: None,
        timer: JoinSet::new(),
    }))
}

fn load(path: &Path, cut: Cut, is_base64: bool) -> Result<Vec<Bytes>, String> {
    let data = data::load(path).map_err(|error| error.to_string())?;
    if data.is_empty() {
        return Err("it is empty".to_owned());
    }
    data::cut(&data, cut, is_base64)
}

struct Bench {
    pieces: Arc<[Bytes]>,
    passes: Option<NonZeroU64>,
    interval: Option<Duration>,
    is_transactional: bool,
    structured: bool,
    plan: Plan,
    origin: Arc<OriginUri>,
    alias: String,
    switch: ExitSwitch,
    /// Something reads what the source half gives.
    is_read: bool,
    /// Something is linked to the sink half.
    is_fed: bool,
    /// What the source half gave.
    given: Option<Given>,
    /// Ends the run when its time is over, even if nothing arrives any more.
    timer: JoinSet<()>,
}

#[async_trait]
impl Connector for Bench {
    fn linked(&mut self, is_read: bool, is_fed: bool) {
        (self.is_read, self.is_fed) = (is_read, is_fed);
    }

    fn watch(&mut self, given: Given) {
        self.given = Some(given);
    }

    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let now = Instant::now();
        if self.is_read && self.passes.is_none() && self.plan.limit.is_none() {
            let alias = &self.alias;
            tracing::warn!(target: "tremor_runtime", "[Source::{alias}] has neither `iters` nor `stop_after_secs`: it never ends");
        }
        let source = Blaster::new(
            self.pieces.clone(),
            self.passes,
            self.interval,
            self.plan.end(now),
            self.is_transactional,
        );
        let run = self.begin_run(now)?;
        Ok(Connected::Halves {
            source: Some((Box::new(source), self.origin.clone())),
            sink: Some(Sink::Events(Box::new(Gauge::new(run)))),
        })
    }
}

impl Bench {
    /// Nobody measures where nothing can arrive.
    fn begin_run(&mut self, now: Instant) -> Result<Option<Arc<Run>>, ConnectError> {
        if !self.is_fed {
            return Ok(None);
        }
        let given = self.given.clone();
        let run = Run::start(self.plan, now, self.structured, self.alias.clone(), given, self.switch.clone());
        let run = Arc::new(run.ok_or_else(|| ConnectError::Failed("cannot measure so exactly".to_owned()))?);
        if let Some(end) = self.plan.end(now) {
            let timed = run.clone();
            self.timer.spawn(async move {
                sleep_until(end).await;
                timed.conclude().await;
            });
        }
        Ok(Some(run))
    }
}
