//! `after.yaml`: commands that run when the process under test has ended (`spec/cli.md` 3.7).

use super::{
    limits::{Limits, Stop},
    process::{Additions, Launch, Logs, run_to_end},
    runner::Runner,
    yaml::{self, Env, OneOrMany, Text},
};
use serde::Deserialize;
use std::path::Path;

const FILE: &str = "after.yaml";

#[derive(Debug, Deserialize)]
struct Entry {
    dir: Text,
    cmd: Text,
    args: Vec<Text>,
    #[serde(default)]
    env: Env,
}

/// Runs every command of `folder` in order, if there are any; their exit codes are ignored. One that cannot be
/// started does not keep the next ones from running; the first such failure is returned at the end.
pub(super) async fn run(
    runner: &Runner,
    folder: &Path,
    env: &Additions,
    limits: &Limits<'_>,
) -> Result<(), Stop> {
    let file = folder.join(FILE);
    if !file.exists() {
        return Ok(());
    }
    let OneOrMany(entries) = yaml::read::<OneOrMany<Entry>>(&file).map_err(Stop::Failed)?;
    let mut first_failure = Ok(());
    for (number, entry) in entries.iter().enumerate() {
        match run_entry(runner, folder, env, limits, number, entry).await {
            Err(Stop::Failed(message)) if first_failure.is_ok() => first_failure = Err(Stop::Failed(message)),
            Ok(()) | Err(Stop::Failed(_)) => {}
            limit @ Err(_) => return limit,
        }
    }
    first_failure
}

async fn run_entry(
    runner: &Runner,
    folder: &Path,
    env: &Additions,
    limits: &Limits<'_>,
    number: usize,
    entry: &Entry,
) -> Result<(), Stop> {
    let mut env = env.clone();
    env.extend(yaml::pairs(&entry.env));
    let args: Vec<String> = entry.args.iter().map(|arg| arg.0.clone()).collect();
    let launch = Launch::new(&runner.tremor, &entry.cmd.0, &args, &folder.join(&entry.dir.0), env)?;
    run_to_end(&launch, &logs(folder, number), None, limits).await.map(|_ignored| ())
}

/// Where command `number` writes to.
pub(super) fn logs(folder: &Path, number: usize) -> Logs {
    Logs {
        stdout: folder.join(format!("after.out.{number}.log")),
        stderr: folder.join(format!("after.err.{number}.log")),
    }
}
