//! The half of `wal` that replays.

use super::{
    entry,
    files::Files,
    format::{Broken, Next, Records, SegmentHead, segment_name},
    segments::Way,
    shared::{Hearing, Reading, Task},
    worker::Worker,
};
use async_trait::async_trait;
use std::{sync::Arc, time::Instant};
use tremor_connector::{Intake, Made, Pulled, Source, SourceError};
use tremor_event::{Event, Listener};

/// Entries that one pull gives at most, and how many bytes of them are enough.
const MAX_ENTRIES_PER_PULL: usize = 128;
const ENOUGH_BYTES: usize = 256 * 1024;

/// Gives the entries of a log in order, again and again until they are confirmed.
pub(super) struct WalSource {
    worker: Arc<Worker>,
    reader: Option<Reader>,
    /// Hears of what was given last.
    hearing: Arc<Hearing>,
    /// The first entry that this process wrote: the ids that are stored in earlier ones mean nothing any more.
    born: u64,
}

impl WalSource {
    pub(super) fn new(worker: Arc<Worker>, files: Arc<dyn Files>, born: u64) -> Self {
        let hearing = Arc::new(Hearing { shared: worker.shared.clone(), generation: 0 });
        Self { worker, reader: Some(Reader::new(files)), hearing, born }
    }

    /// Reads these entries, or those of them that are enough for once. `None`: their segment is done with and gone.
    async fn read(&mut self, way: Way, wanted: Vec<u64>) -> Result<Option<Vec<(u64, Event)>>, String> {
        let Some(mut reader) = self.reader.take() else { return Err("reading was given up".to_owned()) };
        let first = wanted.first().copied();
        let reading = tokio::task::spawn_blocking(move || {
            let read = reader.read(way, &wanted);
            (reader, read)
        });
        let (reader, read) = reading.await.map_err(|error| format!("reading broke off: {error}"))?;
        self.reader = Some(reader);
        match read {
            Ok(entries) => Ok(Some(entries)),
            Err(_) if first.is_some_and(|first| self.worker.shared.is_gone(first)) => Ok(None),
            Err(cause) => Err(cause),
        }
    }
}

#[async_trait]
impl Source for WalSource {
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        Some(self.hearing.clone())
    }

    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let lost = |cause| SourceError::Lost { cause, clean: false };
        loop {
            let shared = self.worker.shared.clone();
            if let Some(failure) = shared.failure() {
                return Err(lost(failure));
            }
            let Reading { way, wanted, generation } = match shared.task(MAX_ENTRIES_PER_PULL, Instant::now())
            {
                Task::Read(reading) => reading,
                Task::Wait(None) => {
                    shared.news.notified().await;
                    continue;
                }
                Task::Wait(Some(until)) => {
                    // Either way there is something to look at.
                    let _time_is_up =
                        tokio::time::timeout_at(until.into(), shared.news.notified()).await.is_err();
                    continue;
                }
            };
            let Some(entries) = self.read(way, wanted).await.map_err(lost)? else { continue };
            let Some((last, _)) = entries.last() else { continue };
            if !shared.under_way(*last, generation) {
                continue;
            }
            if self.hearing.generation != generation {
                self.hearing = Arc::new(Hearing { shared, generation });
            }
            for (index, event) in entries {
                let made = Made {
                    from: (index >= self.born).then_some(event.id),
                    ingest_ns: Some(event.ingest_ns),
                    pull: Some(index),
                    is_batch: event.is_batch,
                    ..event.payload.into_value().into()
                };
                intake.value(made, Some(event.meta));
            }
            return Ok(Pulled::More);
        }
    }
}

/// Reads entries of one segment after the other.
pub(super) struct Reader {
    files: Arc<dyn Files>,
    /// The segment that was read last, where it was left.
    open: Option<(u64, Records)>,
}

impl Reader {
    pub(super) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, open: None }
    }

    /// Reads these entries of one segment, or the first of them if that is enough for once.
    pub(super) fn read(&mut self, way: Way, wanted: &[u64]) -> Result<Vec<(u64, Event)>, String> {
        let name = segment_name(way.segment);
        let failed = |what: String| format!("`{}` {what}", self.files.shown(&name));
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
        let is_there = |(segment, records): &(u64, Records)| {
            *segment == way.segment && (way.index..=*first).contains(&records.place().1)
        };
        let mut records = match self.open.take().filter(is_there) {
            Some((_, records)) => records,
            None => {
                let file =
                    self.files.open(&name).map_err(|error| failed(format!("cannot be opened: {error}")))?;
                let head =
                    SegmentHead::read(&*file).map_err(|error| failed(format!("cannot be read: {error}")))?;
                let head = head.ok_or_else(|| failed("has lost its first line".to_owned()))?;
                Records::new(file, head, way.at, way.index)
            }
        };
        records.grown(way.size);
        let mut entries = Vec::with_capacity(wanted.len());
        let mut bytes = 0;
        while records.place().1 <= *last && bytes < ENOUGH_BYTES {
            let (at, index) = records.place();
            match records.next().map_err(|error| failed(format!("cannot be read: {error}")))? {
                Next::Entry(..) if wanted.binary_search(&index).is_err() => {}
                Next::Entry(head, body) => {
                    bytes += body.len();
                    let event = entry::decode(body, head.is_batch());
                    let event = event.map_err(|error| {
                        failed(format!("is damaged: entry {index} at byte {at} is no event: {error}"))
                    })?;
                    entries.push((index, event));
                }
                Next::Broken(Broken { what, .. }) => {
                    return Err(failed(format!(
                        "is damaged: at byte {at} entry {index} should begin, but {what}"
                    )));
                }
                Next::End => {
                    return Err(failed(format!(
                        "is damaged: it ends at byte {at}, in front of entry {index}"
                    )));
                }
            }
        }
        self.open = Some((way.segment, records));
        Ok(entries)
    }
}
