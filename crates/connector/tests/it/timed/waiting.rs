//! What is due on a connection while something waits, and what is decided outside.

use super::{SECOND, Timed, now, subject};
use crate::{
    bounds::linked,
    connections::to,
    duplex::{connection, line},
    fake::{BEHIND, Seen, definition, event, within},
};
use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::FutureExt as _;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::{Semaphore, mpsc},
    time,
};
use tremor_connector::{
    Deliver, Gate, Handed, Handle, Instance, Intake, OpenRoute, Route,
    duplex::{Closed, ConnectionHandle, Cut, Duplex, Ending, Flow, Protocol, ProtocolError, Unsendable},
};
use tremor_event::{Breaker as _, Event, EventBatch, Signal};
use tremor_value::{Record, Value};

/// Every message is a line, `bye` ends in good order. Others move its deadline, and when that has come it tells 0.
#[derive(Clone, Default)]
struct Moved {
    handle: Arc<OnceLock<ConnectionHandle>>,
    is_due: Arc<AtomicBool>,
}

impl Protocol for Moved {
    fn handled_by(&mut self, handle: ConnectionHandle) {
        self.handle.set(handle).unwrap();
    }

    fn read(
        &mut self,
        input: &mut BytesMut,
        intake: &mut Intake,
        _: &mut Vec<u8>,
    ) -> Result<Flow, ProtocolError> {
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            match input.split_to(end + 1).freeze().slice(..end) {
                line if line.as_ref() == b"bye" => return Ok(Flow::Closed { we_drop: true }),
                line => intake.bytes(line, None),
            }
        }
        Ok(Flow::Open)
    }

    fn write(&mut self, _: &[u8], _binary: bool, _: &mut Vec<u8>) -> Result<(), Unsendable> {
        Ok(())
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        self.is_due.load(Ordering::Relaxed).then(now)
    }

    fn on_time(&mut self, _: Instant, intake: &mut Intake, _: &mut Vec<u8>) -> Option<Ending> {
        self.is_due.store(false, Ordering::Relaxed);
        intake.bytes("0".into(), None);
        None
    }

    fn end(&mut self, _: Ending, _: &mut Vec<u8>) -> bool {
        true
    }

    fn closed(&mut self, _: Cut) -> Closed {
        Closed { code: 1000, reason: String::new(), clean: true, by: "peer", left_out: (0, 0) }
    }
}

impl Moved {
    fn is_due(&self) {
        self.is_due.store(true, Ordering::Relaxed);
        self.handle.get().unwrap().wake();
    }
}

/// Takes what comes on a port when it is told to.
#[derive(Clone)]
struct Stuck {
    port: &'static str,
    takes: Arc<Semaphore>,
    taken: mpsc::UnboundedSender<(&'static str, String)>,
}

impl OpenRoute for Stuck {
    fn open(&self) -> Box<dyn Route> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Route for Stuck {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        Handed::later(async move {
            self.takes.acquire().await.unwrap().forget();
            for event in batch.events {
                let value = event.payload.value();
                let told = value.get("kind").unwrap_or(value).to_string();
                let by = event.meta.value().get("by").map_or(String::new(), |by| format!(" by {by}"));
                self.taken.send((self.port, told + &by)).unwrap();
            }
        })
    }

