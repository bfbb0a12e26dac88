//! Child processes that cannot outlive a measurement, however it ends.
//!
//! A [`Running`] kills its process when it is dropped, which covers returns and panics; a thread that waits
//! for signals covers the rest, and removes the temporary folder as well.

use std::{
    convert::Infallible,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    cpu_time,
    error::{Doing as _, Error, Result},
    memory,
};

/// How much of a failed child's standard error is shown, in bytes.
const STDERR_TAIL_BYTES: usize = 2_000;

/// What the clock may be off by while nothing is waited for.
const STAY_GRACE: Duration = Duration::from_secs(60);

/// All processes that were started and have not been reaped.
#[derive(Clone)]
pub(crate) struct Children {
    /// A process leaves this list under the lock, before its id can be given to another one.
    live: Arc<Mutex<Vec<u32>>>,
    started: Arc<AtomicU32>,
    folder: PathBuf,
}

impl Children {
    /// Logs of the processes go to `folder`, which is removed when a signal ends us.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { live: Arc::default(), started: Arc::default(), folder: folder.to_owned() }
    }

    /// From now on a signal that ends this process takes the children and the folder with it.
    pub(crate) fn end_on_signals(&self) -> Result<()> {
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).doing(|| "listen for signals".to_owned())?;
        let children = self.clone();
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Held until the end, so that nothing new is started meanwhile.
                let live = children.live();
                for pid in live.iter().filter_map(|pid| pid_of(*pid)) {
                    let _gone = kill_process(pid, Signal::KILL);
                }
                let _gone = fs::remove_dir_all(&children.folder);
                std::process::exit(128 + signal);
            }
        });
        Ok(())
    }

    /// Starts `command`; its standard error goes to a log that is only shown when something fails.
    /// Standard input is empty unless the command says otherwise.
    pub(crate) fn spawn(&self, name: &str, command: &mut Command) -> Result<Running> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("{number}.stderr"));
        let file = File::create(&log).doing(|| format!("create {}", log.display()))?;
        let mut live = self.live();
        let child = command.stderr(Stdio::from(file)).spawn().doing(|| format!("start {name}"))?;
        live.push(child.id());
        drop(live);
        Ok(Running { name: name.to_owned(), child, log, children: self.clone(), ended: false })
    }

    fn live(&self) -> MutexGuard<'_, Vec<u32>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child process; dropping it kills it.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    children: Children,
    ended: bool,
}

impl Running {
    /// Waits until the process has ended in good order.
    ///
    /// # Errors
    /// [`Error::Ended`] if it failed, [`Error::Late`] if `limit` passed first; the drop then kills it.
    pub(crate) fn finish(&mut self, limit: Duration) -> Result<()> {
        let waited = self.poll(limit, || None)?;
        self.succeeded(waited)
    }

    fn succeeded(&self, waited: Waited<Infallible>) -> Result<()> {
        match waited {
            Waited::Ended(status) if status.success() => Ok(()),
            Waited::Ended(status) => Err(self.failure(status)),
            Waited::Seen(never) => match never {},
        }
    }

    /// [`Self::finish`], and the processor time of the whole life of the process but for its last
    /// millisecond, if the system tells.
    pub(crate) fn finish_with_cpu(&mut self, limit: Duration) -> Result<Option<Duration>> {
        let (id, mut cpu) = (self.child.id(), None);
        let waited = self.poll(limit, || {
            cpu = cpu_time::of_process(id).or(cpu);
            None::<Infallible>
        })?;
        self.succeeded(waited)?;
        Ok(cpu)
    }

    /// Asks `seen` again and again until it has something to say.
    ///
    /// # Errors
    /// [`Error::Ended`] if the process is gone first (after one last look),
    /// [`Error::Late`] when `limit` has passed.
    pub(crate) fn until<T>(&mut self, limit: Duration, mut seen: impl FnMut() -> Option<T>) -> Result<T> {
        match self.poll(limit, &mut seen)? {
            Waited::Seen(value) => Ok(value),
            Waited::Ended(status) => seen().ok_or_else(|| self.failure(status)),
        }
    }

    /// Lets time pass in which the process has nothing to do but stay.
    ///
    /// # Errors
    /// [`Error::Ended`] if it does not.
    pub(crate) fn stays(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        self.until(time + STAY_GRACE, || (start.elapsed() >= time).then_some(()))
    }

    /// Tells the process to end in good order.
    pub(crate) fn ask_to_end(&self) {
        let _live = self.children.live();
        if let Some(pid) = pid_of(self.child.id()).filter(|_| !self.ended) {
            let _gone = kill_process(pid, Signal::TERM);
        }
    }

    /// All that the process has said on its standard error.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn poll<T>(&mut self, limit: Duration, mut seen: impl FnMut() -> Option<T>) -> Result<Waited<T>> {
        let start = Instant::now();
        loop {
            if let Some(value) = seen() {
                return Ok(Waited::Seen(value));
            }
            if let Some(status) = self.try_wait()? {
                return Ok(Waited::Ended(status));
            }
            let waited = start.elapsed();
            if waited > limit {
                return Err(Error::Late { name: self.name.clone(), limit, stderr: self.stderr() });
            }
            // Precise to about a thousandth of the time so far, and cheap for the two sides' two cores.
            thread::sleep((waited / 1_000).clamp(Duration::from_micros(50), Duration::from_millis(1)));
        }
    }

    /// Reaps under the lock, so that the signal thread never meets an id that is no longer ours.
    fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let mut live = self.children.live();
        let status = self.child.try_wait().doing(|| format!("wait for {}", self.name))?;
        if status.is_some() {
            live.retain(|pid| *pid != self.child.id());
            self.ended = true;
        }
        Ok(status)
    }

    /// Processor time that the process has used so far; see [`cpu_time::of_process`].
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu_time::of_process(self.child.id())
    }

    /// Bytes of memory that the process has right now; see [`memory::of_process`].
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        memory::of_process(self.child.id())
    }

    /// The most memory that the process has had so far, in bytes; see [`memory::peak_of_process`].
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        memory::peak_of_process(self.child.id())
    }

    /// Whether the process is gone.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.try_wait()?.is_some())
    }

    fn failure(&self, status: ExitStatus) -> Error {
        Error::Ended { name: self.name.clone(), status, stderr: self.stderr() }
    }

    fn stderr(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let tail = bytes.get(bytes.len().saturating_sub(STDERR_TAIL_BYTES)..).unwrap_or_default();
        String::from_utf8_lossy(tail).trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let mut live = self.children.live();
            let _gone = self.child.kill();
            let _gone = self.child.wait();
            live.retain(|pid| *pid != self.child.id());
        }
    }
}

enum Waited<T> {
    Seen(T),
    Ended(ExitStatus),
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let children = Children::new(folder.path());
        let running = children.spawn("sleep", &mut sleeper()).unwrap();
        let pid = pid_of(running.child.id()).unwrap();
        assert_eq!(children.live().len(), 1);
        drop(running);
        assert!(children.live().is_empty());
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn failing_and_late_children_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let children = Children::new(folder.path());
        let mut shell = Command::new("sh");
        let mut failing = children.spawn("sh", shell.args(["-c", "echo because >&2; exit 3"])).unwrap();
        let error = failing.finish(Duration::from_secs(60)).unwrap_err();
        assert!(matches!(&error, Error::Ended { stderr, .. } if stderr == "because"), "{error}");
        let mut late = children.spawn("sleep", &mut sleeper()).unwrap();
        let error = late.until(Duration::from_millis(5), || None::<()>).unwrap_err();
        assert!(matches!(error, Error::Late { .. }));
    }
}
