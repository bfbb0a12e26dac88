//! One connection that comes back.

use super::{
    client_opening::start,
    peers::{Port, accept, client, close_code, next_text, text},
};
use crate::harness::{Linked, Seen, Subject, within};
use futures_util::StreamExt;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use tokio::{net::TcpListener, sync::watch};
use tremor_connector::{Deliver, Handle, State};
use tremor_event::{Event, EventBatch, EventId};
use tremor_value::{Meta, Value};

const SOON: &str = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;

#[tokio::test]
async fn the_last_of_three_attempts_says_what_is_wrong() {
    let port = Port::reserve();
    let three = r#"{"retry": {"interval_ms": 5, "growth_rate": 2, "max_retries": 3, "randomized": false}}"#;
    let subject = client(&port, "", three);
    let failure = within(subject.handle.start()).await.unwrap_err();
    let expected = format!(
        "flow::subject Connection failed after 3 tries: cannot connect to {}: connection refused",
        port.address()
    );
    assert_eq!(failure, expected);
    assert_eq!(subject.handle.status().state, State::Failed);
}

#[tokio::test]
async fn a_refusal_names_status_and_body() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, "", r#""none""#);
    let answering = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        super::peers::head(&mut tcp).await;
        let answer = b"HTTP/1.1 403 No\r\nContent-Length: 7\r\nConnection: close\r\n\r\nnot you";
        tokio::io::AsyncWriteExt::write_all(&mut tcp, answer).await.unwrap();
    };
    let (failure, ()) = within(async { tokio::join!(subject.handle.start(), answering) }).await;
    let failure = failure.unwrap_err();
    assert!(failure.contains("403") && failure.contains("not you"), "{failure}");
    assert!(failure.contains(&port.address()), "{failure}");
}

