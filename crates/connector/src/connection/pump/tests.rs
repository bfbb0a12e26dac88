//! What is written, and what is told of it.

use super::*;
use crate::{
    FrameType, SendQueue,
    duplex::Unsendable,
    outbox::{Extra, tests::items},
};
use crate::{connection::framed::LOOSE_BYTES, outbox::Shared};
use std::{
    future::poll_fn,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::io::AsyncReadExt;
use tremor_codec::{Definition, NameAndConfig, Registry};
use tremor_event::EventId;
use tremor_value::Value;

/// Sends chunks as they are, or a number in front of them that counts up, or of which all connections have the same.
struct Numbered {
    written: u8,
    shares: bool,
}

impl Protocol for Numbered {
    fn read(&mut self, _: &mut BytesMut, _: &mut Intake, _: &mut Vec<u8>) -> Result<Flow, ProtocolError> {
        Ok(Flow::Open)
    }

    fn write(&mut self, chunk: &[u8], _binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        if chunk == b"unsendable" {
            return Err(Unsendable("the test says so".to_owned()));
        }
        self.written += 1;
        out.push(self.written);
        out.extend_from_slice(chunk);
        Ok(())
    }

    fn shares_frames(&self) -> Option<u8> {
        self.shares.then_some(0)
    }

    fn end(&mut self, _: Ending, _: &mut Vec<u8>) -> bool {
        false
    }

    fn closed(&mut self, _: Cut) -> Closed {
        Closed { code: 1000, reason: String::new(), clean: true, by: "local", left_out: (0, 0) }
    }
}

/// What two connections write that are sent the same, and what they count as written and failed. The first one counts
/// its frames from 1, the second from 101.
async fn write_to_two(shares: bool, payloads: &[&str]) -> [(Vec<u8>, (u64, u64)); 2] {
    let definition = Definition::of_codec(NameAndConfig::from_value(&"string".into()).unwrap());
    let mut encoder = Registry::standard().resolver(&definition).unwrap().encoder();
    let (meta, id) = (Value::record(), EventId::default());
    let values: Vec<Value> = payloads.iter().map(|payload| Value::from(*payload)).collect();
    let items = items(&values, &meta, &id);
    let shared: Vec<_> = items
        .iter()
        .map(|item| Extra {
            shared: Some(Arc::new(Shared::new(&mut encoder, item, FrameType::Text))),
            ..Extra::default()
        })
        .collect();
    let mut written = Vec::new();
    for before in [0, 100] {
        let mut pump = pump_of(Box::new(Numbered { written: before, shares }), &[]);
        pump.outbox.put(&items, &shared, false, &mut |refused| panic!("{refused}"));
        let (near, mut far) = tokio::io::duplex(1000);
        let mut stream: Box<dyn Stream> = Box::new(near);
        let write = async {
            assert!(poll_fn(|cx| pump.poll(cx, &mut stream)).await.is_none());
            assert!(!shares || pump.framed.bytes().capacity() < LOOSE_BYTES, "large frames are not copied");
            drop(stream);
            let totals = pump.outbox.counters().totals();
            (totals.written, totals.failed)
        };
        let mut received = Vec::new();
        let (counted, read) = tokio::join!(write, far.read_to_end(&mut received));
        read.unwrap();
        written.push((received, counted));
    }
    written.try_into().unwrap()
}

#[tokio::test]
async fn what_two_connections_are_sent_is_framed_once_where_the_protocol_allows_it() {
    let large = "x".repeat(2 * LOOSE_BYTES);
    let payloads = ["a", &large, "unsendable", "b"];
    let framed = |numbers: [u8; 3]| -> Vec<u8> {
        let frames = numbers.into_iter().zip(["a", &large, "b"]);
        frames.flat_map(|(number, payload)| [&[number], payload.as_bytes()].concat()).collect()
    };
    let [one, other] = write_to_two(true, &payloads).await;
    assert!(one == other && one == (framed([1, 2, 3]), (3, 1)), "the second one has framed nothing");
    let [one, other] = write_to_two(false, &payloads).await;
    assert!(one == (framed([1, 2, 3]), (3, 1)) && other == (framed([101, 102, 103]), (3, 1)));
}

/// Sends chunks as they are.
struct Raw;

impl Protocol for Raw {
    fn read(&mut self, _: &mut BytesMut, _: &mut Intake, _: &mut Vec<u8>) -> Result<Flow, ProtocolError> {
        Ok(Flow::Open)
    }

    fn write(&mut self, chunk: &[u8], _binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        out.extend_from_slice(chunk);
        Ok(())
    }

    fn write_head(&mut self, _: &[u8], _binary: bool, _: &mut Vec<u8>) -> Result<bool, Unsendable> {
        Ok(true)
    }

    fn end(&mut self, _: Ending, _: &mut Vec<u8>) -> bool {
        false
    }

    fn closed(&mut self, _: Cut) -> Closed {
        Closed { code: 1000, reason: String::new(), clean: true, by: "local", left_out: (0, 0) }
    }
}

fn pump_with(payloads: &[Vec<u8>]) -> Pump {
    pump_of(Box::new(Raw), payloads)
}

fn pump_of(protocol: Box<dyn Protocol>, payloads: &[Vec<u8>]) -> Pump {
    let definition = Definition::of_codec(NameAndConfig::from_value(&"json".into()).unwrap());
    let encoder = Registry::standard().resolver(&definition).unwrap().encoder();
    let outbox = Outbox::new(encoder, SendQueue::default(), Arc::default());
    outbox.put_back(&mut Messages::of(payloads.iter().map(Vec::as_slice)), 0);
    Pump::new(protocol, Arc::new(outbox), (Unwritten::Fail, "test".into()), Limits::default())
}

#[tokio::test]
async fn what_a_batch_took_is_given_back_before_the_connection_waits() {
    let mut pump = pump_with(&vec![vec![b'x'; 100]; 64]);
    let (near, _far) = tokio::io::duplex(1 << 20);
    let mut stream: Box<dyn Stream> = Box::new(near);
    assert!(poll_fn(|cx| pump.poll(cx, &mut stream)).await.is_none());
    assert_eq!((pump.sent(), pump.outbox().held()), ((64, 6400), (0, 0)));
    assert!(pump.framed.bytes().capacity() >= 6400 && pump.ends.capacity() >= 64);
    pump.trim();
    assert!(pump.framed.bytes().capacity() <= KEPT_BYTES && pump.ends.capacity() <= KEPT_MESSAGES);
}

#[tokio::test]
async fn a_large_payload_is_not_copied_and_leaves_whole_through_a_narrow_stream() {
    let payloads = [vec![b'a'; 10], vec![b'b'; 3 * LOOSE_BYTES], vec![b'c'; 10], vec![b'd'; LOOSE_BYTES]];
    let mut pump = pump_with(&payloads);
    let (near, mut far) = tokio::io::duplex(1000);
    let mut stream: Box<dyn Stream> = Box::new(near);
    let mut received = vec![0; payloads.concat().len()];
    let write = poll_fn(|cx| {
        let polled = pump.poll(cx, &mut stream);
        assert!(pump.framed.bytes().capacity() < LOOSE_BYTES);
        polled
    });
    let (broken, read) = tokio::join!(write, far.read_exact(&mut received));
    assert!(broken.is_none() && read.is_ok() && received == payloads.concat());
    assert_eq!(pump.sent(), (4, received.len() as u64));
}

#[tokio::test]
async fn a_payload_that_is_not_copied_is_written_from_where_it_is_and_let_go() {
    let text = bytes::Bytes::from(format!("[{}1]", "1,".repeat(1 << 19)));
    let payload = tremor_value::json::Parser::new().document(text.clone()).unwrap();
    let mut pump = pump_with(&[]);
    let (meta, id) = (Value::record(), EventId::default());
    let element = tremor_event::Element { content: (&payload).into(), meta: (&meta).into() };
    let item = crate::outbox::Item { element, id: &id, ingest_ns: 0, ends_event: true, receipt: None };
    pump.outbox.put(&[item], &[], false, &mut |refused| panic!("{refused}"));
    drop(payload);
    let (near, mut far) = tokio::io::duplex(1000);
    let mut stream: Box<dyn Stream> = Box::new(near);
    let mut received = vec![0; text.len()];
    let write = poll_fn(|cx| {
        let polled = pump.poll(cx, &mut stream);
        assert!(pump.framed.bytes().capacity() < LOOSE_BYTES);
        polled
    });
    let (broken, read) = tokio::join!(write, far.read_exact(&mut received));
    assert!(broken.is_none() && read.is_ok() && received == text);
    assert!(text.is_unique() && pump.outbox.held() == (0, 0));
    assert_eq!(pump.sent(), (1, received.len() as u64));
}

/// Takes so long for a message that others have a hundred turns in the meantime, if they are let.
struct Slow {
    turns: Arc<AtomicU64>,
    waits: bool,
}

impl Protocol for Slow {
    fn read(&mut self, _: &mut BytesMut, _: &mut Intake, _: &mut Vec<u8>) -> Result<Flow, ProtocolError> {
        Ok(Flow::Open)
    }

    fn write(&mut self, _: &[u8], _binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        let (first, begun) = (self.turns.load(Relaxed), std::time::Instant::now());
        while self.waits && self.turns.load(Relaxed) < first + 100 {
            assert!(begun.elapsed() < Duration::from_secs(150), "the others wait");
            std::thread::yield_now();
        }
        out.push(b'.');
        Ok(())
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn end(&mut self, _: Ending, _: &mut Vec<u8>) -> bool {
        false
    }

    fn closed(&mut self, _: Cut) -> Closed {
        Closed { code: 1000, reason: String::new(), clean: true, by: "local", left_out: (0, 0) }
    }
}

async fn write_slowly(waits: bool, turns: Arc<AtomicU64>) {
    let mut pump = pump_of(Box::new(Slow { turns, waits }), &vec![vec![b'x'; 1 << 20]; 3]);
    let (near, mut far) = tokio::io::duplex(1000);
    let mut stream: Box<dyn Stream> = Box::new(near);
    assert!(poll_fn(|cx| pump.poll(cx, &mut stream)).await.is_none());
    let mut sent = [0; 3];
    far.read_exact(&mut sent).await.unwrap();
    assert_eq!((&sent, pump.sent().0), (b"...", 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn others_have_their_turns_while_large_messages_take_their_time() {
    let turns = Arc::new(AtomicU64::new(0));
    let counted = turns.clone();
    let others = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    tokio::spawn(write_slowly(true, turns)).await.unwrap();
    others.abort();
}

#[tokio::test]
async fn a_runtime_of_one_thread_writes_large_messages_all_the_same() {
    write_slowly(false, Arc::default()).await;
}
