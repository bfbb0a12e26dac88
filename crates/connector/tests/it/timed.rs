//! Connections whose protocol lives by the clock.

mod waiting;

use crate::{
    bounds::echo_on,
    connections::{server_of, to},
    duplex::{Endless, connection, line},
    fake::{Attempts, Seen, Subject, definition, refused, within},
};
use bytes::BytesMut;
use futures_util::future::BoxFuture;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time,
};
use tremor_connector::{
    Connected, Definition, Handle, Intake, SendQueue, WhenFull,
    duplex::{Closed, Cut, Duplex, Ending, Flow, Interceptor, Protocol, ProtocolError, Stream, Unsendable},
};
use tremor_value::Value;

const NEVER: &str = r#"{"retry": {"interval_ms": 500, "max_retries": 0}}"#;
const SECOND: Duration = Duration::from_secs(1);

fn now() -> Instant {
    time::Instant::now().into_std()
}

/// Every message is a line, `bye` ends in good order. Sends `?` every ten seconds and goes without a word if nothing
/// has come five seconds later; ends at `until`, and reads no more than so many lines a second.
struct Timed {
    until: Instant,
    ending: Ending,
    lines_per_second: usize,
    ask: Instant,
    asked: Option<Instant>,
    /// When reading stopped, while it has.
    stopped: Option<Instant>,
    goes_on: Option<Instant>,
    said: bool,
    /// Set by the message `more`, behind which it has a minute more; without it that is a message like any other.
    extended: Option<Arc<AtomicBool>>,
    /// Behind `until` nothing counts any more that the peer has said.
    is_over_at_the_end: bool,
    /// Another end, behind which nothing counts any more either.
    over_at: Option<Instant>,
}

impl Timed {
    fn new(lives: Duration, lines_per_second: usize) -> Self {
        let (until, ask) = (now() + lives, now() + 10 * SECOND);
        let ending = Ending::Said { code: 1001, reason: "old".into() };
        Self {
            until,
            ending,
            lines_per_second,
            ask,
            asked: None,
            stopped: None,
            goes_on: None,
            said: false,
            extended: None,
            is_over_at_the_end: false,
            over_at: None,
        }
    }

    fn until(&self) -> Instant {
        let is_extended = self.extended.as_ref().is_some_and(|extended| extended.load(Ordering::Relaxed));
        self.until + if is_extended { 60 * SECOND } else { Duration::ZERO }
    }

    fn due(&self) -> Option<Instant> {
        match self.asked {
            Some(asked) => self.stopped.is_none().then_some(asked + 5 * SECOND),
            None => Some(self.ask),
        }
    }
}

impl Protocol for Timed {
    fn read(
        &mut self,
        input: &mut BytesMut,
        intake: &mut Intake,
        _: &mut Vec<u8>,
    ) -> Result<Flow, ProtocolError> {
        if self.asked.take().is_some() {
            self.ask = now() + 10 * SECOND;
        }
        let mut lines = 0;
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            if lines == self.lines_per_second && !self.said {
                self.goes_on = Some(now() + SECOND);
                return Ok(Flow::Open);
            }
            lines += 1;
            match input.split_to(end + 1).freeze().slice(..end) {
                line if line.as_ref() == b"bye" => return Ok(Flow::Closed { we_drop: true }),
                line if line.as_ref() == b"!" => {}
                line => intake.bytes(line, None),
            }
        }
        Ok(Flow::Open)
    }

    fn write(&mut self, chunk: &[u8], _binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        assert!(!self.said, "nothing can be sent behind a goodbye");
        out.extend_from_slice(chunk);
        out.push(b'\n');
        Ok(())
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        if self.said {
            return None;
        }
        self.due().into_iter().chain(self.goes_on).chain(self.over_at).chain([self.until()]).min()
    }

    fn on_time(&mut self, now: Instant, _: &mut Intake, out: &mut Vec<u8>) -> Option<Ending> {
        assert!(self.deadline().is_some_and(|deadline| deadline <= now), "too early");
        self.goes_on = self.goes_on.filter(|at| *at > now);
        if self.over_at.is_some_and(|over_at| over_at <= now) {
            return Some(Ending::Said { code: 1008, reason: "over".into() });
        }
        if self.until() <= now {
            return Some(self.ending.clone());
        }
        if self.due().is_some_and(|due| due <= now) {
            if self.asked.is_some() {
                return Some(Ending::Silent { cause: "no answer".into() });
            }
            out.extend_from_slice(b"?\n");
            self.asked = Some(now);
        }
        None
    }

    fn interceptor(&mut self) -> Option<Box<dyn Interceptor>> {
        let extended = self.extended.clone()?;
        Some(Box::new(Extending { extended, is_asked: false }))
    }

    fn may_read(&self) -> bool {
        self.said || self.goes_on.is_none()
    }

    fn is_over(&self) -> bool {
        self.is_over_at_the_end && self.until() <= now() || self.over_at.is_some_and(|at| at <= now())
    }

    fn over_at(&self) -> Option<Instant> {
        self.over_at
    }

    fn reading(&mut self, reads: bool, now: Instant) {
        assert_eq!(reads, self.stopped.is_some(), "told what it knows");
        match self.stopped.take() {
            None => self.stopped = Some(now),
            Some(stopped) => self.asked = self.asked.map(|asked| asked + (now - stopped.max(asked))),
        }
    }

    fn end(&mut self, ending: Ending, out: &mut Vec<u8>) -> bool {
        let said = match ending {
            Ending::Said { code, reason } => format!("closed {code} {reason}\n"),
            _ => "closed\n".to_owned(),
        };
        out.extend_from_slice(said.as_bytes());
        !std::mem::replace(&mut self.said, true)
    }

    fn closed(&mut self, cut: Cut) -> Closed {
        let by = match cut {
            Cut::Peer | Cut::Tls => "peer",
            Cut::Local => "local",
            Cut::Timeout => "timeout",
        };
        Closed { code: 1006, reason: String::new(), clean: self.said, by, left_out: (0, 0) }
    }
}

