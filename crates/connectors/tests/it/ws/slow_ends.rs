//! Peers that are still reading what they were sent when their connection is to end.

use super::{
    control::member,
    peers::{Port, head, upgrade},
};
use crate::harness::{Clock, Seen, Subject, json, within};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::Instant,
};
use tremor_codec::testing::Log;
use tremor_event::Event;
use tremor_value::Value;

/// What the answer has, which the systems of both sides take together.
const ANSWER_BYTES: usize = 2 << 20;
/// What a shorter one has, which the system of the peer takes.
const SHORT_ANSWER_BYTES: usize = 60_000;
/// That as text in JSON, and the head of its frame.
const SHORT_FRAME_BYTES: usize = SHORT_ANSWER_BYTES + 2 + 4;
/// The same for the long one.
const FRAME_BYTES: usize = ANSWER_BYTES + 2 + 10;
/// Our time for goodbyes is shorter than it takes the peer to read all.
const SHORT: &str = r#", "close_handshake_timeout": 300"#;
/// What a peer reads while 50 ms pass.
const STEP_BYTES: usize = 128 << 10;
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

/// A server, and a client that has been answered and has read nothing of it.
struct Slow {
    clock: Clock,
    subject: Subject,
    tcp: TcpStream,
}

impl Slow {
    async fn open(more: &str) -> Self {
        Self::answered(ANSWER_BYTES, more).await
    }

    /// The same for a client whose system has all of the answer, which it has not read.
    async fn behind(more: &str) -> Self {
        Self::answered(SHORT_ANSWER_BYTES, more).await
    }

    async fn answered(bytes: usize, more: &str) -> Self {
        let clock = Clock::stop();
        let (mut subject, port) = super::control::server(more).await;
        let mut tcp = connect(&port).await;
        tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
        assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
        subject.next_told().await;
        tcp.write_all(b"\x81\x81\0\0\0\x001").await.unwrap();
        let asks = subject.next_event().await;
        let answer = Value::from("x".repeat(bytes));
        subject.deliver(0, Event { payload: answer.into(), ..asks }).await;
        subject.written(1).await;
        Self { clock, subject, tcp }
    }

