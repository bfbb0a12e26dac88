//! One connection over a pipe, with a protocol of lines.

use crate::fake::{Attempts, Seen, Subject, refused, within};
use bytes::BytesMut;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::mpsc,
    time::{sleep, timeout},
};
use tremor_connector::{
    ConnectError, Connected, Intake, State,
    duplex::{
        Address, Closed, Cut, Duplex, Ending, Flow, Limits, Protocol, ProtocolError, Stream, Unsendable,
    },
};
use tremor_event::OriginUri;
use tremor_value::Value;

const FOR_EVER: &str = r#"{"retry": {"interval_ms": 500, "randomized": false}}"#;

/// A message that cannot be sent.
pub(crate) const UNSENDABLE: u64 = 7;

/// Every message is a line; `?` wants a `!` back, `bye` ends in good order, and behind `more` the rest waits for its turn.
#[derive(Default)]
struct Lines {
    closed: bool,
}

impl Protocol for Lines {
    fn read(
        &mut self,
        input: &mut BytesMut,
        intake: &mut Intake,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, ProtocolError> {
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line = input.split_to(end + 1).freeze().slice(..end);
            match line.as_ref() {
                b"?" => reply.extend_from_slice(b"!\n"),
                b"bye" => return Ok(Flow::Closed { we_drop: true }),
                b"more" => return Ok(Flow::More),
                b"nonsense" => return Err(ProtocolError("that is nonsense".to_owned())),
                _ => intake.bytes(line, None),
            }
        }
        Ok(Flow::Open)
    }

    fn write(&mut self, chunk: &[u8], _binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        if self.closed {
            return Err(Unsendable("nothing can be sent behind a goodbye".to_owned()));
        }
        if chunk == UNSENDABLE.to_string().as_bytes() {
            return Err(Unsendable("7 cannot be sent".to_owned()));
        }
        out.extend_from_slice(chunk);
        out.push(b'\n');
        Ok(())
    }

    fn take_leave(&mut self, out: &mut Vec<u8>) {
        self.closed = true;
        out.extend_from_slice(b"so long\n");
    }

    fn end(&mut self, _ending: Ending, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"bye\n");
        true
    }

    fn closed(&mut self, cut: Cut) -> Closed {
        let by = if cut == Cut::Peer { "peer" } else { "local" };
        Closed { code: 1006, reason: String::new(), clean: false, by, left_out: (0, 0) }
    }
}

/// Takes everything and keeps it, as encryption does whose socket is full.
struct Hoarding(DuplexStream);

impl AsyncRead for Hoarding {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, into)
    }
}

