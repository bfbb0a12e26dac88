//! A whole run: which suites, in which order, with which result (`spec/cli.md` 3.2, 3.3 and 3.12).

use super::{
    command,
    console::{Console, Stats, elapsed},
    discovery::{self, Kind, Suite},
    integration,
    limits::Stop,
    report::{AllStats, Metadata, Report, TestReport},
    tags::{Filter, TAGS_FILE, Tags},
};
use crate::{
    Interrupts,
    args::{TestMode, TestOptions},
    output,
};
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// What every test of a run needs to know.
pub(super) struct Runner {
    /// The folder that was named, canonical.
    pub(super) base: PathBuf,
    /// The binary that tests call `tremor`.
    pub(super) tremor: PathBuf,
    pub(super) filter: Filter,
    pub(super) console: Console,
    pub(super) interrupts: Interrupts,
    /// Limit of one integration test.
    pub(super) timeout: Option<Duration>,
    pub(super) verbose: bool,
    pub(super) wants_report: bool,
    pub(super) rust_log: String,
    pub(super) tremor_path: Option<String>,
}

/// Results so far.
#[derive(Default)]
struct Results {
    stats: BTreeMap<Kind, Stats>,
    /// Failures that belong to no kind: a suite whose description cannot be read.
    unknown: Stats,
    reports: BTreeMap<Kind, Vec<TestReport>>,
}

impl Results {
    fn add(&mut self, kind: Kind, stats: &Stats, reports: Vec<TestReport>) {
        self.stats.entry(kind).or_default().add(stats);
        if !reports.is_empty() {
            self.reports.entry(kind).or_default().extend(reports);
        }
    }

    fn of(&self, kind: Kind) -> Stats {
        self.stats.get(&kind).cloned().unwrap_or_default()
    }

    fn total(&self) -> Stats {
        let mut total = self.unknown.clone();
        self.stats.values().for_each(|stats| total.add(stats));
        total
    }
}

/// Runs what the options select and prints everything but the error of a run that could not be carried out.
pub(super) async fn run(options: &TestOptions) -> Result<ExitCode, Stop> {
    let began = Instant::now();
    let mut runner = Runner::new(options)?;
    let mut results = Results::default();
    let metas = discovery::meta_files(&runner.base);
    let go_on = if metas.is_empty() {
        runner.run_single_folder(options.mode, &mut results).await?
    } else {
        runner.run_suites(options.mode, &metas, &mut results).await?;
        true
    };
    if !go_on {
        return Ok(ExitCode::SUCCESS);
    }
    runner.print_totals(&results, began.elapsed());
    if let Some(file) = &options.report {
        runner.write_report(&results, file)?;
    }
    let total = results.total();
    if total.fail == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output::error(&format!("{} out of {} tests failed.", total.fail, total.total()));
    output::stderr_line(&format!("Failed tests: {}", total.failed_test_names.join(", ")));
    Ok(ExitCode::FAILURE)
}

