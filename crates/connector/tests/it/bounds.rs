//! What one input becomes is bounded at every moment, however much that is in the end; and what a connection read last
//! is answered.

use crate::{
    connections::{Door, all_is_quiet},
    duplex::{connection, line},
    fake::{Attempts, definition, instance, within},
    flow::{Flow, Half, Pipeline, Plan, act, number, takes_all},
};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Semaphore,
    task::yield_now,
    time::sleep,
};
use tremor_connector::{
    Connected, Definition, Deliver, DrainBoard, EventSink, Gate, Handed, Handle, Instance, Made, OpenRoute,
    Pulled, Route, Sink, SinkError, State, duplex::Duplex,
};
use tremor_event::{Event, EventBatch, Signal};
use tremor_value::Value;

/// Events of a batch, at most.
const MOST_EVENTS: usize = 1024;

fn of_lines(codec: &str) -> Definition {
    let list = Value::from_json_str(r#"["separate"]"#).unwrap();
    Definition {
        preprocessors: Some(list),
        codec: Some(Value::from(codec)),
        ..definition("bytes", r#""none""#)
    }
}

/// A pipeline that notes how large the largest batch was.
fn measured() -> (Pipeline, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let noted = most.clone();
    let pipeline = Pipeline::new(move |batch| {
        noted.fetch_max(batch.len(), Ordering::Relaxed);
        batch
    });
    (pipeline, most)
}

#[tokio::test(start_paused = true)]
async fn one_input_of_many_lines_is_many_batches_and_one_pull() {
    for (text, port) in [("1\n", "out"), ("x\n", "err"), ("\n", "err")] {
        let (pipeline, most) = measured();
        let plan = Plan { source: of_lines("json"), port, pipeline, ..Plan::default() };
        let flow = Flow::planned(plan, [takes_all()]).await;
        flow.pull(move |intake| intake.bytes(text.repeat(50_000).into(), None));
        flow.pull(move |intake| intake.bytes(text.into(), None));
        let told = flow.ledger.heard(2).await;
        assert_eq!(told, ["0:0 delivered", "0:1 delivered"], "{text:?}");
        assert_eq!(flow.sinks[0].taken().received, 50_001, "{text:?}");
        assert_eq!(most.load(Ordering::Relaxed), MOST_EVENTS, "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_end_of_a_stream_gives_is_many_batches_too() {
    let (pipeline, most) = measured();
    let list = Value::from_json_str(
        r#"[{"name": "separate", "config": {}}, {"name": "separate", "config": {"separator": "|", "buffered": false}}]"#,
    );
    let source = Definition { preprocessors: Some(list.unwrap()), ..of_lines("string") };
    let flow = Flow::planned(Plan { source, pipeline, ..Plan::default() }, [takes_all()]).await;
    flow.fill(|intake| {
        intake.bytes("a|".repeat(10_000).into(), None);
        Pulled::Finished
    });
    assert_eq!(flow.ledger.heard(2).await, ["0:0 discarded", "0:1 delivered"]);
    assert_eq!(flow.sinks[0].taken().received, 10_001);
    assert_eq!(most.load(Ordering::Relaxed), MOST_EVENTS);
}

/// A sink that takes an event for each permit.
struct Permitted(Arc<Semaphore>);

#[async_trait]
impl EventSink for Permitted {
    async fn event(&mut self, _event: Event) -> Result<(), SinkError> {
        self.0.acquire().await.unwrap().forget();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_queue_holds_of_small_events_and_of_errors_is_weighed_by_what_they_take() {
    // The event itself and something of what it leads to; of errors their text as well.
    for (text, port, least) in
        [("1\n", "out", size_of::<Event>() + 64), ("x\n", "err", size_of::<Event>() + 500)]
    {
        let permits = Arc::new(Semaphore::new(0));
        let sink: Half = Sink::Events(Box::new(Permitted(permits.clone()))).into();
        let plan = Plan { source: of_lines("json"), port, ..Plan::default() };
        let flow = Flow::planned(plan, [sink]).await;
        flow.pull(move |intake| intake.bytes(text.repeat(100_000).into(), None));
        all_is_quiet().await;
        let given = flow.source.given();
        let given = usize::try_from(given.0 + given.1).unwrap();
        // What the sink has, the queue, and what waits in front of it.
        let most = 16 * 1024 * 1024 / least + 2 * MOST_EVENTS;
        assert!(given <= most && given > most / 2, "{text:?}: {given} of {most}");
        permits.add_permits(100_000);
        flow.ledger.heard(1).await;
        assert_eq!(flow.sinks[0].taken().received, 100_000, "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_between_the_batches_of_one_input() {
    let permits = Arc::new(Semaphore::new(1));
    let sink: Half = Sink::Events(Box::new(Permitted(permits.clone()))).into();
    let slow = Pipeline { takes: Duration::from_millis(100), ..Pipeline::default() };
    let plan = Plan { source: of_lines("json"), pipeline: slow, ..Plan::default() };
    let flow = Flow::planned(plan, [sink]).await;
    flow.pull(|intake| intake.bytes("1\n".repeat(20_000).into(), None));
    permits.add_permits(20_000);
    while flow.source.given().0 == 0 {
        yield_now().await;
    }
    flow.source.pause();
    all_is_quiet().await;
    let given = flow.source.given().0;
    assert!(given > 0 && given < 5_000, "{given}");
    all_is_quiet().await;
    assert_eq!(flow.source.given().0, given);
    flow.source.resume();
    flow.ledger.heard(1).await;
    assert_eq!(flow.sinks[0].taken().received, 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_midst_of_an_input_fails_what_did_not_become_events() {
    let slow = Pipeline { takes: Duration::from_secs(1), ..Pipeline::default() };
    let flow = Flow::planned(Plan { pipeline: slow, ..Plan::default() }, [takes_all()]).await;
    flow.pull(|intake| {
        (0..5_000).for_each(|pull| {
            intake.value(Made { pull: Some(pull), ..Value::from(pull).into() }, None);
        });
    });
    // The second batch is on its way.
    while flow.source.given().0 <= 1024 {
        sleep(Duration::from_millis(100)).await;
    }
    within(flow.source.stop()).await;
    let told = flow.ledger.heard(5_000).await;
    let count = |how: &str| told.iter().filter(|line| line.ends_with(how)).count();
    assert_eq!((count("delivered"), count("failed")), (1024, 5_000 - 1024));
}

// Connections that are answered in place.

/// Leads back to the connector itself.
#[derive(Clone)]
struct Back {
    deliver: Arc<dyn Deliver>,
    most: Arc<AtomicUsize>,
}

impl OpenRoute for Back {
    fn open(&self) -> Box<dyn Route> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Route for Back {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        self.most.fetch_max(batch.len(), Ordering::Relaxed);
        self.deliver.deliver(0, batch)
    }

    async fn signal(&mut self, signal: Signal) {
        self.deliver.signal(signal).await;
    }
}

async fn echo(definition: &Definition, buffer_bytes: usize) -> (Handle, DuplexStream, Arc<AtomicUsize>) {
    let (ours, theirs) = tokio::io::duplex(buffer_bytes);
    let (handle, most) = echo_on(definition, connection(ours, 1)).await;
    (handle, theirs, most)
}

/// A connector with one connection, whose every event goes back to it. Gives the size of the largest batch, too.
pub(crate) async fn echo_on(definition: &Definition, ours: Duplex) -> (Handle, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let back = |instance: &mut Instance, deliver, _: &Arc<Gate>| {
        instance.link_output("out", Arc::new(Back { deliver, most: most.clone() }));
    };
    (linked(definition, ours, back).await, most)
}

/// A connector with one connection; `link` is given what leads to that, and the gate for what comes from it.
pub(crate) async fn linked(
    definition: &Definition,
    ours: Duplex,
    link: impl FnOnce(&mut Instance, Arc<dyn Deliver>, &Arc<Gate>),
) -> Handle {
    let is_server = definition.kind == "many";
    let mut ours = Some(ours);
    let attempts: Attempts = Box::new(move |_| {
        let ours = ours.take().unwrap();
        Box::pin(async move {
            Ok(if is_server {
                Connected::Listener(Box::new(Door(vec![ours])))
            } else {
                Connected::Duplex(ours)
            })
        })
    });
    let board = Arc::<DrainBoard>::default();
    let mut instance = instance(definition, attempts, &board, &Arc::default());
    let (source, gate) = instance.source().unwrap();
    let deliver = instance.link_input().unwrap();
    link(&mut instance, deliver, &gate);
    let sink = instance.sink().unwrap();
    sink.add_upstream(gate);
    board.expect(source, sink.id);
    let handle = instance.spawn();
    within(handle.start()).await.unwrap();
    handle
}

/// What a peer hears of an echo that it writes to, piece by piece and, if it `is_patient`, with pauses in between.
async fn heard_of_echo(definition: &Definition, writes: &[&str], is_patient: bool) -> String {
    let (_handle, mut peer, _) = echo(definition, 1024).await;
    for bytes in writes {
        peer.write_all(bytes.as_bytes()).await.unwrap();
        if is_patient {
            all_is_quiet().await;
        }
    }
    let mut heard = String::new();
    within(peer.read_to_string(&mut heard)).await.unwrap();
    heard
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_goodbye_is_answered_in_front_of_ours() {
    for kind in ["many", "single"] {
        let plain = Definition { codec: Some(Value::from("json")), ..definition(kind, r#""none""#) };
        for writes in [&["1\n2\nbye\n"][..], &["1\n2\n", "bye\n"], &["1\n2\nnonsense\n"]] {
            for is_patient in [false, true] {
                let heard = heard_of_echo(&plain, writes, is_patient).await;
                assert_eq!(heard, "1\n2\nso long\n", "{kind}: {writes:?}");
            }
        }
    }
}

/// The end of a message is no end of a line, but the end of a stream is.
#[tokio::test(start_paused = true)]
async fn what_a_stage_held_at_a_goodbye_is_answered_in_front_of_ours() {
    let preprocessors =
        Value::from_json_str(r#"[{"name": "separate", "config": {"separator": "|"}}]"#).unwrap();
    for (kind, writes) in
        [("many", &["1|2\nbye\n"][..]), ("many", &["1|2\n", "bye\n"]), ("single", &["1|2\nbye\n"])]
    {
        let cut = Definition {
            codec: Some(Value::from("json")),
            preprocessors: Some(preprocessors.clone()),
            ..definition(kind, r#""none""#)
        };
        let heard = heard_of_echo(&cut, writes, true).await;
        assert_eq!(heard, "1\n2\nso long\n", "{kind}: {writes:?}");
    }
}

/// Nobody makes room for the answers any more.
#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_while_its_answers_wait_for_room_ends() {
    let plain = Definition { codec: Some(Value::from("json")), ..definition("single", r#""none""#) };
    let (handle, mut peer, _) = echo(&plain, 1 << 16).await;
    peer.write_all("5\n".repeat(20_000).as_bytes()).await.unwrap();
    drop(peer);
    within(async {
        while handle.status().state == State::Running {
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let taken = handle.taken();
    assert_eq!((taken.waiting, taken.written + taken.failed), (0, taken.received), "{taken:?}");
}

/// Be it the first batch of a read that waits, or the second.
#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_in_the_midst_of_a_read_ends() {
    let plain = Definition { codec: Some(Value::from("json")), ..definition("single", r#""none""#) };
    for ahead in [0, 512, 1024, 1536] {
        let (handle, mut peer, _) = echo(&plain, 4096).await;
        peer.write_all("5\n".repeat(ahead).as_bytes()).await.unwrap();
        all_is_quiet().await;
        while peer.write_all("5\n".repeat(2048).as_bytes()).now_or_never().is_some() {
            all_is_quiet().await;
        }
        all_is_quiet().await;
        drop(peer);
        within(async {
            while handle.status().state == State::Running {
                sleep(Duration::from_secs(1)).await;
            }
        })
        .await;
        let taken = handle.taken();
        assert_eq!((taken.waiting, taken.written + taken.failed), (0, taken.received), "{ahead}: {taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_many_lines_is_answered_batch_by_batch_and_in_front_of_a_goodbye() {
    let preprocessors =
        Value::from_json_str(r#"[{"name": "separate", "config": {"separator": "|"}}]"#).unwrap();
    let of_bars = Definition { preprocessors: Some(preprocessors), ..definition("single", r#""none""#) };
    let (_handle, mut peer, most) = echo(&of_bars, 64).await;
    let (mut reads, mut writes) = tokio::io::split(&mut peer);
    let message = format!("{}\nbye\n", "5|".repeat(10_000));
    let write = async { writes.write_all(message.as_bytes()).await.unwrap() };
    let mut said = String::new();
    let (_, read) = within(async { tokio::join!(write, reads.read_to_string(&mut said)) }).await;
    read.unwrap();
    assert!(said == "5\n".repeat(10_000) + "so long\n", "{}", said.len());
    assert_eq!(most.load(Ordering::Relaxed), MOST_EVENTS);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lets_others_have_their_turn_and_obeys_a_stop_in_the_midst_of_a_message() {
    let turns = Arc::new(Mutex::new(Vec::new()));
    let noted = turns.clone();
    let sink = act(move |event| {
        noted.lock().unwrap().push(number(&event));
        Ok(())
    });
    // Nothing waits anywhere, so that only what yields on its own lets this task in.
    let flow = Flow::planned(Plan { source: of_lines("json"), ..Plan::default() }, [sink]).await;
    flow.pull(|intake| intake.bytes("5\n".repeat(100_000).into(), None));
    let mut looks = 0;
    while flow.source.given().0 < 50_000 {
        looks += 1;
        yield_now().await;
    }
    assert!(looks > 20, "{looks}");

    let preprocessors =
        Value::from_json_str(r#"[{"name": "separate", "config": {"separator": "|"}}]"#).unwrap();
    let of_bars = Definition { preprocessors: Some(preprocessors), ..definition("single", r#""none""#) };
    let (handle, mut peer, _) = echo(&of_bars, 1 << 20).await;
    let message = format!("{}\n", "5|".repeat(400_000));
    peer.write_all(message.as_bytes()).await.unwrap();
    assert_eq!(line(&mut peer).await, "5");
    within(handle.stop()).await;
    let mut said = Vec::new();
    within(peer.read_to_end(&mut said)).await.unwrap();
    let answers = said.iter().filter(|byte| **byte == b'5').count();
    assert!(answers < 300_000 && said.ends_with(b"bye\n"), "{answers}");
}
