//! One integration test or benchmark: a server process and what surrounds it (`spec/cli.md` 3.5 and 3.9).

use super::{
    after, assert,
    assert::{AssertFile, Check, Files},
    before,
    console::{Stats, elapsed},
    discovery::{Kind, troy_files},
    limits::{Limits, Stop},
    process::{Additions, Ended, Launch, Logs, run_to_end},
    report::{TestReport, TestRun, add_evidence},
    runner::Runner,
    tags::Tags,
    yaml::{self, Env},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    time::{Duration, Instant},
};

const ENV_FILE: &str = "env.yaml";
const STDIN_FILE: &str = "stdin";
/// So much of a log is shown on the console.
const MAX_SHOWN_BYTES: u64 = 64 * 1024;

/// How a test turned out.
#[derive(Default)]
struct Verdict {
    passed: bool,
    /// Name in the report, from the assert file.
    name: String,
    checks: Vec<Check>,
    skipped: u64,
    has_asserts: bool,
}

impl Verdict {
    fn broken(folder: &Path, message: String) -> Self {
        let check = Check::broken(folder.display().to_string(), message);
        Self { name: folder.display().to_string(), checks: vec![check], ..Self::default() }
    }

    /// Counts of the asserts alone.
    fn stats(&self) -> Stats {
        let mut stats = Stats { skip: self.skipped, ..Stats::default() };
        for check in &self.checks {
            if check.passed {
                stats.pass += 1;
            } else {
                stats.failed(check.subject.clone());
            }
        }
        stats.asserts = stats.pass + stats.fail;
        stats
    }
}

/// Runs the test in `folder`, which has already passed the filter, and adds its result to `suite`. The report
/// comes back if one is wanted.
///
/// A benchmark (`kind`) differs in little: it has no time limit, what it prints is shown line by line, and the suite
/// does not count its asserts.
///
/// # Errors
/// Only if the runner itself was told to end; the test has been cleaned up after then.
pub(super) async fn run(
    runner: &Runner,
    kind: Kind,
    folder: &Path,
    tags: &Tags,
    suite: &mut Stats,
) -> Result<TestReport, Stop> {
    let began = Instant::now();
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
    runner.console.heading(2, &kind.to_string(), &format!("Running {name}"));
    runner.console.line(&format!("    Tags:  {tags}"));

    let logs = Logs { stdout: folder.join("fg.out.log"), stderr: folder.join("fg.err.log") };
    let test = Test { runner, kind, folder, logs: &logs };
    let verdict = test.carry_out().await?;
    let took = began.elapsed();

    let stats = verdict.stats();
    if kind != Kind::Bench {
        suite.asserts += stats.asserts;
    }
    if verdict.passed {
        suite.pass += 1;
    } else {
        suite.failed(folder.display().to_string());
    }
    runner.console.stats("   Stats", &stats);
    runner.console.line(&format!("    Elapsed: {}", elapsed(took)));
    runner.console.line("");
    Ok(test.report(&verdict, stats, took))
}

/// One test on its way.
struct Test<'a> {
    runner: &'a Runner,
    kind: Kind,
    folder: &'a Path,
    logs: &'a Logs,
}

