//! Command suites: command lines and what they print (`spec/cli.md` 3.10).

use super::{
    after, assert,
    assert::{Check, Entry, Files},
    before,
    console::{Stats, elapsed},
    limits::{Limits, Stop},
    process::{Launch, Logs, run_to_end},
    report::{TestReport, TestRun},
    runner::Runner,
    tags::Tags,
    yaml::{self, Env, Text},
};
use serde::Deserialize;
use std::{path::Path, time::Instant};

/// What a `command.yml` says; its own name and tags are ignored.
#[derive(Debug, Deserialize)]
struct CommandFile {
    suites: Vec<CommandSuite>,
}

#[derive(Debug, Deserialize)]
struct CommandSuite {
    name: Text,
    #[serde(default)]
    tags: Vec<Text>,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    name: Text,
    command: Text,
    #[serde(default)]
    env: Env,
    #[serde(default)]
    tags: Vec<Text>,
    status: i64,
    expects: Vec<Entry>,
}

/// Runs one `command.yml`. `executed` counts the executed cases of the whole command suite.
///
/// # Errors
/// Only if the runner itself was told to end.
pub(super) async fn run(
    runner: &Runner,
    file: &Path,
    executed: &mut usize,
    total: &mut Stats,
) -> Result<TestReport, Stop> {
    let began = Instant::now();
    let folder = file.parent().unwrap_or(file);
    let mut of_file = OfFile { runner, folder, stats: Stats::default(), runs: Vec::new(), executed };
    let done = match yaml::read::<CommandFile>(file) {
        Ok(content) => of_file.run_between(&content).await,
        Err(message) => Err(Stop::Failed(message)),
    };
    match done {
        Ok(()) => {}
        Err(Stop::Signal(signal)) => return Err(Stop::Signal(signal)),
        Err(stop) => {
            runner.console.mark(false, &stop.to_string());
            of_file.stats.failed(file.display().to_string());
            let checks = [Check::broken(file.display().to_string(), stop.to_string())];
            let name = file.display().to_string();
            let run =
                TestRun::new(&name, "command test suite", &checks, of_file.stats.clone(), began.elapsed());
            of_file.runs.push((name, run));
        }
    }
    let OfFile { stats, runs, .. } = of_file;
    total.add(&stats);
    Ok(TestReport::new(runs, stats, began.elapsed()))
}

struct OfFile<'a> {
    runner: &'a Runner,
    folder: &'a Path,
    stats: Stats,
    runs: Vec<(String, TestRun)>,
    executed: &'a mut usize,
}

impl OfFile<'_> {
    /// All cases, between `before.yaml` and `after.yaml`.
    async fn run_between(&mut self, file: &CommandFile) -> Result<(), Stop> {
        let (runner, folder, none) = (self.runner, self.folder, Vec::new());
        let limits = Limits::of_test(None, &runner.interrupts);
        let mut started = Vec::new();
        let done = async {
            before::start(runner, folder, &none, &limits, &mut started).await?;
            for suite in &file.suites {
                self.run_suite(suite, &limits).await?;
            }
            Ok(())
        }
        .await;
        let cleanup = Limits::of_cleanup(None, &runner.interrupts);
        let after = after::run(runner, folder, &none, &cleanup).await;
        before::finish(started).await;
        match (done, after) {
            (Ok(()), Err(Stop::Failed(message))) => Err(Stop::Failed(format!("after.yaml: {message}"))),
            (Ok(()), after) => after,
            (done, _) => done,
        }
    }

    async fn run_suite(&mut self, suite: &CommandSuite, limits: &Limits<'_>) -> Result<(), Stop> {
        let name = suite.name.0.trim();
        let mut of_suite = Tags::of_folder(&self.runner.base, self.folder);
        of_suite.extend(suite.tags.iter().map(|tag| tag.0.clone()));
        let mut announced = false;
        for case in &suite.cases {
            let mut tags = of_suite.clone();
            tags.extend(case.tags.iter().map(|tag| tag.0.clone()));
            if !self.runner.filter.passes(&tags) {
                if self.runner.verbose {
                    self.runner.console.heading(4, "Command Test ( Skipping )", case.name.0.trim());
                }
                continue;
            }
            if !announced {
                self.runner.console.heading(2, "Command Suite", &format!(": {name}"));
                announced = true;
            }
            self.run_case(case, &tags, limits).await?;
        }
        Ok(())
    }

    async fn run_case(&mut self, case: &Case, tags: &Tags, limits: &Limits<'_>) -> Result<(), Stop> {
        let (began, name) = (Instant::now(), case.name.0.trim());
        let console = &self.runner.console;
        console.heading(4, "Command Test", name);
        console.line(&format!("    Tags:  {tags}"));
        let number = *self.executed;
        *self.executed += 1;
        let logs = Logs {
            stdout: self.folder.join(format!("fg.{number}.out.log")),
            stderr: self.folder.join(format!("fg.{number}.err.log")),
        };
        let mut skipped = 0;
        let checks = match self.execute(case, &logs, limits).await {
            Ok(checks) => checks.into_iter().fold(Vec::new(), |mut all, checks| {
                match checks {
                    Some(checks) => all.extend(checks),
                    None => skipped += 1,
                }
                all
            }),
            Err(Stop::Failed(message)) => vec![Check::broken(name, message)],
            Err(stop) => return Err(stop),
        };
        let mut stats = Stats { skip: skipped, ..Stats::default() };
        for (number, check) in checks.iter().enumerate() {
            let text = if number == 0 { format!("Status {name}") } else { check.description.clone() };
            let text = if check.description == check.info { check.info.clone() } else { text };
            assert::print(console, number, &text, check);
            if check.passed {
                stats.pass += 1;
            } else {
                stats.failed(check.subject.clone());
            }
        }
        stats.asserts = stats.pass + stats.fail;
        console.stats("    Test Stats", &stats);
        console.line(&format!("    Elapsed: {}", elapsed(began.elapsed())));
        self.stats.add(&stats);
        let run = TestRun::new(name, "command test suite", &checks, stats, began.elapsed());
        self.runs.push((name.to_owned(), run));
        Ok(())
    }

    /// Runs the command of a case and compares; `None` stands for an entry that expects nothing.
    async fn execute(
        &self,
        case: &Case,
        logs: &Logs,
        limits: &Limits<'_>,
    ) -> Result<Vec<Option<Vec<Check>>>, Stop> {
        let command = case.command.0.trim();
        let words = shell_words::split(command)
            .map_err(|error| Stop::failed(format!("Cannot split the command `{command}`: {error}")))?;
        let (program, args) =
            words.split_first().ok_or_else(|| Stop::failed("The case has an empty command"))?;
        let env = yaml::pairs(&case.env).collect();
        let launch = Launch::new(&self.runner.tremor, program, args, self.folder, env)?;
        let ended = run_to_end(&launch, logs, None, limits).await?;
        let files = Files { folder: self.folder, logs };
        files.check_targets(&case.expects).map_err(Stop::Failed)?;
        let status = assert::check_status(case.name.0.trim(), case.status, ended);
        Ok([Some(vec![status])]
            .into_iter()
            .chain(case.expects.iter().map(|entry| files.check(entry)))
            .collect())
    }
}
