//! The thread of a log: writes, syncs, and tidies up.

use super::{
    log::{Batch, Durability, Log, Opened, TARGET, WriteError},
    shared::Shared,
};
use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What the thread is told to do.
pub(super) enum Job {
    /// Write this. No answer comes if the log is unusable then; the cause is kept in what is shared.
    Write(Batch, oneshot::Sender<Result<(), WriteError>>),
    /// Something was confirmed: keep the position when it is time to.
    TidySoon,
    /// Much was confirmed: keep the position now, and remove what nobody needs.
    TidyNow,
    /// Finish, and tell.
    Stop(Option<oneshot::Sender<()>>),
}

/// The way to the thread; the thread ends with the last one.
pub(super) struct Worker {
    /// What it shares with the halves.
    pub(super) shared: Arc<Shared>,
}

impl Worker {
    /// Starts the thread of a log that was opened.
    pub(super) fn start(opened: Opened, durability: Durability, interval: Duration) -> io::Result<Self> {
        let Opened { log, segments, confirmed } = opened;
        let (sender, jobs) = mpsc::channel();
        let shared = Arc::new(Shared::new(segments, confirmed, log.shown(), sender));
        let at_work = AtWork::new(log, shared.clone(), durability, interval);
        thread::Builder::new().name("tremor-wal".to_owned()).spawn(move || at_work.run(&jobs))?;
        Ok(Self { shared })
    }

    /// Writes `batch`.
    pub(super) async fn write(&self, batch: Batch) -> Result<(), WriteError> {
        let (done, hears) = oneshot::channel();
        if self.shared.send(Job::Write(batch, done))
            && let Ok(written) = hears.await
        {
            return written;
        }
        let failure = self.shared.failure();
        Err(WriteError::Broken(failure.unwrap_or_else(|| "the log is closed".to_owned())))
    }

    /// Waits until everything is in order on disk and the thread has ended.
    pub(super) async fn stop(&self) {
        let (done, hears) = oneshot::channel();
        if self.shared.send(Job::Stop(Some(done))) {
            let _it_has_ended = hears.await.is_err();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _had_ended = !self.shared.send(Job::Stop(None));
    }
}

/// What the thread does.
pub(super) struct AtWork {
    log: Log,
    shared: Arc<Shared>,
    durability: Durability,
    interval: Duration,
    /// When to sync and to keep the position.
    due: Option<Instant>,
    /// The user was told that something cannot be kept or removed.
    has_warned: bool,
}

impl AtWork {
    pub(super) fn new(log: Log, shared: Arc<Shared>, durability: Durability, interval: Duration) -> Self {
        Self { log, shared, durability, interval, due: None, has_warned: false }
    }

    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        let ended = self.serve(jobs);
        if let Err(cause) = &ended {
            self.shared.fail(cause);
        }
        // Only now is the log free for whoever opens it next.
        let Self { log, .. } = self;
        drop(log);
        if let Ok(Some(stopped)) = ended {
            let _nobody_waits = stopped.send(());
        }
    }

    /// Works until told to stop; gives whom to tell.
    fn serve(&mut self, jobs: &mpsc::Receiver<Job>) -> Result<Option<oneshot::Sender<()>>, String> {
        loop {
            let job = match self.due {
                None => jobs.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                Some(due) => match due.checked_duration_since(Instant::now()) {
                    // However many jobs wait.
                    None => Err(mpsc::RecvTimeoutError::Timeout),
                    Some(left) => jobs.recv_timeout(left),
                },
            };
            match job {
                Ok(Job::Write(batch, done)) => {
                    let written = self.write(&batch);
                    if let Err(WriteError::Broken(cause)) = written {
                        // Whoever waits hears nothing only once the cause can be asked for.
                        self.shared.fail(&cause);
                        return Err(cause);
                    }
                    let _nobody_waits = done.send(written);
                }
                Ok(Job::TidySoon) => self.tidy_soon(),
                Ok(Job::TidyNow) | Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.tidy()?;
                }
                Ok(Job::Stop(stopped)) => {
                    self.finish()?;
                    return Ok(stopped);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Writes `batch`, and makes it visible.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        match self.log.write(batch) {
            Ok(()) => self.shared.all_written(),
            Err(WriteError::Refused(cause)) => {
                self.shared.not_written();
                return Err(WriteError::Refused(cause));
            }
            broken => return broken,
        }
        if self.durability != Durability::Never {
            // With `always` too: how far the log reaches is kept then.
            self.tidy_soon();
        }
        Ok(())
    }

    /// Ends in good order: everything is safe when this returns, and what is confirmed too. See [`Self::tidy`].
    pub(super) fn finish(&mut self) -> Result<bool, String> {
        self.log.finish()?;
        self.keep(true)
    }

    fn tidy_soon(&mut self) {
        let interval = self.interval;
        self.due.get_or_insert_with(|| Instant::now() + interval);
    }

    /// Makes everything last, and removes what nobody needs. An error makes the log unusable; `false` is for what can
    /// be tried again and harms nobody meanwhile.
    pub(super) fn tidy(&mut self) -> Result<bool, String> {
        self.keep(false)
    }

    /// The same; with `lasting`, what is confirmed is safe when this returns, whatever the durability.
    fn keep(&mut self, lasting: bool) -> Result<bool, String> {
        self.due = None;
        self.log.sync()?;
        let (confirmed, has_news) = self.shared.to_keep();
        let kept = self.log.persist(&confirmed, has_news || lasting);
        let done = kept.and_then(|kept| self.log.remove(self.shared.take_done(&kept)));
        if let Err(cause) = &done {
            if !self.has_warned {
                tracing::warn!(
                    target: TARGET,
                    "{cause}. This is tried again; if the process ends before that, confirmed entries are delivered again"
                );
            }
            self.due = Some(Instant::now() + self.interval.max(TRIED_AGAIN_AFTER));
        }
        self.has_warned = done.is_err();
        Ok(done.is_ok())
    }
}

/// Wait before something is kept or removed that could not be, at least.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);
