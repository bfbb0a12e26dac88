//! Processes of tests: how they are started, fed, watched and ended (`spec/cli.md` 3.11).
//!
//! Every process leads a process group of its own, so that it can be ended together with its children.

use super::limits::{Limits, Stop};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};
use std::{
    env,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncWriteExt},
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How often something is looked at that cannot be waited for.
const POLL: Duration = Duration::from_millis(10);
/// How long a process may take to end after SIGTERM.
const TERM_GRACE: Duration = Duration::from_secs(1);
/// How long the rest of a killed group is waited for.
const GROUP_GRACE: Duration = Duration::from_millis(200);
/// How long output is still read after the end of a process, if a child of it keeps the stream open.
const STREAM_GRACE: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// Pairs that are added to the environment of the runner; a later pair wins.
pub(super) type Additions = Vec<(String, String)>;

/// A process that is ready to be started.
#[derive(Debug)]
pub(super) struct Launch {
    program: PathBuf,
    args: Vec<String>,
    dir: PathBuf,
    env: Additions,
    /// The command line for messages.
    pub(super) shown: String,
}

impl Launch {
    /// Prepares `name args...` in the existing directory `dir`. `tremor` is the binary that `tremor` means here.
    ///
    /// # Errors
    /// If the directory does not exist or no such program is found.
    pub(super) fn new(
        tremor: &Path,
        name: &str,
        args: &[String],
        dir: &Path,
        env: Additions,
    ) -> Result<Self, Stop> {
        let shown_dir = dir.display();
        let dir = dir
            .canonicalize()
            .map_err(|error| Stop::failed(format!("Cannot run `{name}` in {shown_dir}: {error}")))?;
        let program = find_program(tremor, name, &dir, env::var_os("PATH").as_deref())
            .ok_or_else(|| Stop::failed(format!("Unable to find suitable `{name}` binary on path")))?;
        let args: Vec<String> = args.iter().map(|arg| expand(arg, &env, &dir)).collect();
        let shown = [name.to_owned()].into_iter().chain(args.iter().cloned()).collect::<Vec<_>>().join(" ");
        Ok(Self { program, args, dir, env, shown })
    }

    /// Prepares `program` with arguments in which nothing is replaced, in a canonical directory.
    pub(super) fn verbatim(program: &Path, args: Vec<String>, dir: &Path, env: Additions) -> Self {
        let shown = format!("{} {}", program.display(), args.join(" "));
        Self { program: program.to_owned(), args, dir: dir.to_owned(), env, shown }
    }

    /// The directory that it will run in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn spawn(&self, stdout: Stdio, stderr: Stdio) -> Result<Child, Stop> {
        let bad = |name: &str| name.is_empty() || name.contains(['=', '\0']);
        if let Some((name, _)) = self.env.iter().find(|(name, value)| bad(name) || value.contains('\0')) {
            return Err(Stop::failed(format!("`{name}` cannot be an environment variable with this value")));
        }
        let env = self.env.iter().map(|(name, value)| (name, value));
        Command::new(&self.program)
            .args(&self.args)
            .current_dir(&self.dir)
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Stop::failed(format!("Cannot start `{}`: {error}", self.shown)))
    }
}

/// Replaces `$NAME` for every added variable, longer names first, then `$PWD`.
fn expand(arg: &str, env: &Additions, dir: &Path) -> String {
    if !arg.contains('$') {
        return arg.to_owned();
    }
    let mut pairs: Vec<&(String, String)> = env.iter().rev().collect();
    pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let replaced =
        pairs.iter().fold(arg.to_owned(), |arg, (name, value)| arg.replace(&format!("${name}"), value));
    replaced.replace("$PWD", &dir.to_string_lossy())
}

/// `tremor`, a path, or the first executable file of that name on `path`.
fn find_program(tremor: &Path, name: &str, dir: &Path, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    let runs = |file: &Path| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name == "tremor" {
        return Some(tremor.to_owned());
    }
    if name.contains('/') {
        return Some(dir.join(name)).filter(|file| runs(file));
    }
    if name.is_empty() {
        return None;
    }
    env::split_paths(path?).map(|entry| entry.join(name)).find(|file| runs(file))
}

/// Where the output of a process goes; both files are created or truncated.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    pub(super) stdout: PathBuf,
    pub(super) stderr: PathBuf,
}

fn cannot_create(path: &Path) -> impl FnOnce(std::io::Error) -> Stop {
    move |error| Stop::failed(format!("Cannot create {}: {error}", path.display()))
}

/// Runs a process to its end. Its stdin gets the bytes of `stdin`, if given, and is then closed; its output is
/// copied byte for byte. If a limit is reached first, the process is killed with its children.
pub(super) async fn run_to_end(
    launch: &Launch,
    logs: &Logs,
    stdin: Option<&Path>,
    limits: &Limits<'_>,
) -> Result<Ended, Stop> {
    let out = File::create(&logs.stdout).await.map_err(cannot_create(&logs.stdout))?;
    let err = File::create(&logs.stderr).await.map_err(cannot_create(&logs.stderr))?;
    let input = match stdin {
        Some(path) => Some(
            File::open(path)
                .await
                .map_err(|error| Stop::failed(format!("Cannot read {}: {error}", path.display())))?,
        ),
        None => None,
    };
    let mut child = launch.spawn(Stdio::piped(), Stdio::piped())?;
    let group = group_of(&child);
    let mut copies = Copies { out: copy(child.stdout.take(), out), err: copy(child.stderr.take(), err) };
    let pipe = child.stdin.take();
    let feeding = tokio::spawn(async move {
        if let (Some(mut input), Some(mut pipe)) = (input, pipe) {
            // A process need not read all of its input.
            let _unread = tokio::io::copy(&mut input, &mut pipe).await;
        }
    });
    let ended = limits.run(child.wait()).await;
    feeding.abort();
    if ended.is_err() {
        // The leader has not been waited for, so the group's number still belongs to it.
        signal_group(group, Signal::KILL);
        let _reaped = child.wait().await;
    }
    copies
        .finish(group)
        .await
        .map_err(|error| Stop::failed(format!("Cannot copy the output of `{}`: {error}", launch.shown)))?;
    match ended? {
        Ok(status) => Ok(status.into()),
        Err(error) => Err(Stop::failed(format!("Cannot wait for `{}`: {error}", launch.shown))),
    }
}