    /// The flow closes the connection.
    async fn close(&mut self) {
        self.subject.give_to(2, json(r#"{"kind": "close", "where": {}, "code": 4000}"#)).await;
    }

    /// The flow drains; gives what ends with its last connection.
    async fn drain(&self) -> JoinHandle<()> {
        self.subject.front_is_done().await;
        let handle = self.subject.handle.clone();
        within(handle.drain()).await;
        let latest = Instant::now() + Duration::from_secs(60);
        let drain = tokio::spawn(async move { handle.let_go(latest).await });
        // Its time begins before it moves.
        tokio::task::yield_now().await;
        drain
    }

    async fn stop(&self) -> JoinHandle<()> {
        let handle = self.subject.handle.clone();
        let stop = tokio::spawn(async move { handle.stop().await });
        tokio::task::yield_now().await;
        stop
    }

    /// Reads `bytes`, step by step, and says something at each.
    async fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        for step in read.chunks_mut(STEP_BYTES) {
            within(self.tcp.read_exact(step)).await.unwrap();
            self.tcp.write_all(&PING).await.unwrap();
            self.clock.advance(50).await;
            tokio::task::yield_now().await;
        }
        read
    }

    /// Reads nothing and says something so many times, within `SHORT` each time.
    async fn talk(&mut self, times: usize) {
        for _ in 0..times {
            self.tcp.write_all(&PING).await.unwrap();
            // It may take some turns for the other side to hear of that.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            self.clock.advance(200).await;
        }
    }

    /// What port `control` tells of the end.
    async fn closed(&mut self) -> Event {
        loop {
            match self.subject.next().await {
                Seen::Event("control", told) if member(&told, "kind") == "closed".into() => return told,
                Seen::Event("control", _) | Seen::Drained(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn connect(port: &Port) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1 << 18).unwrap();
    let tcp = within(socket.connect(port.address().parse().unwrap())).await.unwrap();
    // What it says does not wait until what it said before is acknowledged.
    tcp.set_nodelay(true).unwrap();
    tcp
}

/// The peer reads all, with our goodbye behind it, and answers that; gives the code.
async fn gets_all(slow: &mut Slow) -> u16 {
    let begin = Instant::now();
    let read = slow.read(FRAME_BYTES).await;
    assert!(begin.elapsed() > Duration::from_millis(600), "{:?}", begin.elapsed());
    assert!(read.ends_with(b"x\""));
    says_goodbye(slow).await
}

/// The peer reads our goodbye and answers it; gives the code.
async fn says_goodbye(slow: &mut Slow) -> u16 {
    let mut goodbye = [0; 4];
    within(slow.tcp.read_exact(&mut goodbye)).await.unwrap();
    let [0x88, 2, code @ ..] = goodbye else { panic!("{goodbye:?}") };
    slow.tcp.write_all(&[&[0x88, 0x82, 0, 0, 0, 0], &code[..]].concat()).await.unwrap();
    u16::from_be_bytes(code)
}

/// The same, and it counts as a clean end.
async fn is_heard_out(slow: &mut Slow) -> u16 {
    let code = gets_all(slow).await;
    assert_eq!(member(&slow.closed().await, "clean"), true.into());
    code
}

#[tokio::test]
async fn a_peer_that_reads_slowly_and_talks_gets_all_and_our_goodbye() {
    let mut slow = Slow::open(SHORT).await;
    slow.close().await;
    assert_eq!(is_heard_out(&mut slow).await, 4000);
}

#[tokio::test]
async fn so_it_does_when_the_flow_drains() {
    let mut slow = Slow::open(SHORT).await;
    let drain = slow.drain().await;
    assert_eq!(is_heard_out(&mut slow).await, 1001);
    within(drain).await.unwrap();
}

#[tokio::test]
async fn so_it_does_when_the_flow_stops() {
    let mut slow = Slow::open(SHORT).await;
    let stop = slow.stop().await;
    assert_eq!(gets_all(&mut slow).await, 1001);
    within(stop).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_takes_nothing_has_the_time_of_others_and_the_log_tells_what_it_did_not_get() {
    let (told, _listening) = Log::listen();
    let mut slow = Slow::open(SHORT).await;
    slow.close().await;
    for _ in 0..6 {
        assert!(!told.text().contains("taken"), "{}", told.text());
        tokio::task::yield_now().await;
        slow.clock.advance(50).await;
    }
    slow.clock.advance(2).await;
    let closed = slow.closed().await;
    assert_eq!(member(&closed, "clean"), false.into());
    let conn = member(&closed, "conn");
    within(async {
        while !has_told(&told, &conn) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_drain_that_is_over_tells_what_a_peer_that_still_reads_did_not_get() {
    let (told, _listening) = Log::listen();
    let mut slow = Slow::open(r#", "close_handshake_timeout": 300, "drain_timeout": 500"#).await;
    let drain = slow.drain().await;
    slow.read(9 * STEP_BYTES).await;
    assert!(!drain.is_finished());
    slow.clock.advance(51).await;
    within(drain).await.unwrap();
    let conn = member(&slow.closed().await, "conn");
    assert!(has_told(&told, &conn), "{}", told.text());
}

/// The peer says something for long enough, then reads all and answers our goodbye; gives the code.
async fn comes_to_our_goodbye(slow: &mut Slow) -> u16 {
    slow.talk(10).await;
    let mut read = vec![0; SHORT_FRAME_BYTES];
    within(slow.tcp.read_exact(&mut read)).await.unwrap();
    assert!(read.ends_with(b"x\""));
    says_goodbye(slow).await
}

#[tokio::test]
async fn a_peer_whose_system_has_all_is_waited_for_while_it_talks() {
    let mut slow = Slow::behind(SHORT).await;
    slow.close().await;
    assert_eq!(comes_to_our_goodbye(&mut slow).await, 4000);
    assert_eq!(member(&slow.closed().await, "clean"), true.into());
}

#[tokio::test]
async fn so_is_one_when_the_flow_drains() {
    let mut slow = Slow::behind(SHORT).await;
    let drain = slow.drain().await;
    assert_eq!(comes_to_our_goodbye(&mut slow).await, 1001);
    within(drain).await.unwrap();
    assert_eq!(member(&slow.closed().await, "clean"), true.into());
}

#[tokio::test]
async fn so_is_one_when_the_flow_stops() {
    let mut slow = Slow::behind(SHORT).await;
    let stop = slow.stop().await;
    assert_eq!(comes_to_our_goodbye(&mut slow).await, 1001);
    within(stop).await.unwrap();
}

#[tokio::test]
async fn the_log_tells_of_a_peer_that_may_not_have_read_what_its_system_has() {
    let (told, _listening) = Log::listen();
    let mut slow = Slow::behind(SHORT).await;
    slow.close().await;
    for _ in 0..6 {
        tokio::task::yield_now().await;
        slow.clock.advance(51).await;
    }
    let conn = member(&slow.closed().await, "conn");
    let line = " was ended before its peer had answered the Close: the last message that it was sent may not have been read";
    let log = told_of_end(&told, &conn).await;
    assert!(log[0].ends_with(line), "{log:?}");
}

#[tokio::test]
async fn a_drain_that_is_over_tells_of_a_peer_that_still_talks() {
    let (told, _listening) = Log::listen();
    let mut slow = Slow::behind(r#", "close_handshake_timeout": 300, "drain_timeout": 900"#).await;
    let drain = slow.drain().await;
    slow.talk(4).await;
    assert!(!drain.is_finished());
    slow.clock.advance(101).await;
    within(drain).await.unwrap();
    let conn = member(&slow.closed().await, "conn");
    assert_eq!(told_of_end(&told, &conn).await.len(), 1, "{}", told.text());
}

/// However long it was waited for.
#[tokio::test]
async fn the_log_tells_of_a_peer_that_talks_for_too_long() {
    let (told, _listening) = Log::listen();
    let mut slow = Slow::behind(SHORT).await;
    slow.close().await;
    slow.talk(149).await;
    assert!(!told.text().contains("was ended before"), "{}", told.text());
    slow.talk(1).await;
    slow.clock.advance(2).await;
    let conn = member(&slow.closed().await, "conn");
    let log = told_of_end(&told, &conn).await;
    assert!(log[0].contains(": the last message that it was sent may not"), "{log:?}");
}

#[tokio::test]
async fn nothing_is_told_of_a_peer_that_was_sent_nothing() {
    let (told, _listening) = Log::listen();
    let (mut subject, port) = super::control::server(SHORT).await;
    let mut tcp = connect(&port).await;
    tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
    subject.next_told().await;
    within(subject.handle.stop()).await;
    assert!(!told.text().contains("was ended before"), "{}", told.text());
}

#[tokio::test]
async fn of_many_peers_that_may_not_have_read_all_most_are_counted() {
    let (told, _listening) = Log::listen();
    let (mut subject, port) = super::control::server(SHORT).await;
    let mut peers = Vec::new();
    for _ in 0..25 {
        let mut tcp = connect(&port).await;
        tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
        assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
        subject.next_told().await;
        peers.push(tcp);
    }
    subject.give_to(1, "all".into()).await;
    for tcp in &mut peers {
        within(tcp.read_exact(&mut [0; 7])).await.unwrap();
    }
    within(subject.handle.stop()).await;
    let log = told.text();
    assert_eq!(log.matches("was ended before its peer had answered the Close").count(), 10, "{log}");
    assert!(log.contains("] 15 more connections were ended like that"), "{log}");
}

/// Lines of the log on the early end of connection `conn`, once there is one.
async fn told_of_end(told: &Log, conn: &Value) -> Vec<String> {
    let lines = || -> Vec<String> {
        let of_connection = format!("connection {conn} with 127.0.0.1:");
        let is_wanted = |line: &&str| line.contains(&of_connection) && line.contains(" was ended before ");
        told.text().lines().filter(is_wanted).map(str::to_owned).collect()
    };
    within(async {
        while lines().is_empty() {
            tokio::task::yield_now().await;
        }
        lines()
    })
    .await
}

/// Whether the log tells how many bytes connection `conn` did not take.
fn has_told(told: &Log, conn: &Value) -> bool {
    told.text().lines().any(|line| {
        let of_connection = line.contains(&format!("connection {conn} with 127.0.0.1:"));
        let bytes = line.split_once("was ended before its peer had taken the last ");
        let bytes =
            bytes.and_then(|(_, rest)| rest.split_once(" bytes of what it was sent: they may be lost"));
        of_connection
            && bytes.is_some_and(|(bytes, _)| (1..=FRAME_BYTES + 4).contains(&bytes.parse().unwrap()))
    })
}