impl AsyncWrite for Hoarding {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Always has more questions to read, up to its end, and takes every answer at once.
pub(crate) struct Endless {
    pub(crate) read: Arc<AtomicUsize>,
}

impl Endless {
    pub(crate) const BYTES: usize = 64 << 20;
}

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.load(Ordering::Relaxed) < Self::BYTES {
            let before = into.filled().len();
            while into.remaining() >= 2 {
                into.put_slice(b"?\n");
            }
            self.read.fetch_add(into.filled().len() - before, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Hoarding {}

impl Stream for Endless {}

pub(crate) fn connection(stream: impl Stream + 'static, conn: u64) -> Duplex {
    Duplex {
        traffic: None,
        outgoing: None,
        joining: None,
        stream: Box::new(stream),
        input: BytesMut::new(),
        protocol: Box::new(Lines::default()),
        origin: Arc::new(OriginUri::default()),
        meta: Value::record(),
        exit: None,
        address: Address { conn, host: "there".to_owned(), port: Some(1) },
        send_queue: None,
        limits: Limits { write: Duration::from_secs(30), ..Limits::default() },
    }
}

fn duplex(stream: impl Stream + 'static) -> Connected {
    Connected::Duplex(connection(stream, 1))
}

/// Attempts that connect to what the test holds the other end of.
pub(crate) fn pipes(count: usize, buffer_bytes: usize) -> (Attempts, Vec<DuplexStream>) {
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..count).map(|_| tokio::io::duplex(buffer_bytes)).unzip();
    let ours = Arc::new(Mutex::new(ours.into_iter()));
    let attempts: Attempts = Box::new(move |_| {
        let next = ours.lock().unwrap().next();
        Box::pin(async move {
            match next {
                Some(stream) => Ok(duplex(stream)),
                None => refused(),
            }
        })
    });
    (attempts, theirs)
}

pub(crate) async fn line(peer: &mut DuplexStream) -> String {
    let mut line = Vec::new();
    loop {
        match within(peer.read_u8()).await.unwrap() {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_goes_over_the_next_connection_in_order() {
    let (attempts, mut peers) = pipes(2, 4);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(100..200).await;
    let mut first = peers.remove(0);
    assert_eq!(line(&mut first).await, "100");
    assert_eq!(line(&mut first).await, "101");
    drop(first);
    subject.is_connected(false).await;
    let in_doubt = subject.handle.taken().written - 2;
    assert!(in_doubt <= 2, "4 bytes are no more than two lines: {in_doubt}");
    subject.give(200..210).await;
    let mut second = peers.remove(0);
    for expected in 102 + in_doubt..210 {
        assert_eq!(line(&mut second).await, expected.to_string());
    }
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.written, taken.failed, taken.waiting), (110, 110, 0, 0));
}

/// Whether reading or writing has its turn first is drawn at random, so one round would see half of it.
#[tokio::test(start_paused = true)]
async fn what_waits_when_the_peer_says_goodbye_goes_over_the_next_connection() {
    for _ in 0..24 {
        goodbye_while_messages_wait().await;
    }
}

async fn goodbye_while_messages_wait() {
    let (attempts, mut peers) = pipes(2, 4);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(100..101).await;
    let mut first = peers.remove(0);
    assert_eq!(line(&mut first).await, "100");
    first.write_all(b"bye\n").await.unwrap();
    subject.give(101..200).await;
    // The peer reads to the end, as a good one does.
    let mut read = String::new();
    within(first.read_to_string(&mut read)).await.unwrap();
    drop(first);
    subject.give(200..210).await;
    let mut second = peers.remove(0);
    assert!(read.ends_with("so long\n"));
    for expected in 101 + read.lines().count() - 1..210 {
        assert_eq!(line(&mut second).await, expected.to_string());
    }
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.written, taken.failed), (110, 110, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_fails_and_the_rest_goes_on() {
    let (attempts, mut peers) = pipes(1, 1024);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(6..9).await;
    assert_eq!((line(&mut peers[0]).await, line(&mut peers[0]).await), ("6".to_owned(), "8".to_owned()));
    subject.give(7..8).await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.written, taken.failed, taken.waiting), (4, 2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_dropped_even_if_it_sends_all_the_time() {
    let (attempts, mut peers) = pipes(1, 64);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(0..500).await;
    let mut peer = peers.remove(0);
    let sending = async {
        for number in 0_u64.. {
            if peer.write_all(format!("{number}\n").as_bytes()).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(35), sending).await.expect("the write limit is 30 s");
    subject.is_connected(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_makes_no_progress_counts_like_a_write() {
    let (ours, _theirs) = tokio::io::duplex(64);
    let ours = Arc::new(Mutex::new(Some(Hoarding(ours))));
    let attempts: Attempts = Box::new(move |_| {
        let ours = ours.lock().unwrap().take();
        Box::pin(async move { ours.map_or_else(refused, |ours| Ok(duplex(ours))) })
    });
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(0..1).await;
    let lost = timeout(Duration::from_secs(35), subject.is_connected(false));
    lost.await.expect("the write limit is 30 s");
    timeout(Duration::from_secs(5), subject.handle.stop()).await.expect("the stop hangs");
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_leaves_for_later_is_read_without_more_input_and_others_have_their_turn() {
    let (attempts, mut peers) = pipes(1, 1 << 20);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let turns = Arc::new(AtomicU64::new(0));
    let counted = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let peer = &mut peers[0];
    peer.write_all(format!("{}?\nmore\n", "?\nmore\n".repeat(100)).as_bytes()).await.unwrap();
    let before = turns.load(Ordering::Relaxed);
    for _ in 0..101 {
        assert_eq!(line(peer).await, "!");
    }
    assert!(
        turns.load(Ordering::Relaxed) - before >= 100,
        "{} turns",
        turns.load(Ordering::Relaxed) - before
    );
    // Nothing was left: that is not the end of the stream.
    peer.write_all(b"?\nbye\n").await.unwrap();
    assert_eq!((line(peer).await, line(peer).await), ("!".to_owned(), "so long".to_owned()));
    other.abort();
}

/// Writing fails as soon as there is something to answer, while most of what was read waits for its turn.
#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_connection_broke_is_not_lost_for_having_to_wait() {
    let (attempts, mut peers) = pipes(1, 1 << 20);
    let mut subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let mut peer = peers.remove(0);
    peer.write_all(b"?\n0\nmore\n1\nmore\n2\nmore\n3\n").await.unwrap();
    drop(peer);
    for number in 0..4 {
        assert_eq!(subject.next().await, Seen::Event("out", number.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_between_messages() {
    let (attempts, mut peers) = pipes(1, 1 << 20);
    let mut subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let peer = &mut peers[0];
    peer.write_all(b"1\n?\n2\n").await.unwrap();
    assert_eq!(line(peer).await, "!");
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    assert_eq!(subject.next().await, Seen::Event("out", "2".to_owned()));
}

/// Until every task waits for something: where time stands still, only then does it pass.
async fn all_wait() {
    sleep(Duration::from_nanos(1)).await;
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_in_front_of_messages_that_wait() {
    let (attempts, mut peers) = pipes(1, 5);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(100..200).await;
    let mut peer = peers.remove(0);
    all_wait().await;
    for round in 0..3 {
        peer.write_all(b"?\n").await.unwrap();
        all_wait().await;
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "!") {
            lines.push(line(&mut peer).await);
        }
        assert!(lines.len() <= 4, "round {round}: {lines:?}");
    }
    // All is still there, whole and in order.
    let mut next = line(&mut peer).await.parse::<u64>().unwrap();
    while next < 199 {
        let line = line(&mut peer).await.parse::<u64>().unwrap();
        assert_eq!(line, next + 1);
        next = line;
    }
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert_eq!(subject.handle.taken().written, 100);
}

/// A peer that floods us with questions and reads none of the answers costs a bounded amount of memory: at some
/// point we stop reading.
#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_stop_the_reading() {
    let (attempts, mut peers) = pipes(1, 1024);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let questions = "?\n".repeat(1024);
    let mut sent = 0;
    while timeout(Duration::from_secs(1), peers[0].write_all(questions.as_bytes())).await.is_ok() {
        sent += questions.len();
        assert!(sent < 1 << 20, "nobody stops the peer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_idle_lets_the_others_have_their_turn() {
    let read = Arc::new(AtomicUsize::new(0));
    let flood = Arc::new(Mutex::new(Some(Endless { read: read.clone() })));
    let attempts: Attempts = Box::new(move |_| {
        let flood = flood.lock().unwrap().take();
        Box::pin(async move { flood.map_or_else(refused, |flood| Ok(duplex(flood))) })
    });
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    within(async {
        while read.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let read = read.load(Ordering::Relaxed);
    assert!(read < Endless::BYTES / 4, "{read} bytes were read before anybody else had a turn");
    within(subject.handle.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_while_the_flow_drains() {
    let (attempts, mut peers) = pipes(1, 1024);
    let mut subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let mut peer = peers.remove(0);
    peer.write_all(b"1\n").await.unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    let mut draining = Box::pin(subject.handle.drain());
    // Behind the time in which it is still read for answers.
    assert!(timeout(Duration::from_secs(3), draining.as_mut()).await.is_err(), "there is a source in front");
    peer.write_all(b"2\n?\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "!");
    assert_eq!(subject.handle.given().0, 1, "what comes while the flow drains is too late");
}

#[tokio::test(start_paused = true)]
async fn an_unlinked_connection_answers_and_sees_its_peer_go() {
    let (attempts, mut peers) = pipes(1, 1024);
    let subject = Subject::new("single", FOR_EVER, attempts, false);
    within(subject.handle.start()).await.unwrap();
    let mut peer = peers.remove(0);
    peer.write_all(b"1\n?\n2\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "!");
    drop(peer);
    subject.is_connected(false).await;
    assert_eq!(subject.handle.given().0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_end_is_told_on_err_behind_everything_else() {
    let (attempts, mut peers) = pipes(1, 1024);
    let mut subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let mut peer = peers.remove(0);
    peer.write_all(b"1\n").await.unwrap();
    drop(peer);
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    let Seen::Event("err", told) = subject.next().await else { panic!("not on err") };
    let told = Value::from_json_str(&told).unwrap();
    assert!(told.get("pull_id").unwrap().is_null());
    let closed = told.get("closed").unwrap();
    assert_eq!(closed.get("by").unwrap().as_str(), Some("peer"));
    assert_eq!(closed.get("in").unwrap().get("messages").unwrap().as_u64(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_waits_and_says_goodbye() {
    let (attempts, mut peers) = pipes(1, 1 << 20);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(0..3).await;
    let handle = subject.handle.clone();
    let stopping = tokio::spawn(async move { handle.stop().await });
    for expected in ["0", "1", "2", "bye"] {
        assert_eq!(line(&mut peers[0]).await, expected);
    }
    peers[0].write_all(b"late\nbye\n").await.unwrap();
    within(stopping).await.unwrap();
    assert_eq!(subject.handle.taken().written, 3);
}

/// Whatever the peer does or does not do, and however full the queues are, a stop takes less than 5 s.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_peer() {
    let (attempts, peers) = pipes(1, 16);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(0..1000).await;
    timeout(Duration::from_secs(5), subject.handle.stop()).await.expect("the stop hangs");
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.waiting), (1000, 0));
    drop(peers);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_until_what_waits_is_written() {
    let (attempts, mut peers) = pipes(1, 16);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(100..200).await;
    subject.front_is_done().await;
    let mut draining = Box::pin(subject.handle.drain());
    assert!(timeout(Duration::from_secs(1), draining.as_mut()).await.is_err());
    for expected in 100..200 {
        assert_eq!(line(&mut peers[0]).await, expected.to_string());
    }
    within(draining).await;
    assert_eq!(subject.handle.status().state, State::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_and_all_the_time_is_not_given_up() {
    let (attempts, mut peers) = pipes(1, 16);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(100..120).await;
    for expected in 100..120 {
        // All of them take ten times as long as a write may.
        sleep(Duration::from_secs(15)).await;
        assert_eq!(line(&mut peers[0]).await, expected.to_string());
    }
    assert_eq!(subject.handle.taken().written, 20);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_while_draining_ends_the_drain() {
    let (attempts, peers) = pipes(1, 16);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    subject.give(0..100).await;
    subject.front_is_done().await;
    let mut draining = Box::pin(subject.handle.drain());
    assert!(timeout(Duration::from_secs(1), draining.as_mut()).await.is_err());
    drop(peers);
    within(draining).await;
    assert_eq!(subject.handle.taken().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_while_draining_still_takes_what_waits() {
    let (ours, mut peer) = tokio::io::duplex(1024);
    let (allow, allowed) = mpsc::channel::<()>(1);
    let parts = Arc::new(Mutex::new(Some((ours, allowed))));
    let attempts: Attempts = Box::new(move |_| {
        let parts = parts.lock().unwrap().take();
        Box::pin(async move {
            let Some((ours, mut allowed)) = parts else {
                return Err(ConnectError::Failed("there is only one".to_owned()));
            };
            allowed.recv().await;
            Ok(duplex(ours))
        })
    });
    let subject = Subject::single(FOR_EVER, attempts);
    let handle = subject.handle.clone();
    tokio::spawn(async move { handle.start().await });
    subject.reaches(State::Running).await;
    subject.give(0..3).await;
    subject.front_is_done().await;
    let mut draining = Box::pin(subject.handle.drain());
    assert!(timeout(Duration::from_secs(1), draining.as_mut()).await.is_err());
    drop(allow);
    for expected in ["0", "1", "2"] {
        assert_eq!(line(&mut peer).await, expected);
    }
    within(draining).await;
}

/// A reset would overtake our goodbye.
#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_goodbye_is_read_until_the_peer_is_gone_or_late() {
    let (attempts, mut peers) = pipes(1, 16);
    let subject = Subject::single(FOR_EVER, attempts);
    within(subject.handle.start()).await.unwrap();
    let mut peer = peers.remove(0);
    peer.write_all(b"bye\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "so long");
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
    peer.write_all(&[b'x'; 4096]).await.unwrap();
    sleep(Duration::from_millis(900)).await;
    peer.write_all(&[b'x'; 4096]).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(peer.write_all(b"x").await.is_err(), "a second is enough");
    subject.is_connected(false).await;
}

#[test]
fn a_connection_is_called_by_its_peer_with_the_port_where_that_is_known() {
    let called = |port| Address { conn: 7, host: "::1".to_owned(), port }.to_string();
    assert_eq!(called(Some(80)), "connection 7 with [::1]:80");
    assert_eq!(called(None), "connection 7 with ::1");
}