impl Runner {
    fn new(options: &TestOptions) -> Result<Self, Stop> {
        let path = options.path.display();
        let base = options
            .path
            .canonicalize()
            .map_err(|error| Stop::failed(format!("Failed to canonicalize path `{path}`: {error}")))?;
        if !base.is_dir() {
            let folder = options.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).display();
            return Err(Stop::failed(format!(
                "`{path}` is a file; name the folder that it is in: `{folder}`"
            )));
        }
        if base.to_str().is_none() {
            return Err(Stop::failed(format!("The path `{path}` is not valid UTF-8")));
        }
        Ok(Self {
            base,
            tremor: binary()?,
            filter: Filter { includes: options.includes.clone(), excludes: options.excludes.clone() },
            console: Console::new(),
            interrupts: Interrupts::listen()
                .map_err(|error| Stop::failed(format!("Cannot handle signals: {error}")))?,
            timeout: options.timeout.map(Duration::from_secs),
            verbose: options.verbose,
            wants_report: options.report.is_some(),
            rust_log: env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()),
            tremor_path: env::var_os("TREMOR_PATH")
                .filter(|path| !path.is_empty())
                .map(|path| path.to_string_lossy().into_owned()),
        })
    }

    /// One suite after the other, as far as `mode` wants them.
    async fn run_suites(
        &mut self,
        mode: TestMode,
        metas: &[PathBuf],
        results: &mut Results,
    ) -> Result<(), Stop> {
        for meta in metas {
            self.go_on().await?;
            let suite = match Suite::read(meta) {
                Ok(suite) => suite,
                Err(message) => {
                    self.console.mark(false, &message);
                    results.unknown.failed(meta.display().to_string());
                    continue;
                }
            };
            if mode != TestMode::All && kind_of(mode) != suite.kind {
                continue;
            }
            match suite.kind {
                Kind::All => self.filter.includes.push("all".to_owned()),
                kind @ (Kind::Bench | Kind::Integration) => {
                    self.process_suite(kind, &suite.matching_folders(), results).await?;
                }
                Kind::Command => self.command_suite(&suite.folder, results).await?,
                kind @ Kind::Unit if mode == TestMode::All => {
                    let folder = suite.folder.display();
                    output::warning(&format!("{kind} suites are not run by this version; skipped: {folder}"));
                    results.add(kind, &Stats { skip: 1, ..Stats::default() }, Vec::new());
                }
                kind @ Kind::Unit => return Err(not_run(kind)),
            }
            if self.console.is_closed() {
                break;
            }
        }
        Ok(())
    }

    /// Nothing new is begun after a signal, be it one that came while nothing could be waited for.
    async fn go_on(&self) -> Result<(), Stop> {
        tokio::task::yield_now().await;
        self.interrupts.last().map_or(Ok(()), |signal| Err(Stop::Signal(signal)))
    }

    /// The integration tests or benchmarks of one suite.
    async fn process_suite(
        &self,
        kind: Kind,
        folders: &[PathBuf],
        results: &mut Results,
    ) -> Result<(), Stop> {
        let found = kind.to_string();
        self.console.heading(0, "Framework", &format!("Finding {} test scenarios", found.to_lowercase()));
        let (mut stats, mut reports) = (Stats::default(), Vec::new());
        for folder in folders {
            let is_test = folder.join(TAGS_FILE).is_file();
            // A benchmark that the tags leave out counts even if it is none.
            if !is_test && kind != Kind::Bench {
                continue;
            }
            self.go_on().await?;
            let tags = Tags::of_folder(&self.base, folder);
            if !self.filter.passes(&tags) {
                let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
                self.console.heading(2, &found, &format!("Skipping {name}"));
                self.console.line(&format!("    Tags:  {tags}"));
                stats.skip += 1;
            } else if is_test {
                reports.push(integration::run(self, kind, folder, &tags, &mut stats).await?);
            }
            if self.console.is_closed() {
                break;
            }
        }
        self.console.stats(&format!("  {found} Stats"), &stats);
        results.add(kind, &stats, reports);
        Ok(())
    }

    async fn command_suite(&self, folder: &Path, results: &mut Results) -> Result<(), Stop> {
        self.console.heading(0, "Framework", "Finding command test scenarios");
        let (mut stats, mut reports, mut executed) = (Stats::default(), Vec::new(), 0);
        for file in discovery::command_files(folder) {
            self.go_on().await?;
            reports.push(command::run(self, &file, &mut executed, &mut stats).await?);
            if self.console.is_closed() {
                break;
            }
        }
        self.console.stats("  Command Stats", &stats);
        results.add(Kind::Command, &stats, reports);
        Ok(())
    }

    /// The base is a test folder itself. `false` means that there is nothing to report.
    async fn run_single_folder(&self, mode: TestMode, results: &mut Results) -> Result<bool, Stop> {
        if mode == TestMode::Unit {
            return Err(not_run(Kind::Unit));
        }
        let commands = mode == TestMode::Command && !discovery::command_files(&self.base).is_empty();
        if discovery::troy_files(&self.base).is_empty() && !commands {
            return Err(Stop::failed("Specified folder does not contain a runnable test"));
        }
        if mode == TestMode::Bench && !self.base.join(TAGS_FILE).is_file() {
            let file = TAGS_FILE;
            return Err(Stop::failed(format!("Specified folder is not a benchmark: it has no `{file}`")));
        }
        let tags = Tags::of_folder(&self.base, &self.base);
        // The cases of a command suite bring tags of their own and are filtered one by one.
        if mode != TestMode::Command && !self.filter.passes(&tags) {
            return Err(Stop::failed("Specified test folder is excluded from running."));
        }
        match mode {
            TestMode::All => {
                output::stderr_line("No tests run: Don't know how to run test of kind All");
                return Ok(false);
            }
            TestMode::Bench | TestMode::Integration => {
                let (kind, mut stats) = (kind_of(mode), Stats::default());
                let report = integration::run(self, kind, &self.base, &tags, &mut stats).await?;
                results.add(kind, &stats, vec![report]);
            }
            TestMode::Command => self.command_suite(&self.base, results).await?,
            TestMode::Unit => return Err(not_run(Kind::Unit)),
        }
        Ok(true)
    }

    fn print_totals(&self, results: &Results, took: Duration) {
        self.console.line("");
        for kind in [Kind::Bench, Kind::Integration, Kind::Command, Kind::Unit] {
            self.console.stats(&format!("All {kind} Stats"), &results.of(kind));
        }
        self.console.stats("Total Stats", &results.total());
        self.console.line(&format!("Total Elapsed: {}", elapsed(took)));
    }

    fn write_report(&self, results: &Results, file: &Path) -> Result<(), Stop> {
        let of = |kind| results.of(kind);
        let report = Report {
            metadata: Metadata::new(),
            includes: &self.filter.includes,
            excludes: &self.filter.excludes,
            reports: &results.reports,
            stats: AllStats {
                all: &results.total(),
                bench: &of(Kind::Bench),
                integration: &of(Kind::Integration),
                command: &of(Kind::Command),
                unit: &of(Kind::Unit),
            },
        };
        let failed = |error: &dyn std::fmt::Display| {
            Stop::failed(format!("Cannot write the report to {}: {error}", file.display()))
        };
        let mut text = serde_json::to_vec(&report).map_err(|error| failed(&error))?;
        text.push(b'\n');
        std::fs::write(file, text).map_err(|error| failed(&error))
    }
}

fn kind_of(mode: TestMode) -> Kind {
    match mode {
        TestMode::All => Kind::All,
        TestMode::Bench => Kind::Bench,
        TestMode::Command => Kind::Command,
        TestMode::Integration => Kind::Integration,
        TestMode::Unit => Kind::Unit,
    }
}

fn not_run(kind: Kind) -> Stop {
    Stop::failed(format!(
        "{kind} tests are not run by this version; it runs benchmarks, integration and command tests"
    ))
}

/// `TREMOR_BIN`, or the running executable.
fn binary() -> Result<PathBuf, Stop> {
    let failed = |what: &str, error: std::io::Error| Stop::failed(format!("{what}: {error}"));
    match env::var_os("TREMOR_BIN").filter(|path| !path.is_empty()) {
        Some(path) => {
            let path = PathBuf::from(path);
            let text = format!("TREMOR_BIN names `{}`", path.display());
            path.canonicalize().map_err(|error| failed(&text, error))
        }
        None => env::current_exe().map_err(|error| failed("Cannot tell which program this is", error)),
    }
}
