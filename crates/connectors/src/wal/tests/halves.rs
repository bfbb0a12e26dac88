//! The halves when the disk fails.

use super::disk::Disk;
use crate::wal::{
    files::Files,
    format::segment_name,
    log::{Batch, Durability, Log},
    segments::Limits,
    shared::{Hearing, Reading, Shared, Task},
    sink::WalSink,
    source::{Reader, WalSource},
    worker::{AtWork, Worker},
};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};
use tremor_connector::{EventSink as _, Intake, SinkError, Source as _, SourceError};
use tremor_event::{Event, EventId, Listener, Outcome, PullRange, Receipt, Settlement};
use tremor_value::{Meta, Value};

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
        meta: Meta::record(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: Some(Receipt::to(heard.clone())),
    }
}

/// A log that keeps its position after `interval` at the latest.
fn started(files: &Arc<dyn Files>, limits: Limits, interval: Duration) -> Arc<Worker> {
    let opened = Log::open(files.clone(), Durability::Always, limits).unwrap();
    Arc::new(Worker::start(opened, Durability::Always, interval).unwrap())
}

fn confirm(shared: &Arc<Shared>, pulls: &[PullRange]) {
    let hearing = Hearing { shared: shared.clone(), generation: 0 };
    hearing.settled(Settlement { stream: 0, pulls, outcome: Outcome::Discarded });
}

#[tokio::test]
async fn what_the_disk_refuses_fails_and_both_halves_are_lost() {
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 1_000_000, max_chunks: 2 };
    let worker = started(&files, limits, Duration::from_secs(1));
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

/// An entry fails and fails and is confirmed at last. Until then nothing else comes but what was on its way.
#[tokio::test]
async fn what_fails_and_fails_holds_up_those_behind_it_and_comes_alone() {
    const ENTRIES: u64 = 400;
    const FAILS: usize = 30;
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 1_000, max_chunks: 1_000 };
    let worker = started(&files, limits, Duration::from_secs(1));
    let mut sink = WalSink::new(worker.clone(), "disk".to_owned());
    for _ in 0..ENTRIES {
        sink.event(event(&Arc::new(Heard::default()))).await.unwrap();
    }
    sink.flush().await.unwrap();

    let shared = &worker.shared;
    let mut reader = Reader::new(files);
    let (mut given, mut fails, mut now) = (Vec::new(), 0, Instant::now());
    while shared.position() < ENTRIES {
        let Reading { way, wanted, generation } = match shared.task(128, now) {
            Task::Read(reading) => reading,
            Task::Wait(Some(until)) => {
                now = until;
                continue;
            }
            Task::Wait(None) => panic!("nothing is under way: {given:?}"),
        };
        // What was confirmed may be gone before it could be given again.
        let Ok(entries) = reader.read(way, &wanted) else { continue };
        assert!(shared.under_way(entries.last().unwrap().0, generation));
        let hearing = Hearing { shared: shared.clone(), generation };
        for (index, _) in entries {
            given.push(index);
            let fails_now = index == 5 && fails < FAILS;
            fails += usize::from(fails_now);
            let outcome = if fails_now { Outcome::Failed } else { Outcome::Delivered { took_ns: 1 } };
            let pulls = &[PullRange { first: index, last: index }];
            hearing.settled(Settlement { stream: 0, pulls, outcome });
        }
    }
    let fifth: Vec<_> = (0..given.len()).filter(|at| given[*at] == 5).collect();
    assert_eq!(fifth.len(), FAILS + 1);
    assert_eq!(fifth[28] - fifth[2], 26, "it came alone");
    let last = fifth[fifth.len() - 1];
    assert!(given[last..].is_sorted() && given[last..].ends_with(&[ENTRIES - 1]), "{:?}", &given[last..]);
    assert!(given.len() as u64 <= ENTRIES + FAILS as u64 + 40, "{}", given.len());
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
    let worker = started(&files, limits, Duration::from_millis(1));
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
    confirm(&worker.shared, pulls);
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
    batch.add(false, |body| body.push(0), |length| shared.place(length)).unwrap();
    at_work.write(&batch).unwrap();
    let pulls = &[PullRange { first: 0, last: 0 }];
    confirm(&shared, pulls);
    disk.set_fuse(Some(0));
    assert_eq!(at_work.tidy(), Ok(false));
    disk.set_fuse(None);
    assert_eq!(at_work.tidy(), Ok(true));
    assert_eq!(Log::open(files, Durability::Always, limits).unwrap().confirmed.position(), 1);
}

/// What the sink says of an event with a text of that length.
async fn refusal(sink: &mut WalSink, length: usize) -> String {
    let large = Event { payload: Value::from("x".repeat(length)).into(), ..event(&Arc::default()) };
    match sink.event(large).await {
        Err(SinkError::Failed(cause)) => cause,
        other => panic!("it finds room: {other:?}"),
    }
}

#[tokio::test]
async fn what_finds_no_room_is_told_why() {
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let begin = |chunk_size, max_chunks| {
        let limits = Limits { chunk_size, max_chunks };
        let worker = started(&files, limits, Duration::from_secs(1));
        (WalSink::new(worker.clone(), "disk".to_owned()), worker)
    };
    let (mut sink, worker) = begin(1_000, 5);
    let cause = refusal(&mut sink, 5_000).await;
    assert!(
        cause.contains("an entry of 5040 bytes never fits into it, not even when it is empty")
            && cause.contains("`chunk_size` 1000 * `max_chunks` 5 = 5000 bytes. Raise"),
        "{cause}"
    );
    while sink
        .event(Event { payload: Value::from("x".repeat(500)).into(), ..event(&Arc::default()) })
        .await
        .is_ok()
    {}
    let cause = refusal(&mut sink, 500).await;
    assert!(
        cause.contains("no room for another entry of 540 bytes: 2840 bytes in files that are not confirmed completely (5)")
            && cause.contains("Look why"),
        "{cause}"
    );
    sink.flush().await.unwrap();
    sink.stop().await.unwrap();
    drop((sink, worker));

    let (mut sink, _worker) = begin(1_000, 2);
    let cause = refusal(&mut sink, 500).await;
    assert!(
        cause.contains("it has more than it may: 2840 bytes in files that are not confirmed completely (5); `chunk_size` 1000")
            && cause.contains("`max_chunks` 2 = 2000 bytes are allowed. These were larger"),
        "{cause}"
    );
}

/// However many files there are, and however many a batch fills.
#[tokio::test]
async fn few_files_are_open_at_a_time() {
    const ENTRIES: u64 = 2_000;
    let disk = Disk::forgetting(None);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let limits = Limits { chunk_size: 100, max_chunks: 10_000 };
    let worker = started(&files, limits, Duration::from_secs(1));
    let mut sink = WalSink::new(worker.clone(), "disk".to_owned());
    take(&mut sink, ENTRIES).await;
    sink.flush().await.unwrap();
    worker.stop().await;
    let names = Files::names(&disk).unwrap();
    assert!(
        names.iter().filter(|name| name.ends_with(".wal")).count() as u64 > ENTRIES / 2,
        "{}",
        names.len()
    );
    let opened = Log::open(files, Durability::Always, limits).unwrap();
    assert_eq!(opened.segments.next(), ENTRIES);
    assert!(disk.most_open() <= 4, "{} files were open", disk.most_open());
}
