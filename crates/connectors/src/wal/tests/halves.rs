//! The halves when the disk fails.

use super::disk::Disk;
use crate::wal::{
    files::Files,
    format::segment_name,
    log::{Batch, Durability, Log},
    segments::Limits,
    shared::{Shared, Task},
    sink::WalSink,
    source::{Reader, WalSource},
    worker::{AtWork, Worker},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};
use tremor_connector::{EventSink as _, Intake, SinkError, Source as _, SourceError};
use tremor_event::{Event, EventId, Listener, Outcome, PullRange, Receipt, Settlement};
use tremor_value::Value;

#[derive(Default)]
struct Heard(Mutex<Vec<Outcome>>);

impl Listener for Heard {
    fn settled(&self, settlement: Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.outcome);
    }
}

fn event(heard: &Arc<Heard>) -> Event {
    Event {
        id: EventId::new(1, 0, 0, 0),
        payload: Value::from(1_i64).into(),
        meta: Value::record(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: Some(Receipt::to(heard.clone())),
    }
}

#[tokio::test]
async fn what_the_disk_refuses_fails_and_both_halves_are_lost() {
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 1_000_000, max_chunks: 2 };
    let opened = Log::open(files.clone(), Durability::Always, limits).unwrap();
    let worker = Arc::new(Worker::start(opened, Durability::Always, Duration::from_secs(1)).unwrap());
    let mut source = WalSource::new(worker.clone(), files, 0);
    let mut sink = WalSink::new(worker, "disk".to_owned());
    let heard = Arc::new(Heard::default());
    sink.event(event(&heard)).await.unwrap();
    assert!(heard.0.lock().unwrap().is_empty(), "it is not written yet");
    sink.flush().await.unwrap();
    assert!(matches!(heard.0.lock().unwrap()[..], [Outcome::Delivered { .. }]));
    source.pull(&mut Intake::default()).await.unwrap();

    // The write succeeds, the sync behind it does not.
    disk.set_fuse(Some(1));
    let heard = Arc::new(Heard::default());
    sink.event(event(&heard)).await.unwrap();
    sink.event(event(&heard)).await.unwrap();
    let Err(SinkError::Lost(cause)) = sink.flush().await else { panic!("the connection is lost") };
    assert!(cause.contains("syncing `disk/00000000000000000000.wal` failed"), "{cause}");
    assert_eq!(heard.0.lock().unwrap()[..], [Outcome::Failed, Outcome::Failed]);
    let again = sink.event(event(&heard)).await;
    assert!(matches!(again, Err(SinkError::Lost(_))));
    let pulled = source.pull(&mut Intake::default()).await;
    assert!(matches!(pulled, Err(SourceError::Lost { cause, .. }) if cause.contains("syncing")));
}

/// Two of many entries always fail: all others are delivered all the same, from segments of their own too.
#[tokio::test]
async fn what_always_fails_holds_up_nobody_else() {
    const ENTRIES: u64 = 400;
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 1_000, max_chunks: 1_000 };
    let opened = Log::open(files.clone(), Durability::Always, limits).unwrap();
    let worker = Arc::new(Worker::start(opened, Durability::Always, Duration::from_secs(1)).unwrap());
    let mut sink = WalSink::new(worker.clone(), "disk".to_owned());
    for _ in 0..ENTRIES {
        sink.event(event(&Arc::new(Heard::default()))).await.unwrap();
    }
    sink.flush().await.unwrap();

    let shared = &worker.shared;
    let mut reader = Reader::new(files);
    let (mut delivered, mut failed) = (BTreeSet::new(), BTreeMap::new());
    for pull in 0..200 {
        // Every other time it is long after the last.
        let now = Instant::now() + Duration::from_secs(10 * (pull % 2));
        let Task::Read(way, wanted) = shared.task(128, now) else { continue };
        let entries = reader.read(way, &wanted).unwrap();
        shared.under_way(&entries.iter().map(|(index, _)| *index).collect::<Vec<_>>());
        for (index, _) in entries {
            let fails = index == 5 || index == 100;
            if fails {
                *failed.entry(index).or_insert(0) += 1;
            } else {
                assert!(delivered.insert(index), "{index} comes once");
            }
            let outcome = if fails { Outcome::Failed } else { Outcome::Delivered { took_ns: 1 } };
            let pulls = &[PullRange { first: index, last: index }];
            shared.settled(Settlement { stream: 0, pulls, outcome });
        }
    }
    assert_eq!(delivered.len() as u64, ENTRIES - 2);
    assert!(failed[&5] > 10 && failed.contains_key(&100), "{failed:?}");
    assert_eq!(shared.position(), 5);
}