struct Extending {
    extended: Arc<AtomicBool>,
    is_asked: bool,
}

impl Interceptor for Extending {
    fn takes(&mut self, message: &Value) -> bool {
        let takes = message.as_str() == Some("more");
        self.is_asked |= takes;
        takes
    }

    fn conclude(&mut self) -> BoxFuture<'_, Option<Value>> {
        let told = std::mem::take(&mut self.is_asked).then(|| Value::from("extended"));
        self.extended.fetch_or(told.is_some(), Ordering::Relaxed);
        Box::pin(async { told })
    }
}

/// A connector with one connection of this kind.
async fn subject(stream: impl Stream + 'static, protocol: impl Protocol + 'static) -> Subject {
    let once = Arc::new(Mutex::new(Some(Duplex { protocol: Box::new(protocol), ..connection(stream, 1) })));
    let attempts: Attempts = Box::new(move |_| {
        let once = once.lock().unwrap().take();
        Box::pin(async move { once.map_or_else(refused, |duplex| Ok(Connected::Duplex(duplex))) })
    });
    let subject = Subject::single(NEVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject
}

async fn piped(lives: Duration, lines_per_second: usize) -> (Subject, DuplexStream) {
    let (ours, peer) = tokio::io::duplex(1024);
    (subject(ours, Timed::new(lives, lines_per_second)).await, peer)
}

async fn ended_by(subject: &mut Subject) -> String {
    let Seen::Event("err", told) = subject.next().await else { panic!("not on err") };
    let told = Value::from_json_str(&told).unwrap();
    told.get("closed").unwrap().get("by").unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_asked_at_its_time_and_given_up_when_it_does_not_answer() {
    let (mut subject, mut peer) = piped(Duration::from_secs(9999), 100).await;
    let start = now();
    for round in 1..=3 {
        assert_eq!(line(&mut peer).await, "?");
        assert_eq!((now() - start).as_secs(), 10 * round);
        peer.write_all(b"!\n").await.unwrap();
    }
    assert_eq!(line(&mut peer).await, "?");
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!((rest.as_slice(), (now() - start).as_secs()), (b"".as_slice(), 45), "dropped without a word");
    assert_eq!(ended_by(&mut subject).await, r#""timeout""#);
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_are_not_missed() {
    let (subject, mut peer) = piped(Duration::from_secs(9999), 100).await;
    subject.handle.pause();
    assert_eq!(line(&mut peer).await, "?", "it is asked all the same");
    peer.write_all(b"!\n").await.unwrap();
    time::sleep(100 * SECOND).await;
    subject.handle.resume();
    assert_eq!(line(&mut peer).await, "?", "the answer was there");
    subject.handle.pause();
    time::sleep(100 * SECOND).await;
    subject.handle.resume();
    let start = now();
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    let left = now() - start;
    assert!((SECOND..=5 * SECOND).contains(&left), "{left:?}: what was left of its time, and no more");
}

#[tokio::test(start_paused = true)]
async fn our_goodbye_waits_for_the_peers_and_takes_what_comes_before() {
    let (mut subject, mut peer) = piped(5 * SECOND, 100).await;
    subject.give(7..9).await;
    for expected in ["7", "8", "closed 1001 old"] {
        assert_eq!(line(&mut peer).await, expected);
    }
    subject.give(9..10).await;
    peer.write_all(b"1\n").await.unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    peer.write_all(b"2\nbye\n").await.unwrap();
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
    assert_eq!(subject.next().await, Seen::Event("out", "2".to_owned()));
    subject.is_connected(false).await;
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.written), (3, 2), "what came too late was not lost behind the goodbye");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_our_goodbye_is_left_in_time() {
    let (subject, mut peer) = piped(5 * SECOND, 100).await;
    let start = now();
    assert_eq!(line(&mut peer).await, "closed 1001 old");
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!((now() - start).as_secs(), 6);
    subject.is_connected(false).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_for_now_is_read_later_and_in_order() {
    let (mut subject, mut peer) = piped(Duration::from_secs(9999), 3).await;
    let start = now();
    peer.write_all(b"0\n1\n2\n3\n4\n5\n6\n7\n").await.unwrap();
    for number in 0..8 {
        assert_eq!(subject.next().await, Seen::Event("out", number.to_string()));
        assert_eq!((now() - start).as_secs(), number / 3);
    }
    peer.write_all(b"8\n").await.unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "8".to_owned()), "and goes on");
}

/// Neither side is held up by what is left of the input when its time comes.
#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_given_when_the_connection_ends() {
    let (mut subject, mut peer) = piped(SECOND / 2, 1).await;
    peer.write_all(b"0\n1\n2\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "closed 1001 old");
    for number in 0..3 {
        assert_eq!(subject.next().await, Seen::Event("out", number.to_string()));
    }
    peer.write_all(b"bye\n").await.unwrap();
    subject.is_connected(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_idle_ends_at_its_time_all_the_same() {
    let read = Arc::new(AtomicUsize::new(0));
    let ending = Ending::Silent { cause: "old".into() };
    let protocol = Timed { ending, ..Timed::new(5 * SECOND, usize::MAX) };
    let subject = subject(Endless { read: read.clone() }, protocol).await;
    // Whoever looks at the time moves no clock that stands while there is something to do.
    time::advance(6 * SECOND).await;
    subject.is_connected(false).await;
    assert!(read.load(Ordering::Relaxed) < Endless::BYTES, "it did not wait for the end");
}

/// The time for goodbyes is the peer's: it does not pass while nobody takes what the peer has sent.
#[tokio::test(start_paused = true)]
async fn what_came_before_the_peers_goodbye_is_taken_even_if_nobody_takes_it_for_long() {
    let (mut subject, mut peer) = piped(5 * SECOND, 100).await;
    subject.handle.pause();
    assert_eq!(line(&mut peer).await, "closed 1001 old");
    peer.write_all(b"1\n").await.unwrap();
    time::sleep(100 * SECOND).await;
    subject.handle.resume();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    peer.write_all(b"2\n").await.unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "2".to_owned()));
    let start = now();
    for _ in 0..2 {
        time::sleep(2 * SECOND / 5).await;
        peer.write_all(b"3\n").await.unwrap();
    }
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    let left = now() - start;
    let last_said = 4 * SECOND / 5;
    assert!(left <= last_said + SECOND, "{left:?}: it has a second from when it last said something");
    assert!(left > last_said + SECOND / 2, "{left:?}");
}

/// Sixty characters and more, as JSON.
const LINE: &str = "\"0123456789012345678901234567890123456789012345678901234567890123456789\"\n";

/// An echo whose queue has room for so many messages.
async fn narrow_echo(ours: DuplexStream, protocol: Timed, room: usize) -> Handle {
    let waits = SendQueue { messages: room, when_full: WhenFull::Wait, ..SendQueue::default() };
    let definition = Definition { codec: Some(Value::from("json")), ..definition("many", r#""none""#) };
    let protocol = Box::new(protocol);
    let ours = Duplex { protocol, send_queue: Some(Box::new(waits)), ..connection(ours, 1) };
    echo_on(&definition, ours).await.0
}

/// Who has asked for more time in time has it, however late that is looked at.
#[tokio::test(start_paused = true)]
async fn what_was_read_in_time_and_waits_may_move_the_end() {
    const LINES: usize = 13;
    // As many answers as there is room for; those to the next ones wait, and so does what is behind them.
    let (ours, mut peer) = tokio::io::duplex(LINES * LINE.len() + 10);
    let protocol = Timed { extended: Some(Arc::default()), ..Timed::new(2 * SECOND, usize::MAX) };
    let _handle = narrow_echo(ours, protocol, 4).await;
    for lines in [LINE.repeat(LINES), LINE.repeat(LINES) + "\"more\"\n"] {
        within(peer.write_all(lines.as_bytes())).await.unwrap();
        time::sleep(SECOND / 2).await;
    }
    time::sleep(2 * SECOND).await;
    within(peer.read_exact(&mut vec![0; 2 * LINES * LINE.len()])).await.unwrap();
    peer.write_all(b"1\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "1");
}

/// Only the peer makes the room that they wait for. What had room already goes out in front of the goodbye.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_over_does_not_wait_until_its_answers_have_room() {
    const ROOM: usize = 4;
    for (is_over_at_the_end, reads) in [(true, false), (true, true), (false, true)] {
        // The last message that is written has no room, those behind it wait.
        let (ours, peer) = tokio::io::duplex(LINE.len() + 1);
        let protocol = Timed { is_over_at_the_end, ..Timed::new(2 * SECOND, usize::MAX) };
        let handle = narrow_echo(ours, protocol, ROOM).await;
        let (mut hears, mut says) = tokio::io::split(peer);
        tokio::spawn(async move { says.write_all(LINE.repeat(100).as_bytes()).await });
        time::sleep(SECOND * 5 / 2).await;
        let mut heard = String::new();
        if reads {
            within(hears.read_to_string(&mut heard)).await.unwrap();
        }
        time::sleep(SECOND).await;
        let taken = handle.taken();
        assert!(taken.received > 1 + ROOM as u64, "{taken:?}");
        assert_eq!((taken.waiting, taken.written + taken.failed), (0, taken.received), "{taken:?}");
        if reads {
            let answered = heard.strip_suffix("closed 1001 old\n").expect("our goodbye").len() / LINE.len();
            // What was read before is answered, unless it is over.
            let expected = if is_over_at_the_end { 1 + ROOM } else { 2 + ROOM };
            assert_eq!((answered, taken.written), (expected, expected as u64), "{taken:?}");
        }
    }
}

/// Whose time is over is sent nothing that comes later, however slowly it reads what came before.
#[tokio::test(start_paused = true)]
async fn what_comes_behind_the_end_of_a_connection_fails() {
    let (ours, mut peer) = tokio::io::duplex(8);
    let protocol = Box::new(Timed::new(5 * SECOND, usize::MAX));
    let flow = server_of([Duplex { protocol, ..connection(ours, 1) }].into_iter()).await;
    for number in [20, 21, 22] {
        flow.pull(move |intake| intake.value(Value::from(number), to(&[1])));
    }
    time::sleep(7 * SECOND / 2).await;
    flow.pull(|intake| intake.value(Value::from(23), to(&[1])));
    time::sleep(SECOND / 4).await;
    let mut heard = String::new();
    within(peer.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "20\n21\n22\nclosed 1001 old\n");
    assert_eq!(flow.ledger.heard(4).await[3], "0:3 failed");
}

/// Throws away what it reads; says goodbye when it is told to, and at `until`.
struct Deaf {
    until: Instant,
}

impl Protocol for Deaf {
    fn read(&mut self, input: &mut BytesMut, _: &mut Intake, _: &mut Vec<u8>) -> Result<Flow, ProtocolError> {
        input.clear();
        Ok(Flow::Open)
    }

    fn write(&mut self, _: &[u8], _binary: bool, _: &mut Vec<u8>) -> Result<(), Unsendable> {
        Ok(())
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.until)
    }

    fn on_time(&mut self, _: Instant, _: &mut Intake, _: &mut Vec<u8>) -> Option<Ending> {
        Some(Ending::GoingAway)
    }

    fn end(&mut self, _: Ending, _: &mut Vec<u8>) -> bool {
        true
    }

    fn closed(&mut self, _: Cut) -> Closed {
        Closed { code: 1006, reason: String::new(), clean: false, by: "local", left_out: (0, 0) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_all_the_time_and_does_not_say_goodbye_is_left() {
    let read = Arc::new(AtomicUsize::new(0));
    let subject = subject(Endless { read: read.clone() }, Deaf { until: now() + SECOND }).await;
    time::advance(2 * SECOND).await;
    while read.load(Ordering::Relaxed) <= 17 << 20 {
        tokio::task::yield_now().await;
    }
    // By now it has heard of our goodbye, and the time for its own is over.
    time::advance(2 * SECOND).await;
    subject.is_connected(false).await;
    let read = read.load(Ordering::Relaxed);
    assert!((16 << 20..32 << 20).contains(&read), "{read} bytes");
}
