//! `before.yaml`: processes that are there before the process under test (`spec/cli.md` 3.6).

use super::{
    http::Target,
    limits::{Limits, Stop},
    process::{Additions, Background, Ended, Launch, Logs},
    runner::Runner,
    yaml::{self, Env, Text},
};
use serde::Deserialize;
use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const FILE: &str = "before.yaml";
const POLL: Duration = Duration::from_millis(100);
/// How long an entry without conditions is waited for: folders prepare their input this way.
const GRACE: Duration = Duration::from_millis(500);
const CONNECT_TIME: Duration = Duration::from_secs(1);
const HTTP_TIME: Duration = Duration::from_secs(5);
/// Stands for a process that was ended by a signal.
const BY_SIGNAL: i32 = 99;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    cmd: Text,
    #[serde(default)]
    args: Vec<Text>,
    dir: Option<Text>,
    #[serde(default)]
    env: Env,
    r#await: Option<Await>,
    max_await_secs: Option<u64>,
    #[serde(default)]
    min_await_secs: u64,
}

/// Conditions as they are written; unknown ones are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Await {
    port_open: Vec<Text>,
    http_ok: Vec<Text>,
    file_exists: Vec<Text>,
    wait_for_ms: Vec<u64>,
    status: Vec<i32>,
}

/// Starts the processes of `folder`, if it has any, and awaits their conditions. What was started is in `started`,
/// after an error, too.
pub(super) async fn start(
    runner: &Runner,
    folder: &Path,
    env: &Additions,
    limits: &Limits<'_>,
    started: &mut Vec<Background>,
) -> Result<(), Stop> {
    let file = folder.join(FILE);
    if !file.exists() {
        return Ok(());
    }
    let entries: Vec<Entry> = yaml::read(&file).map_err(Stop::Failed)?;
    for (number, entry) in entries.iter().enumerate() {
        let mut env = env.clone();
        env.extend(yaml::pairs(&entry.env));
        let dir = folder.join(entry.dir.as_ref().map_or(".", |dir| &dir.0));
        let args: Vec<String> = entry.args.iter().map(|arg| arg.0.clone()).collect();
        let launch = Launch::new(&runner.tremor, &entry.cmd.0, &args, &dir, env)?;
        let process = Background::start(&launch, &logs(folder, number))?;
        let ready = limits.run(ready(entry, &process, launch.dir())).await;
        started.push(process);
        ready??;
    }
    Ok(())
}

/// Where entry `number` writes to.
pub(super) fn logs(folder: &Path, number: usize) -> Logs {
    Logs {
        stdout: folder.join(format!("before.out.{number}.log")),
        stderr: folder.join(format!("before.err.{number}.log")),
    }
}

/// Waits until an entry is as its description wants it.
async fn ready(entry: &Entry, process: &Background, dir: &Path) -> Result<(), Stop> {
    match &entry.r#await {
        Some(written) => {
            let conditions = Conditions::check(written, dir)?;
            conditions.hold(entry.max_await_secs, process).await?;
        }
        None => {
            process.wait(GRACE).await;
        }
    }
    sleep(Duration::from_secs(entry.min_await_secs)).await;
    Ok(())
}

/// Conditions that make sense.
struct Conditions {
    ports: Vec<u16>,
    urls: Vec<Target>,
    files: Vec<PathBuf>,
    times: Vec<Duration>,
    status: Vec<i32>,
}

impl Conditions {
    fn check(written: &Await, dir: &Path) -> Result<Self, Stop> {
        let mut ports = Vec::new();
        for port in &written.port_open {
            match port.0.trim().parse::<u64>() {
                Ok(number) => ports.push(u16::try_from(number).map_err(|_| {
                    Stop::failed(format!("`port-open`: {number} is not a port (0 to 65535)"))
                })?),
                Err(_) => {
                    tracing::warn!(target: "tremor", "`port-open`: `{}` is not a number; ignored", port.0);
                }
            }
        }
        let urls = written.http_ok.iter().map(|url| Target::parse(&url.0)).collect::<Result<_, _>>();
        Ok(Self {
            ports,
            urls: urls.map_err(Stop::Failed)?,
            files: written.file_exists.iter().map(|file| dir.join(&file.0)).collect(),
            times: written.wait_for_ms.iter().map(|ms| Duration::from_millis(*ms)).collect(),
            status: written.status.clone(),
        })
    }