type Copy = JoinHandle<std::io::Result<()>>;

/// The two streams of a process on their way to the log files.
struct Copies {
    out: Copy,
    err: Copy,
}

impl Copies {
    /// Waits for the end of both streams. A child that outlives the process and keeps them open is killed.
    async fn finish(&mut self, group: Option<Pid>) -> std::io::Result<()> {
        if let Ok(ended) = timeout(STREAM_GRACE, self.both()).await {
            return ended;
        }
        signal_group(group, Signal::KILL);
        let ended = timeout(GROUP_GRACE, self.both()).await;
        self.out.abort();
        self.err.abort();
        ended.unwrap_or(Ok(()))
    }

    async fn both(&mut self) -> std::io::Result<()> {
        for stream in [&mut self.out, &mut self.err] {
            if !stream.is_finished() {
                stream.await.map_err(std::io::Error::other)??;
            }
        }
        Ok(())
    }
}

fn copy(from: Option<impl AsyncRead + Unpin + Send + 'static>, mut to: File) -> Copy {
    tokio::spawn(async move {
        if let Some(mut from) = from {
            tokio::io::copy(&mut from, &mut to).await?;
        }
        to.flush().await
    })
}

fn group_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

fn signal_group(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It fails only if nobody is left in the group.
        let _nobody_left = kill_process_group(group, signal);
    }
}

/// A process that goes on while the test does. Its end is seen without collecting it, so that the number of its
/// group stays its own until the group has been killed.
#[derive(Debug)]
pub(super) struct Background {
    child: Child,
    group: Option<Pid>,
    pub(super) shown: String,
}

impl Background {
    /// Starts the process with its output going straight to the log files, and stdin closed.
    pub(super) fn start(launch: &Launch, logs: &Logs) -> Result<Self, Stop> {
        let out = std::fs::File::create(&logs.stdout).map_err(cannot_create(&logs.stdout))?;
        let err = std::fs::File::create(&logs.stderr).map_err(cannot_create(&logs.stderr))?;
        let mut child = launch.spawn(out.into(), err.into())?;
        drop(child.stdin.take());
        let group = group_of(&child);
        Ok(Self { child, group, shown: launch.shown.clone() })
    }

    /// How the process ended, or `None` while it runs.
    pub(super) fn ended(&self) -> Option<Ended> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.group?), options).ok()??;
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(Ended::Code(code)),
            (None, signal) => signal.map(Ended::Signal),
        }
    }

    /// Waits for the end, but not longer than `limit`.
    pub(super) async fn wait(&self, limit: Duration) -> Option<Ended> {
        let until = Instant::now() + limit;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= until {
                return ended;
            }
            sleep(POLL).await;
        }
    }

    /// Ends what is left of the process and its children, politely first.
    pub(super) async fn stop(mut self) {
        signal_group(self.group, Signal::TERM);
        self.wait(TERM_GRACE).await;
        signal_group(self.group, Signal::KILL);
        let _reaped = self.child.wait().await;
        let until = Instant::now() + GROUP_GRACE;
        while self.group.is_some_and(|group| test_kill_process_group(group).is_ok()) && Instant::now() < until
        {
            sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_variables_are_replaced_in_arguments() {
        let env = vec![("A".into(), "1".into()), ("AB".into(), "2".into()), ("A".into(), "3".into())];
        let expand = |arg| expand(arg, &env, Path::new("/here"));
        assert_eq!(expand("x$AB$A$PWD/f"), "x23/here/f");
        assert_eq!(expand("$HOME ${A} 5$"), "$HOME ${A} 5$");
        let env = vec![("DATA".into(), "$PWD/data".into())];
        assert_eq!(super::expand("$DATA", &env, Path::new("/here")), "/here/data");
    }

    #[test]
    fn programs_are_files_that_can_run() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, runs) = (dir.path().join("plain"), dir.path().join("runs"));
        std::fs::write(&plain, "").unwrap();
        std::fs::write(&runs, "").unwrap();
        std::fs::set_permissions(&runs, PermissionsExt::from_mode(0o755)).unwrap();
        let find =
            |name: &str| find_program(Path::new("/bin/it"), name, dir.path(), Some(dir.path().as_os_str()));
        assert_eq!(find("tremor"), Some("/bin/it".into()));
        assert_eq!(find("runs"), Some(runs.clone()));
        assert_eq!(find("./runs"), Some(dir.path().join("./runs")));
        assert_eq!(find(runs.to_str().unwrap()), Some(runs));
        assert_eq!((find("plain"), find("none"), find("")), (None, None, None));
    }
}
