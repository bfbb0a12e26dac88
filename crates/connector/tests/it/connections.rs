//! What a source that listens hears of events that leave by connections.

use crate::{
    duplex::{connection, line, pipes},
    fake::{Attempts, within},
    flow::{Flow, Half},
    picky::REFUSED,
};
use async_trait::async_trait;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    task::yield_now,
    time::sleep,
};
use tremor_connector::{Connected, Handshake, Listener, Made, duplex::Duplex};
use tremor_value::{Meta, Record, Value};

async fn client(connections: usize, buffer_bytes: usize) -> (Flow, Vec<DuplexStream>) {
    let (attempts, peers) = pipes(connections, buffer_bytes);
    (Flow::to([Half::Made("single", attempts)]).await, peers)
}

fn member(number: u64) -> Value {
    let data: Record = [("value", Value::from(number)), ("meta", Value::record())].into_iter().collect();
    Record::from_iter([("data", Value::from(data))]).into()
}

/// Lets everything happen that does not wait for the test.
pub(crate) async fn all_is_quiet() {
    sleep(Duration::from_secs(2)).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_is_delivered_when_its_message_is_written() {
    let (flow, mut peers) = client(1, 8).await;
    flow.give(10..20);
    all_is_quiet().await;
    let written = flow.sinks[0].taken().written;
    assert!(written < 5, "8 bytes hold no more than two messages and what the last write left: {written}");
    let told = flow.ledger.now();
    assert_eq!(told.len() as u64, written);
    assert!(told.iter().all(|line| line.ends_with("delivered")), "{told:?}");
    for number in 10..20 {
        assert_eq!(line(&mut peers[0]).await, number.to_string());
    }
    assert_eq!(flow.ledger.heard(10).await.len(), 10);
    assert!(flow.ledger.slowest_ns() > 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_connection_did_not_write_is_told_by_the_next() {
    let (flow, mut peers) = client(2, 4).await;
    flow.pull(|intake| {
        (0..50)
            .for_each(|pull| intake.value(Made { pull: Some(pull), ..Value::from(100 + pull).into() }, None));
    });
    assert_eq!(line(&mut peers[0]).await, "100");
    all_is_quiet().await;
    let before = flow.ledger.now().len();
    assert!(before < 10, "{before}");
    drop(peers.remove(0));
    sleep(Duration::from_secs(10)).await;
    let told = flow.ledger.now();
    assert!(told.iter().all(|line| line.ends_with("delivered")), "nothing is lost yet: {told:?}");
    let mut rest = String::new();
    while flow.ledger.now().len() < 50 {
        rest = line(&mut peers[0]).await;
    }
    assert_eq!(rest.len(), 3, "{rest}");
    let told = flow.ledger.now();
    assert!(told.iter().all(|line| line.ends_with("delivered")), "{told:?}");
    assert_eq!(flow.sinks[0].taken().written, 50);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_fails_its_event() {
    let (flow, _peers) = client(1, 1024).await;
    flow.give(6..9);
    assert_eq!(flow.ledger.heard(3).await, ["0:0 delivered", "0:1 failed", "0:2 delivered"]);
    for numbers in [[1, 2], [7, 2], [2, 7]] {
        let list: Vec<Value> = numbers.into_iter().map(member).collect();
        flow.pull(move |intake| intake.value(Made { is_batch: true, ..Value::from(list).into() }, None));
    }
    assert_eq!(flow.ledger.heard(6).await[3..], ["0:3 delivered", "0:4 failed", "0:5 failed"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_written_when_the_connector_stops_fails() {
    let (flow, _peers) = client(1, 8).await;
    flow.give(10..30);
    all_is_quiet().await;
    within(flow.sinks[0].stop()).await;
    let told = flow.ledger.heard(20).await;
    let failed = told.iter().filter(|line| line.ends_with(" failed")).count() as u64;
    let taken = flow.sinks[0].taken();
    assert_eq!((failed, taken.waiting), (taken.failed, 0), "receipts and counters agree: {told:?}");
    assert!(failed > 10, "{failed}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_fails_when_there_will_be_no_connection() {
    let (flow, peers) = client(1, 8).await;
    drop(peers);
    // Without a connection the source does not read; what was on its way waits for the next one.
    flow.give(0..3);
    all_is_quiet().await;
    within(flow.sinks[0].stop()).await;
    let told = flow.ledger.now();
    assert!(told.iter().all(|line| line.ends_with("delivered") || line.ends_with("failed")), "{told:?}");
    assert_eq!(told.len() as u64, flow.source.given().0);
}

// Many connections.

pub(crate) struct Door(pub(crate) Vec<Duplex>);

#[async_trait]
impl Listener for Door {
    async fn accept(&mut self) -> io::Result<Handshake> {
        match self.0.pop() {
            Some(duplex) => Ok(Box::pin(async { Ok(duplex) })),
            None => std::future::pending().await,
        }
    }
}

/// Peers that come without end, until so many have, and are sent away.
struct Flood {
    come: Arc<AtomicUsize>,
    most: usize,
}

#[async_trait]
impl Listener for Flood {
    async fn accept(&mut self) -> io::Result<Handshake> {
        if self.come.fetch_add(1, Ordering::Relaxed) == self.most {
            std::future::pending::<()>().await;
        }
        Ok(Box::pin(async { Err(String::new().into()) }))
    }
}

#[tokio::test(start_paused = true)]
async fn others_have_their_turn_while_connections_come_without_end() {
    const PEERS: usize = 1000;
    let come = Arc::new(AtomicUsize::new(0));
    let mut flood = Some(Flood { come: come.clone(), most: PEERS });
    let attempts: Attempts = Box::new(move |_| {
        let flood = flood.take().unwrap();
        Box::pin(async { Ok(Connected::Listener(Box::new(flood))) })
    });
    let other = tokio::spawn(async move {
        let (mut before, mut most) = (0, 0);
        while before < PEERS {
            let now = come.load(Ordering::Relaxed);
            (before, most) = (now, most.max(now - before));
            yield_now().await;
        }
        most
    });
    let _flow = Flow::to([Half::Made("many", attempts)]).await;
    let most = within(other).await.unwrap();
    // Some portions, as the runtime has it; all of them would be at once if nobody else had a turn.
    assert!(most <= PEERS / 5, "{most} at once");
}

/// A server whose connections 1, 2, ... have these buffers, once all of them are open.
async fn server(buffers: &[usize]) -> (Flow, Vec<DuplexStream>) {
    let (ours, theirs): (Vec<_>, Vec<_>) = buffers.iter().map(|size| tokio::io::duplex(*size)).unzip();
    (server_of(ours.into_iter().zip(1..).map(|(ours, conn)| connection(ours, conn))).await, theirs)
}

/// A server that has these connections, once all of them are open.
pub(crate) async fn server_of(connections: impl Iterator<Item = Duplex>) -> Flow {
    let mut door = Some(Door(connections.collect()));
    let attempts: Attempts = Box::new(move |_| {
        let door = door.take().unwrap();
        Box::pin(async { Ok(Connected::Listener(Box::new(door))) })
    });
    let flow = Flow::to([Half::Made("many", attempts)]).await;
    all_is_quiet().await;
    flow
}

pub(crate) fn to(conns: &[u64]) -> Option<Meta> {
    let conns: Vec<Value> = conns.iter().copied().map(Value::from).collect();
    let to = Record::from_iter([("to", Value::from(conns))]);
    Some(Record::from_iter([("many", Value::from(to))]).into())
}

#[tokio::test(start_paused = true)]
async fn an_event_for_nobody_fails_and_the_source_goes_on() {
    let (flow, _peers) = server(&[1024]).await;
    flow.give([1]);
    for (number, conns) in [(2, vec![1]), (3, vec![9]), (REFUSED, vec![1]), (4, vec![1])] {
        flow.pull(move |intake| intake.value(Value::from(number), to(&conns)));
    }
    let told = flow.ledger.heard(5).await;
    assert_eq!(told, ["0:0 failed", "0:1 delivered", "0:2 failed", "0:3 failed", "0:4 delivered"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_for_several_is_delivered_when_all_have_it() {
    let (flow, mut peers) = server(&[1024, 1]).await;
    for number in [55, 66] {
        flow.pull(move |intake| intake.value(Value::from(number), to(&[1, 2])));
    }
    all_is_quiet().await;
    assert!(flow.ledger.now().is_empty(), "connection 2 has written a byte only");
    assert_eq!(line(&mut peers[1]).await, "55");
    assert_eq!(flow.ledger.heard(1).await[0], "0:0 delivered");
    drop(peers.remove(1));
    assert_eq!(flow.ledger.heard(2).await, ["0:0 delivered", "0:1 failed"]);
    let mut both = [0; 6];
    within(peers[0].read_exact(&mut both)).await.unwrap();
    assert_eq!(&both, b"55\n66\n");
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_that_reads_too_slowly_did_not_get_fails() {
    slow_peer(false).await;
    slow_peer(true).await;
}

async fn slow_peer(reads_late: bool) {
    let (flow, mut peers) = server(&[8]).await;
    // Two are written, the third is begun, the fourth waits behind it; all others come too late.
    flow.pull(|intake| {
        let meta = to(&[1]);
        (0..4).for_each(|pull| {
            intake.value(Made { pull: Some(pull), ..Value::from(20 + pull).into() }, meta.clone());
        });
    });
    all_is_quiet().await;
    for pull in 4..30 {
        let made = Made { pull: Some(pull), ..Value::from(20 + pull).into() };
        flow.pull(move |intake| intake.value(made, to(&[1])));
    }
    flow.ledger.heard(20).await;
    if reads_late {
        let mut read = String::new();
        within(peers[0].read_to_string(&mut read)).await.unwrap();
        assert!(read.ends_with("bye\n"), "{read}");
    }
    let told = flow.ledger.heard(30).await;
    all_is_quiet().await;
    let delivered = told.iter().filter(|line| line.ends_with(" delivered")).count() as u64;
    let failed = told.iter().filter(|line| line.ends_with(" failed")).count() as u64;
    let taken = flow.sinks[0].taken();
    assert_eq!((taken.written, taken.failed, taken.waiting), (delivered, failed, 0), "{told:?}");
    assert!(delivered > 0 && failed > 0);
    // Of those four the last one, two that waited, and the one that found no room. The others came behind the end.
    assert_eq!((taken.discarded, taken.dropped), (4, 0), "{taken:?}");
}
