//! The half that replays files and waits for what becomes of their lines.

use super::ledger::Ledger;
use crate::{bench::data::lines, stdio};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, VecDeque},
    iter::Peekable,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tremor_connector::{At, ExitRequest, ExitSwitch, Intake, Pulled, Source, SourceError};
use tremor_event::Listener;
use tremor_value::Bytes;

type Lines = Peekable<Box<dyn Iterator<Item = Bytes> + Send>>;

/// Gives one line of each file in turns.
pub(super) struct Replay {
    /// The files that are not at their end, each with its stream; the one whose turn it is comes first.
    files: VecDeque<(u64, Lines)>,
    sent: u64,
    /// Taken with the first line.
    watch: Option<Watch>,
    ledger: Arc<Ledger>,
}

/// The number of lines by stream: the first file is stream 0, and so on.
pub(super) fn count(files: &[Bytes]) -> BTreeMap<u64, usize> {
    (0..).zip(files.iter().map(|data| lines(data).count())).collect()
}

impl Replay {
    /// Streams as in [`count`].
    pub(super) fn new(files: Vec<Bytes>, watch: Watch) -> Self {
        let of = |data: Bytes| -> Lines {
            let lines: Box<dyn Iterator<Item = Bytes> + Send> = Box::new(lines(&data));
            lines.peekable()
        };
        let files = (0..).zip(files).map(|(stream, data)| (stream, of(data))).collect();
        Self { files, sent: 0, ledger: watch.ledger.clone(), watch: Some(watch) }
    }
}

#[async_trait]
impl Source for Replay {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        while let Some((stream, mut file)) = self.files.pop_front() {
            let Some(line) = file.next() else { continue };
            let at = At { stream: Some(stream), pull: Some(self.sent) };
            self.ledger.sending(stream, self.sent);
            self.sent += 1;
            intake.bytes_at(at, line, None);
            if file.peek().is_some() {
                self.files.push_back((stream, file));
            } else {
                intake.end_of(at);
            }
            break;
        }
        self.files.retain_mut(|(_, file)| file.peek().is_some());
        // A task of its own: what becomes of events is told even while nothing may be pulled, which may last for ever if
        // a sink has closed, and it takes as long as it takes, whatever ends this source.
        if let Some(watch) = self.watch.take() {
            tokio::spawn(watch.until_complete());
        }
        Ok(if self.files.is_empty() { Pulled::Finished } else { Pulled::More })
    }

    fn listener(&self) -> Option<Arc<dyn Listener>> {
        Some(self.ledger.clone())
    }
}

/// Waits for what becomes of the events.
pub(super) struct Watch {
    pub(super) ledger: Arc<Ledger>,
    /// The longest time without news.
    pub(super) timeout: Duration,
    pub(super) switch: ExitSwitch,
    pub(super) alias: String,
    /// Closed when the connector ends.
    pub(super) lives: watch::Receiver<()>,
}

impl Watch {
    /// Says what was heard and ends the process, once that is complete or nothing more comes.
    async fn until_complete(self) {
        let mut lives = self.lives.clone();
        tokio::select! {
            () = self.wait() => self.conclude().await,
            // Nothing is ever sent.
            _ended = lives.changed() => {}
        }
    }

    /// Ends when everything was heard, or when nothing has moved for too long.
    async fn wait(&self) {
        let begin = Instant::now();
        while !self.ledger.is_complete() {
            let since = self.ledger.last_moved().unwrap_or(begin);
            match since.checked_add(self.timeout) {
                Some(end) if end <= Instant::now() => return,
                Some(end) => {
                    let _news_or_look_again = timeout_at(end, self.ledger.news()).await;
                }
                // Later than the clock can say.
                None => self.ledger.news().await,
            }
        }
    }

    async fn conclude(&self) {
        tell(&self.ledger, &self.alias).await;
        self.switch.request(ExitRequest { graceful: true, code: 0 });
    }
}

/// Prints the report, unless that was done before.
pub(super) async fn tell(ledger: &Ledger, alias: &str) {
    let Some(report) = ledger.report() else { return };
    if let Err(error) = stdio::complain(&report).await {
        tracing::error!(target: "tremor_runtime", "[Source::{alias}] cannot print its report: {error}");
    }
}
