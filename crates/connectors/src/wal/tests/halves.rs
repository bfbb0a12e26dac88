//! The halves when the disk fails.

use super::disk::Disk;
use crate::wal::{
    files::Files,
    log::{Durability, Log},
    segments::Limits,
    sink::WalSink,
    source::WalSource,
    worker::Worker,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tremor_connector::{EventSink as _, Intake, SinkError, Source as _, SourceError};
use tremor_event::{Event, EventId, Listener, Outcome, Receipt, Settlement};
use tremor_value::Value;

#[derive(Default)]
struct Heard(Mutex<Vec<Outcome>>);

impl Listener for Heard {
    fn settled(&self, settlement: Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.outcome);
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
    let event = |heard: &Arc<Heard>| Event {
        id: EventId::new(1, 0, 0, 0),
        payload: Value::from(1_i64).into(),
        meta: Value::record(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: Some(Receipt::to(heard.clone())),
    };

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