    /// Looks again and again until all conditions hold in one round.
    ///
    /// `limit_secs` counts from now and is 0 if it is not written, with one exception: an entry that waits for the
    /// end of its process and names no limit is waited for as long as it takes, as existing folders expect.
    async fn hold(&self, limit_secs: Option<u64>, process: &Background) -> Result<(), Stop> {
        let began = Instant::now();
        let limit = match limit_secs {
            None if !self.status.is_empty() => None,
            secs => Some(Duration::from_secs(secs.unwrap_or(0))),
        };
        let http_limit = limit.map_or(HTTP_TIME, |limit| limit.min(HTTP_TIME));
        loop {
            let unmet = self.first_unmet(began, process, http_limit).await?;
            let Some(unmet) = unmet else { return Ok(()) };
            if let Some(limit) = limit.filter(|limit| began.elapsed() >= *limit) {
                return Err(Stop::failed(format!(
                    "Before command: {} did not fulfil conditions ({unmet}) and timed out after {}s",
                    process.shown,
                    limit.as_secs()
                )));
            }
            sleep(POLL).await;
        }
    }

    /// What does not hold yet, in words, or `None` if everything does.
    async fn first_unmet(
        &self,
        began: Instant,
        process: &Background,
        http_limit: Duration,
    ) -> Result<Option<String>, Stop> {
        if let Some(time) = self.times.iter().find(|time| began.elapsed() <= **time) {
            return Ok(Some(format!("wait-for-ms: {}", time.as_millis())));
        }
        if !self.status.is_empty() {
            let code = match process.ended() {
                None => return Ok(Some("status: still running".to_owned())),
                Some(Ended::Code(code)) => code,
                Some(Ended::Signal(_)) => BY_SIGNAL,
            };
            if !self.status.contains(&code) {
                let message = format!(
                    "Before command: {} ended with status {code}, which is not awaited",
                    process.shown
                );
                return Err(Stop::Failed(message));
            }
        }
        if let Some(file) = self.files.iter().find(|file| !file.exists()) {
            return Ok(Some(format!("file-exists: {}", file.display())));
        }
        for port in &self.ports {
            if !is_open(*port).await {
                return Ok(Some(format!("port-open: {port}")));
            }
        }
        for url in &self.urls {
            match within(http_limit, url.is_ok()).await {
                Some(true) => {}
                Some(false) => return Ok(Some("http-ok".to_owned())),
                None => {
                    let secs = http_limit.as_secs();
                    let message =
                        format!("Before command: {}: no answer to `http-ok` in {secs}s", process.shown);
                    return Err(Stop::Failed(message));
                }
            }
        }
        Ok(None)
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    timeout(limit, work).await.ok()
}

/// `true` if something on this host accepts connections on `port`.
async fn is_open(port: u16) -> bool {
    for host in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        if let Some(Ok(_)) = within(CONNECT_TIME, TcpStream::connect((host, port))).await {
            return true;
        }
    }
    false
}

/// Tells about processes that ended badly, and ends the others.
pub(super) async fn finish(started: Vec<Background>) {
    for process in started.into_iter().rev() {
        match process.ended() {
            None | Some(Ended::Code(0)) => {}
            Some(Ended::Code(code)) => crate::output::stderr_line(&format!(
                "Before process {} terminated with exit code {code}",
                process.shown
            )),
            Some(Ended::Signal(_)) => {
                crate::output::stderr_line(&format!(
                    "Before process {} terminated by some signal",
                    process.shown
                ));
            }
        }
        process.stop().await;
    }
}