/// Gives `count` events to a sink; they are not written yet.
async fn take(sink: &mut WalSink, count: u64) -> Arc<Heard> {
    let heard = Arc::new(Heard::default());
    for _ in 0..count {
        sink.event(event(&heard)).await.unwrap();
    }
    heard
}

#[tokio::test]
async fn a_full_disk_fails_events_and_frees_what_is_confirmed() {
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 1_000, max_chunks: 1_000 };
    let opened = Log::open(files.clone(), Durability::Always, limits).unwrap();
    let worker = Arc::new(Worker::start(opened, Durability::Always, Duration::from_millis(1)).unwrap());
    let mut sink = WalSink::new(worker.clone(), "disk".to_owned());
    take(&mut sink, 100).await;
    sink.flush().await.unwrap();
    let end = worker.shared.next();
    let (before, content) = (Files::names(&disk).unwrap(), disk.content(&segment_name(0)));

    // More than one segment's worth, and less.
    disk.set_full(true);
    for count in [50, 1] {
        let heard = take(&mut sink, count).await;
        let Err(SinkError::Failed(cause)) = sink.flush().await else { panic!("these events fail, no more") };
        assert!(cause.contains("failed: "), "{cause}");
        assert!(heard.0.lock().unwrap().iter().all(|outcome| *outcome == Outcome::Failed));
        assert_eq!(worker.shared.next(), end);
    }
    assert_eq!(Files::names(&disk).unwrap(), before);
    assert_eq!(disk.content(&segment_name(0)), content);

    // All but the first and the last are confirmed: the segments between go, though the disk is full.
    let pulls = &[PullRange { first: 1, last: end - 2 }];
    worker.shared.settled(Settlement { stream: 0, pulls, outcome: Outcome::Discarded });
    let deadline = Instant::now() + Duration::from_secs(10);
    while Files::names(&disk).unwrap().iter().filter(|name| name.ends_with(".wal")).count() > 2 {
        assert!(Instant::now() < deadline, "{:?}", Files::names(&disk));
        tokio::task::yield_now().await;
    }

    disk.set_full(false);
    let heard = take(&mut sink, 50).await;
    sink.flush().await.unwrap();
    assert!(heard.0.lock().unwrap().iter().all(|outcome| matches!(outcome, Outcome::Delivered { .. })));
    worker.stop().await;
    let opened = Log::open(files, Durability::Always, limits).unwrap();
    assert_eq!(opened.segments.next(), end + 50);
    assert_eq!(
        (opened.confirmed.position(), opened.confirmed.next_open(1)),
        (0, end - 1),
        "runs are kept too"
    );
}

/// A position that cannot be kept is no reason to lose the connection.
#[tokio::test]
async fn a_position_that_cannot_be_kept_is_tried_again() {
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 1_000, max_chunks: 1_000 };
    let opened = Log::open(files.clone(), Durability::Always, limits).unwrap();
    let shared =
        Arc::new(Shared::new(opened.segments, opened.confirmed, "disk".to_owned(), mpsc::channel().0));
    let mut at_work = AtWork::new(opened.log, shared.clone(), Durability::Always, Duration::ZERO);
    let mut batch = Batch::default();
    assert!(batch.add(false, |body| body.push(0), |length| shared.place(length)));
    at_work.write(&batch).unwrap();
    let pulls = &[PullRange { first: 0, last: 0 }];
    shared.settled(Settlement { stream: 0, pulls, outcome: Outcome::Discarded });
    disk.set_fuse(Some(0));
    assert_eq!(at_work.tidy(), Ok(false));
    disk.set_fuse(None);
    assert_eq!(at_work.tidy(), Ok(true));
    assert_eq!(Log::open(files, Durability::Always, limits).unwrap().confirmed.position(), 1);
}