/// Splitmix64: the same moments on every run of a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Takes messages and dies again and again, until it has seen the last one.
async fn mortal(port: Arc<Port>, seed: u64, got: Arc<Mutex<Vec<u64>>>, handle: Handle) {
    let mut random = Random(seed);
    let mut listener: Option<TcpListener> = None;
    loop {
        let mut ws = accept(listener.get_or_insert_with(|| port.listen())).await;
        for _ in 0..random.below(400) {
            let Some(Ok(message)) = ws.next().await else { break };
            let Ok(text) = message.to_text() else { continue };
            let Some(number) = text.split(['[', ',']).nth(1) else { continue };
            let number = number.parse().unwrap();
            got.lock().unwrap().push(number);
            if number == EVENTS - 1 {
                return;
            }
        }
        if random.below(2) == 0 {
            // It stops reading a while before it dies: messages are in the middle of being written then.
            for _ in 0..1000 {
                if handle.taken().waiting > 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        match random.below(4) {
            0 => drop(ws.close(None).await),
            1 => listener = None,
            2 => {
                // Gone without a goodbye, with what was not read.
                let socket = socket2::SockRef::from(ws.get_ref().get_ref());
                socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
            }
            _ => {}
        }
    }
}

const EVENTS: u64 = 2000;
/// Most events that are sent at once.
const AT_ONCE: u64 = 32;

/// Events that are large enough for a few to fill what the system takes.
fn batch(numbers: std::ops::Range<u64>) -> EventBatch {
    let filler = Value::from("x".repeat(30_000));
    let events = numbers.map(|number| Event {
        id: EventId::new(1, 0, number, number),
        payload: Value::from(vec![Value::from(number), filler.clone()]).into(),
        meta: Meta::record(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: None,
    });
    EventBatch { events: events.collect(), bytes: 1 }
}

/// `received + waiting + failed + in doubt = sent` at every moment, in order, nothing twice.
#[tokio::test]
async fn nothing_is_lost_doubled_or_reordered_while_the_server_dies_again_and_again() {
    for seed in 1..=3 {
        let port = Arc::new(Port::reserve());
        let got = Arc::new(Mutex::new(Vec::new()));
        let subject = client(&port, "", SOON);
        let server = tokio::spawn(mortal(port.clone(), seed, got.clone(), subject.handle.clone()));
        within(subject.handle.start()).await.unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let sampled =
            tokio::spawn(sample(subject.handle.clone(), subject.way_in(), sent.clone(), got.clone()));
        let (into, mut random, mut next) = (subject.way_in(), Random(seed), 0);
        while next < EVENTS {
            let end = (next + 1 + random.below(AT_ONCE)).min(EVENTS);
            sent.store(end, Ordering::SeqCst);
            within(into.deliver(0, batch(next..end))).await;
            // Nothing is at hand now: what is counted as waiting has to be there, message by message.
            let (held, taken) = (into.held().unwrap() as u64, subject.handle.taken());
            assert_eq!(held + taken.written + taken.failed, end, "seed {seed}: {held} held, {taken:?}");
            next = end;
        }
        while !server.is_finished() {
            tokio::task::yield_now().await;
            // The last one may have been written to a connection that died: then it is sent once more.
            if subject.handle.taken().waiting == 0 && subject.handle.status().connected {
                sent.fetch_add(1, Ordering::SeqCst);
                within(into.deliver(0, batch(EVENTS - 1..EVENTS))).await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        within(server).await.unwrap();
        assert!(!sampled.is_finished(), "seed {seed}: a sample did not add up");
        sampled.abort();
        let got = got.lock().unwrap();
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: order, and nothing twice");
        let taken = subject.handle.taken();
        assert_eq!((taken.received, taken.failed), (sent.load(Ordering::SeqCst), 0));
        let in_doubt = taken.written - got.len() as u64;
        let held = subject.way_in().held().unwrap() as u64;
        assert_eq!(got.len() as u64 + in_doubt + held + taken.failed, sent.load(Ordering::SeqCst));
        assert!(got.len() as u64 > EVENTS / 8, "seed {seed}: {} of {EVENTS} came through", got.len());
    }
}

/// Looks again and again, between the steps of everybody else: they all share this thread.
async fn sample(handle: Handle, into: Arc<dyn Deliver>, sent: Arc<AtomicU64>, got: Arc<Mutex<Vec<u64>>>) {
    loop {
        let taken = handle.taken();
        let sent = sent.load(Ordering::SeqCst);
        let got = got.lock().unwrap().len() as u64;
        // What is being sent right now may or may not have been taken.
        assert!(taken.received <= sent && taken.received + AT_ONCE >= sent, "{taken:?} of {sent}");
        // What counts as waiting is held, but for the rest of the batch that waits for room.
        let held = into.held().unwrap() as u64;
        assert!(held <= taken.waiting && taken.waiting <= held + AT_ONCE, "{held} held, {taken:?} {got}");
        assert!(got <= taken.written, "{got} arrived, but {taken:?}");
        // 1 MiB waits, be it in the queue or on its way out; the batch at hand waits to be taken.
        assert!(taken.waiting <= (1 << 20) / 30_000 + 1 + AT_ONCE, "{taken:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_bounded_number_of_events_waits_for_the_server() {
    let port = Port::reserve();
    let mut subject = client(&port, "", SOON);
    start(&subject);
    let (count, mut counted) = watch::channel(0);
    let mut giver = tokio::spawn(async move {
        for number in 0..1500_u64 {
            subject.give_to(0, Value::from(number)).await;
            count.send_replace(number + 1);
        }
        subject
    });
    within(counted.wait_for(|given| *given == 1024)).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*counted.borrow(), 1024);
    let mut ws = accept(&port.listen()).await;
    for expected in 0..1500 {
        assert_eq!(next_text(&mut ws).await, expected.to_string());
    }
    let subject = within(&mut giver).await.unwrap();
    assert_eq!(subject.handle.taken().failed, 0);
}

#[tokio::test]
async fn a_connection_that_the_peer_closes_is_made_again_and_told_apart() {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = client(&port, "", SOON);
    let started = start(&subject);
    let mut first = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    subject.open();
    first.send(text(1)).await.unwrap();
    let event = subject.next_event().await;
    let origin = event.origin.unwrap();
    assert_eq!(origin.scheme, "tremor-ws-client");
    assert_eq!(origin.path, [origin.port.unwrap().to_string()]);
    let of_client = event.meta.get("ws_client").unwrap();
    let peer = of_client.get("peer").unwrap();
    assert_eq!(peer.get("port").unwrap().as_u64(), Some(u64::from(port.number)));
    first.close(None).await.unwrap();
    while let Some(Ok(_)) = first.next().await {}
    drop(first);

    let mut second = accept(&listener).await;
    second.send(text(2)).await.unwrap();
    assert_eq!(subject.next_value().await, "2");
    drop(second);
    // Only the end without a Close is an error.
    let Seen::Event("err", told) = subject.next().await else { panic!("no `closed` on err") };
    let closed = told.payload.value().get("closed").unwrap();
    assert_eq!(closed.get("code").unwrap().as_u64(), Some(1006));
    let mut third = accept(&listener).await;
    third.send(text(3)).await.unwrap();
    assert_eq!(subject.next_value().await, "3");
    let handle = subject.handle.clone();
    let stopping = tokio::spawn(async move { handle.stop().await });
    assert_eq!(close_code(&mut third).await, 1000);
    drop(third);
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn one_handshake_at_a_time_goes_to_a_server() {
    let port = Port::reserve();
    let listener = port.listen();
    let dials = tremor_connector::Dials::default();
    let definition = super::peers::client_definition(&port, "", r#""none""#);
    let subjects = [(), ()].map(|()| Subject::sharing(&definition, Linked::Fully, dials.clone()).unwrap());
    let starts: Vec<_> = subjects.iter().map(start).collect();
    let (first, _) = within(listener.accept()).await.unwrap();
    // The first one is in the middle of its handshake: the second must not even have connected.
    let second = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(second.is_err());
    let _first = async_tungstenite::tokio::accept_async(first).await.unwrap();
    let _second = accept(&listener).await;
    for start in starts {
        within(start).await.unwrap().unwrap();
    }
}