impl Test<'_> {
    /// The sequence of a test. Whatever happens in it, `after.yaml` runs and no process stays behind.
    async fn carry_out(&self) -> Result<Verdict, Stop> {
        let Self { runner, kind, folder, .. } = *self;
        let timeout = runner.timeout.filter(|_| kind != Kind::Bench);
        let limits = Limits::of_test(timeout, &runner.interrupts);
        let env = match self.environment() {
            Ok(env) => env,
            Err(message) => return Ok(self.broken(message)),
        };
        let mut started = Vec::new();
        let ended = async {
            before::start(runner, folder, &env, &limits, &mut started).await?;
            self.foreground(&env, &limits).await
        }
        .await;
        let cleanup = Limits::of_cleanup(timeout, &runner.interrupts);
        let after = after::run(runner, folder, &env, &cleanup).await;
        let verdict = match (ended, after) {
            (Err(Stop::Signal(signal)), _) | (_, Err(Stop::Signal(signal))) => Err(Stop::Signal(signal)),
            (Err(Stop::Timeout), _) => Ok(self.broken(format!("Timeout running test {}", folder.display()))),
            (Err(Stop::Failed(message)), _) => Ok(self.broken(message)),
            (Ok(ended), Ok(())) => Ok(self.judge(ended)),
            (Ok(ended), Err(stop)) => {
                let mut verdict = self.judge(ended);
                let failed = self.broken(format!("after.yaml: {stop}"));
                verdict.passed = false;
                verdict.checks.extend(failed.checks);
                Ok(verdict)
            }
        };
        before::finish(started).await;
        verdict
    }

    fn broken(&self, message: String) -> Verdict {
        self.runner.console.mark(false, &message);
        Verdict::broken(self.folder, message)
    }

    /// What is added to the environment of the runner (`spec/cli.md` 3.5, step 3).
    fn environment(&self) -> Result<Additions, String> {
        let Self { runner, folder, .. } = self;
        let mut env = vec![("RUST_LOG".to_owned(), runner.rust_log.clone())];
        let file = folder.join(ENV_FILE);
        if file.exists() {
            let pairs: Env = yaml::read(&file)?;
            env.extend(yaml::pairs(&pairs));
        }
        let own = format!("{}/lib:{}/lib", runner.base.display(), folder.display());
        let path = match &runner.tremor_path {
            Some(path) => format!("{path}:{own}"),
            None => own,
        };
        env.push(("TREMOR_PATH".to_owned(), path));
        Ok(env)
    }

    /// Runs the process under test to its end.
    async fn foreground(&self, env: &Additions, limits: &Limits<'_>) -> Result<Ended, Stop> {
        let Self { runner, folder, logs, .. } = self;
        let files = troy_files(folder);
        if files.is_empty() {
            tracing::warn!(target: "tremor", "There is no .troy file in {}", folder.display());
        }
        let options = ["server", "run", "-n", "--debug-connectors"].map(str::to_owned);
        let files = files.into_iter().map(|file| file.to_string_lossy().into_owned());
        let args: Vec<String> = options.into_iter().chain(files).collect();
        let launch = Launch::verbatim(&runner.tremor, args, folder, env.clone());
        let stdin = folder.join(STDIN_FILE);
        let stdin = stdin.is_file().then_some(stdin);
        run_to_end(&launch, logs, stdin.as_deref(), limits).await
    }

    /// Compares what the process did with what was expected of it, and prints every result.
    fn judge(&self, ended: Ended) -> Verdict {
        let Self { runner, kind, folder, logs } = *self;
        if kind == Kind::Bench {
            self.show(&logs.stdout, |line| runner.console.line(&format!("       | {line}")));
        }
        let file = folder.join(assert::FILE);
        if !file.exists() {
            return self.judge_without_asserts(ended);
        }
        let files = Files { folder, logs };
        let expected = yaml::read::<AssertFile>(&file)
            .and_then(|expected| files.check_targets(&expected.asserts).map(|()| expected));
        let AssertFile { status, name, asserts } = match expected {
            Ok(expected) => expected,
            Err(message) => return self.broken(message),
        };
        let name = name.0.trim().to_owned();
        let mut verdict = Verdict { has_asserts: true, ..Verdict::default() };
        let check = assert::check_status(&name, status, ended);
        assert::print(&runner.console, 0, &format!("Status {name}"), &check);
        verdict.checks.push(check);
        for entry in &asserts {
            let Some(checks) = files.check(entry) else {
                verdict.skipped += 1;
                continue;
            };
            for check in checks {
                assert::print(&runner.console, verdict.checks.len(), &check.description, &check);
                verdict.checks.push(check);
            }
        }
        verdict.passed = verdict.checks.iter().all(|check| check.passed);
        verdict.name = name;
        verdict
    }

    /// Without an assert file, exit code 0 is a pass.
    fn judge_without_asserts(&self, ended: Ended) -> Verdict {
        let console = &self.runner.console;
        let passed = ended == Ended::Code(0);
        if !passed {
            console.line("    ERROR: ");
            self.show(&self.logs.stderr, |line| console.detail(line));
        } else if self.kind != Kind::Bench {
            self.show(&self.logs.stdout, |line| console.detail(line));
        }
        Verdict { passed, name: self.folder.display().to_string(), ..Verdict::default() }
    }

    /// Prints the beginning of a log.
    fn show(&self, log: &Path, print: impl Fn(&str)) {
        let Ok(file) = File::open(log) else { return };
        let longer = file.metadata().is_ok_and(|meta| meta.len() > MAX_SHOWN_BYTES);
        for line in BufReader::new(file.take(MAX_SHOWN_BYTES)).split(b'\n').map_while(Result::ok) {
            print(&String::from_utf8_lossy(&line));
        }
        if longer {
            print(&format!("... (the rest is in {})", log.display()));
        }
    }

    fn report(&self, verdict: &Verdict, mut stats: Stats, took: Duration) -> TestReport {
        let Self { runner, kind, folder, logs } = *self;
        let is_integration = verdict.has_asserts || kind != Kind::Bench && !verdict.checks.is_empty();
        let key = if is_integration { "integration" } else { "bench" };
        if stats.total() == 0 {
            if verdict.passed {
                stats.pass = 1;
            } else {
                stats.failed(folder.display().to_string());
            }
        }
        let description = if kind == Kind::Bench { "bench test suite" } else { "integration test suite" };
        let mut run = TestRun::new(&verdict.name, description, &verdict.checks, stats.clone(), took);
        if runner.wants_report {
            run = run.with_evidence(evidence(folder, logs));
        }
        TestReport::new([(key.to_owned(), run)], stats, took)
    }
}

/// Everything that the processes of a test have written.
fn evidence(folder: &Path, logs: &Logs) -> BTreeMap<String, String> {
    let mut evidence = BTreeMap::new();
    let mut add = |name: String, logs: &Logs| {
        add_evidence(&mut evidence, format!("{name}: stdout"), &logs.stdout);
        add_evidence(&mut evidence, format!("{name}: stderr"), &logs.stderr);
    };
    add("test".to_owned(), logs);
    for (word, logs_of) in [("before", before::logs as fn(&Path, usize) -> Logs), ("after", after::logs)] {
        for number in 0.. {
            let logs = logs_of(folder, number);
            if !logs.stdout.exists() {
                break;
            }
            add(format!("{word} {number}"), &logs);
        }
    }
    evidence
}