    async fn signal(&mut self, _: Signal) {}
}

/// A connection with a [`Stuck`] behind `out`, and behind `control` another one.
struct Waiting {
    handle: Handle,
    peer: DuplexStream,
    /// Leads to the connection.
    into: Arc<dyn Deliver>,
    gate: Arc<Gate>,
    /// How many batches are taken.
    takes: Arc<Semaphore>,
    taken: mpsc::UnboundedReceiver<(&'static str, String)>,
}

impl Waiting {
    async fn new(protocol: impl Protocol + 'static, ports: &[&'static str]) -> Self {
        let (ours, peer) = tokio::io::duplex(8192);
        let ours = Duplex { protocol: Box::new(protocol), ..connection(ours, 1) };
        let (taken_by, taken) = mpsc::unbounded_channel();
        let takes = Arc::new(Semaphore::new(0));
        let (mut into, mut behind) = (None, None);
        let link = |instance: &mut Instance, deliver, gate: &Arc<Gate>| {
            for port in ports {
                let stuck = Stuck { port, takes: takes.clone(), taken: taken_by.clone() };
                instance.link_output(port, Arc::new(stuck));
            }
            gate.add(BEHIND);
            (into, behind) = (Some(deliver), Some(gate.clone()));
        };
        let handle = linked(&definition("many", r#""none""#), ours, link).await;
        Self { handle, peer, into: into.unwrap(), gate: behind.unwrap(), takes, taken }
    }

    /// As [`Waiting::new`], with everybody ready for what comes from the connection.
    async fn with(protocol: impl Protocol + 'static, ports: &[&'static str]) -> Self {
        let waiting = Self::new(protocol, ports).await;
        waiting.gate.open(BEHIND);
        waiting
    }

    /// Sends it a message.
    async fn send(&self, number: u64) {
        let event = Event { meta: to(&[1]).unwrap(), ..event(number) };
        within(self.into.deliver(0, EventBatch { events: vec![event], bytes: 1 })).await;
    }

    /// The peer goes without a word, and the connection finds out.
    async fn peer_goes(&mut self) {
        self.peer = tokio::io::duplex(1).0;
        self.send(20).await;
        time::sleep(SECOND).await;
    }

    /// What is taken now.
    async fn takes(&mut self) -> (&'static str, String) {
        self.takes.add_permits(1);
        within(self.taken.recv()).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_others_have_moved_is_looked_at_before_anything_more_is_read() {
    let (ours, mut peer) = tokio::io::duplex(1024);
    let protocol = Moved::default();
    let mut subject = subject(ours, protocol.clone()).await;
    peer.write_all(b"1\n").await.unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    // The connection has no turn until both are there.
    peer.write_all(b"2\nbye\n").now_or_never().unwrap().unwrap();
    protocol.is_due();
    for expected in ["0", "2"] {
        assert_eq!(subject.next().await, Seen::Event("out", expected.to_owned()));
    }
    subject.is_connected(false).await;
}

/// Whatever what it has said waits for: that may have nothing to do with it.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_over_hears_so_while_what_it_said_waits() {
    let over = Timed { is_over_at_the_end: true, ..Timed::new(5 * SECOND, usize::MAX) };
    let mut waiting = Waiting::with(over, &["out"]).await;
    waiting.peer.write_all(b"1\n").await.unwrap();
    waiting.send(20).await;
    assert_eq!(line(&mut waiting.peer).await, "20");
    time::sleep(6 * SECOND).await;
    waiting.send(21).await;
    assert_eq!(line(&mut waiting.peer).await, "closed 1001 old");
    assert_eq!(waiting.takes().await, ("out", "1".to_owned()), "it was said in time");
    let mut rest = String::new();
    within(waiting.peer.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "");
    let taken = waiting.handle.taken();
    assert_eq!((taken.waiting, taken.written, taken.failed + taken.dropped), (0, 1, 1), "{taken:?}");
}

/// No message can take that back, though one could have moved the end before.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_over_does_not_wait_for_messages_that_may_move_its_end() {
    let over = Timed {
        is_over_at_the_end: true,
        extended: Some(Arc::default()),
        ..Timed::new(5 * SECOND, usize::MAX)
    };
    let mut waiting = Waiting::with(over, &["out"]).await;
    waiting.peer.write_all(b"1\n").await.unwrap();
    time::sleep(6 * SECOND).await;
    assert_eq!(line(&mut waiting.peer).await, "closed 1001 old");
}

/// It has had its time, which waits for what it said; the end of its session does not.
#[tokio::test(start_paused = true)]
async fn an_end_that_does_not_wait_takes_the_place_of_one_that_does() {
    let start = now();
    let over_at = Some(start + 8 * SECOND);
    let mut waiting = Waiting::with(Timed { over_at, ..Timed::new(5 * SECOND, usize::MAX) }, &["out"]).await;
    waiting.peer.write_all(b"1\n").await.unwrap();
    assert_eq!(line(&mut waiting.peer).await, "closed 1008 over");
    assert_eq!((now() - start).as_secs(), 8);
    assert_eq!(waiting.takes().await, ("out", "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_deadline_comes_behind_another_while_something_waits() {
    let over = Timed { is_over_at_the_end: true, ..Timed::new(12 * SECOND, usize::MAX) };
    let mut waiting = Waiting::with(over, &["out"]).await;
    waiting.peer.write_all(b"1\n").await.unwrap();
    let start = now();
    for (expected, seconds) in [("?", 10), ("closed 1001 old", 12)] {
        assert_eq!(line(&mut waiting.peer).await, expected);
        assert_eq!((now() - start).as_secs(), seconds);
    }
}

/// Its answer is there, and nobody reads it.
#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_not_given_up_while_what_it_said_or_is_told_of_it_waits() {
    for ports in [&["out"][..], &["out", "control"]] {
        let mut waiting = Waiting::with(Timed::new(9999 * SECOND, usize::MAX), ports).await;
        waiting.peer.write_all(b"1\n").await.unwrap();
        assert_eq!(line(&mut waiting.peer).await, "?");
        waiting.peer.write_all(b"!\n2\n").await.unwrap();
        time::sleep(20 * SECOND).await;
        if ports.len() > 1 {
            assert_eq!(waiting.takes().await, ("control", "\"opened\"".to_owned()));
        }
        for expected in ["1", "2"] {
            assert_eq!(waiting.takes().await, ("out", expected.to_owned()));
        }
        waiting.send(20).await;
        assert_eq!(line(&mut waiting.peer).await, "20");
    }
}

/// The same where a flow is paused between two batches of what was read at once.
#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_not_given_up_while_the_rest_of_what_it_said_is_held_up() {
    const LINES: usize = 2000;
    let mut waiting = Waiting::with(Timed::new(9999 * SECOND, usize::MAX), &["out"]).await;
    waiting.peer.write_all("1\n".repeat(LINES).as_bytes()).await.unwrap();
    time::sleep(SECOND).await;
    waiting.gate.close(BEHIND);
    waiting.takes().await;
    assert_eq!(line(&mut waiting.peer).await, "?");
    waiting.peer.write_all(b"!\n").await.unwrap();
    time::sleep(20 * SECOND).await;
    waiting.gate.open(BEHIND);
    waiting.takes().await;
    time::sleep(SECOND).await;
    waiting.send(20).await;
    assert_eq!(line(&mut waiting.peer).await, "20");
    assert_eq!(2 + waiting.taken.len(), LINES);
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_tells_while_something_waits_comes_behind_that() {
    let protocol = Moved::default();
    let mut waiting = Waiting::with(protocol.clone(), &["out", "control"]).await;
    protocol.is_due();
    time::sleep(3 * SECOND).await;
    assert_eq!(waiting.takes().await, ("control", "\"opened\"".to_owned()));
    assert_eq!(waiting.takes().await, ("out", "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_tells_has_the_metadata_that_the_connection_has_by_then() {
    let protocol = Moved::default();
    let mut waiting = Waiting::with(protocol.clone(), &["out"]).await;
    waiting.peer.write_all(b"1\n").await.unwrap();
    time::sleep(SECOND).await;
    let handle = protocol.handle.get().unwrap();
    handle.change_meta(|meta| *meta = Record::from_iter([("by", Value::from(7_u64))]).into());
    protocol.is_due();
    time::sleep(SECOND).await;
    assert_eq!(waiting.takes().await, ("out", "1".to_owned()));
    assert_eq!(waiting.takes().await, ("out", "0 by 7".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_a_connection_before_those_who_hear_it_are_ready() {
    let protocol = Moved::default();
    let mut waiting = Waiting::new(protocol.clone(), &["control"]).await;
    waiting.takes.add_permits(1);
    protocol.handle.get().unwrap().wake();
    time::sleep(SECOND).await;
    assert!(waiting.taken.is_empty());
    waiting.gate.open(BEHIND);
    assert_eq!(within(waiting.taken.recv()).await.unwrap(), ("control", "\"opened\"".to_owned()));
}

/// Whoever hears of them is not ready before the end, if ever.
#[tokio::test(start_paused = true)]
async fn what_a_protocol_tells_comes_behind_that_the_connection_is_there() {
    for ends_first in [false, true] {
        let protocol = Moved::default();
        let mut waiting = Waiting::new(protocol.clone(), &["out", "control"]).await;
        protocol.is_due();
        time::sleep(3 * SECOND).await;
        if ends_first {
            waiting.peer_goes().await;
        }
        waiting.takes.add_permits(9);
        time::sleep(SECOND).await;
        assert!(waiting.taken.is_empty());
        waiting.gate.open(BEHIND);
        let last = ends_first.then_some(("control", "\"closed\""));
        for (port, told) in [("control", "\"opened\""), ("out", "0")].into_iter().chain(last) {
            assert_eq!(within(waiting.taken.recv()).await.unwrap(), (port, told.to_owned()));
        }
    }
}

/// The peer has heard our goodbye by then, and nobody was ready for what it had said.
#[tokio::test(start_paused = true)]
async fn what_is_read_behind_our_goodbye_comes_behind_that_the_connection_is_there() {
    let mut waiting = Waiting::new(Timed::new(5 * SECOND, usize::MAX), &["out", "control"]).await;
    waiting.peer.write_all(b"1\n").await.unwrap();
    assert_eq!(line(&mut waiting.peer).await, "closed 1001 old");
    waiting.peer.shutdown().await.unwrap();
    waiting.takes.add_permits(9);
    waiting.gate.open(BEHIND);
    for (port, told) in [("control", "\"opened\""), ("out", "1"), ("control", "\"closed\"")] {
        assert_eq!(within(waiting.taken.recv()).await.unwrap(), (port, told.to_owned()));
    }
}

/// It breaks while the first of several batches waits.
#[tokio::test(start_paused = true)]
async fn all_that_was_read_before_a_connection_broke_is_handed_on() {
    const LINES: usize = 2000;
    let mut waiting = Waiting::with(Timed::new(9999 * SECOND, usize::MAX), &["out"]).await;
    waiting.peer.write_all("1\n".repeat(LINES).as_bytes()).await.unwrap();
    time::sleep(SECOND).await;
    waiting.peer_goes().await;
    waiting.takes.add_permits(LINES);
    time::sleep(SECOND).await;
    assert_eq!(waiting.taken.len(), LINES);
}

/// A second later its deadline has always just passed.
struct Revoked {
    from: Instant,
    looks: AtomicUsize,
    handle: Option<ConnectionHandle>,
}

impl Revoked {
    fn from(from: Instant) -> Self {
        Self { from, looks: AtomicUsize::new(0), handle: None }
    }
}

impl Protocol for Revoked {
    fn read(
        &mut self,
        input: &mut BytesMut,
        intake: &mut Intake,
        _: &mut Vec<u8>,
    ) -> Result<Flow, ProtocolError> {
        intake.bytes(input.split().freeze(), None);
        Ok(Flow::Open)
    }

    /// Others decide in the middle of that.
    fn write(&mut self, _: &[u8], _binary: bool, _: &mut Vec<u8>) -> Result<(), Unsendable> {
        self.from = now().checked_sub(SECOND).unwrap();
        self.handle.as_ref().unwrap().wake();
        Ok(())
    }

    fn handled_by(&mut self, handle: ConnectionHandle) {
        self.handle = Some(handle);
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        if now() < self.from + SECOND {
            return Some(self.from + SECOND);
        }
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        assert!(looks < 100, "it is asked again and again");
        // As if time passed in between.
        Some(self.from + SECOND / 2 + Duration::from_millis(looks as u64))
    }

    fn on_time(&mut self, _: Instant, _: &mut Intake, _: &mut Vec<u8>) -> Option<Ending> {
        Some(Ending::Said { code: 1008, reason: "over".into() })
    }

    fn is_over(&self) -> bool {
        now() >= self.from + SECOND
    }

    fn end(&mut self, _: Ending, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"over\n");
        false
    }

    fn closed(&mut self, _: Cut) -> Closed {
        Closed { code: 1008, reason: String::new(), clean: true, by: "local", left_out: (0, 0) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_looked_at_once() {
    let mut waiting = Waiting::with(Revoked::from(now()), &["out"]).await;
    waiting.peer.write_all(b"1").await.unwrap();
    time::sleep(3 * SECOND).await;
    assert_eq!(line(&mut waiting.peer).await, "over");
    assert_eq!(waiting.takes().await, ("out", "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_during_a_write_is_not_missed() {
    let mut waiting = Waiting::with(Revoked::from(now() + 9999 * SECOND), &["out"]).await;
    waiting.peer.write_all(b"1").await.unwrap();
    time::sleep(SECOND).await;
    let start = now();
    waiting.send(20).await;
    assert_eq!(line(&mut waiting.peer).await, "over");
    assert_eq!(now(), start, "nothing else has woken it");
}
