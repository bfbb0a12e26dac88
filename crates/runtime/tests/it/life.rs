//! Pause, resume, and ends that come at bad moments.

use crate::{
    logs::Log,
    world::{World, collected, connector, flow, fresh, within},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};
use tremor_connector::State;
use tremor_runtime::{ChangeError, FlowState, StopTimeout};

fn ticking(sink: &str, more: &str) -> String {
    format!(
        "define connector beat from metronome with config = {{\"interval\": 1000000}} end;
        create connector beat;
        {}
        create pipeline pass from pipelines::passthrough;
        connect /connector/beat to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;",
        connector("sink", "collect", &format!(r#"{{"name": "{sink}"{more}}}"#))
    )
}

fn state_of(world: &World) -> FlowState {
    world.runtime.flows()[0].state
}

#[tokio::test(start_paused = true)]
async fn a_paused_flow_gives_nothing_until_it_is_resumed() {
    let sink = fresh();
    let world = World::with(&ticking(&sink, ""));
    world.collects(&sink, 3).await;
    world.until(|_| state_of(&world) == FlowState::Running).await;
    world.runtime.set_flow_paused("main", true).unwrap();
    assert_eq!(state_of(&world), FlowState::Paused);
    world
        .until(|runtime| {
            runtime.connectors("main").unwrap().iter().all(|connector| connector.state == State::Paused)
        })
        .await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = collected(&sink).len();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(collected(&sink).len(), before);
    world.runtime.set_flow_paused("main", true).unwrap();
    world.runtime.set_flow_paused("main", false).unwrap();
    world.collects(&sink, before + 3).await;
    world.end().await;
    assert_eq!(state_of(&world), FlowState::Stopped);
    assert_eq!(world.runtime.set_flow_paused("main", true), Err(ChangeError::Forbidden));
    assert_eq!(world.runtime.set_flow_paused("other", true), Err(ChangeError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn one_connector_can_be_paused() {
    let sink = fresh();
    let world = World::with(&ticking(&sink, ""));
    world.collects(&sink, 3).await;
    let pause = |paused| world.runtime.set_connector_paused("main", "beat", paused);
    pause(true).await.unwrap();
    pause(true).await.unwrap();
    let before = collected(&sink).len();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(collected(&sink).len() <= before + 1);
    pause(false).await.unwrap();
    world.collects(&sink, before + 3).await;
    world.end().await;
    assert_eq!(pause(true).await, Err(ChangeError::Forbidden));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_ends_before_it_has_started_has_not_failed() {
    for graceful in [true, false] {
        let sink = fresh();
        let mut world = World::with(&ticking(&sink, ""));
        world.runtime.shut_down(graceful).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(world.failures.try_recv().is_err());
        assert_eq!(state_of(&world), FlowState::Stopped);
    }
}

/// The drain takes its whole time, and so does the stop; then it is over.
#[tokio::test(start_paused = true)]
async fn a_sink_that_never_returns_cannot_keep_the_process() {
    let (log, _until_the_end) = Log::set();
    let sink = fresh();
    let world = World::with(&ticking(&sink, r#", "stuck": true"#));
    world.collects(&sink, 1).await;
    let begin = tokio::time::Instant::now();
    assert_eq!(world.runtime.shut_down(true).await, Err(StopTimeout));
    assert_eq!(begin.elapsed().as_secs(), 10);
    let expected = "Not all flows drained within 5 seconds. Not through: main::sink (";
    assert!(log.text().contains(expected), "{}", log.text());
}

/// A peer that does not read what it is sent is cut off in time for its end to be told, and so is what it did not get.
#[tokio::test]
async fn what_a_slow_reader_does_not_get_is_told_before_the_flow_stops() {
    const BYTES: usize = 15 << 20;
    let (log, _until_the_end) = Log::set();
    let address = free_address();
    let sink = fresh();
    let world = World::with(&format!(
        "{}{}
        create pipeline echo from pipelines::passthrough;
        create pipeline told from pipelines::passthrough;
        connect /connector/server to /pipeline/echo;
        connect /pipeline/echo to /connector/server;
        connect /connector/server/control to /pipeline/told;
        connect /pipeline/told to /connector/sink;",
        connector("server", "ws_server", &format!(r#"{{"url": "{address}"}}"#)).replace("json", "binary"),
        connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#)),
    ));
    world.until(|_| state_of(&world) == FlowState::Running).await;
    let small = TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4096).unwrap();
    let mut client = within(small.connect(address)).await.unwrap();
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    within(client.write_all(upgrade.as_bytes())).await.unwrap();
    let mut message = vec![0x82, 0xff];
    message.extend_from_slice(&(BYTES as u64).to_be_bytes());
    message.resize(message.len() + 4 + BYTES, 0);
    within(client.write_all(&message)).await.unwrap();
    world
        .until(|runtime| {
            let connectors = runtime.connectors("main").unwrap();
            connectors.iter().any(|connector| connector.name == "server" && connector.taken.waiting == 1)
        })
        .await;
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    world.runtime.shut_down(true).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    tokio::time::resume();
    let told = collected(&sink).pop().unwrap();
    assert!(told.contains("\"closed\"") && told.contains("\"timeout\""), "{told}");
    let log = log.text();
    for expected in [
        "[Connector::main::server] the drain cut off 1 connection whose peers do not read fast enough: 1 message of 15728640 bytes",
        "in all were not sent, or not to the end: connection ",
        "[Sink::main::server] 1 event failed: connection ",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert!(!log.contains("Not all flows drained"), "{log}");
    // Half a message, and no goodbye behind it.
    let mut got = Vec::new();
    let end = within(client.read_to_end(&mut got)).await;
    assert!(end.is_err() || got.len() < BYTES, "{}", got.len());
}

/// An address of this machine that nobody listens on.
fn free_address() -> std::net::SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.local_addr().unwrap()
}

#[tokio::test]
async fn a_second_flow_of_the_same_name_is_refused_and_the_first_goes_on() {
    let sink = fresh();
    let world = World::with(&ticking(&sink, ""));
    let again = world.plan(&flow("main", &ticking(&sink, ""))).unwrap().remove(0);
    assert!(world.runtime.deploy(again).unwrap_err().contains("already deployed"));
    world.collects(&sink, 3).await;
    world.end().await;
}

/// Two servers and two clients feed each other for ever: the end comes all the same.
#[tokio::test]
async fn a_loop_over_the_network_drains() {
    let (address, sink) = (free_address(), fresh());
    let world = World::with(&format!(
        "{}{}{}{}
        create pipeline kick from pipelines::passthrough;
        create pipeline echo from pipelines::passthrough;
        create pipeline back from pipelines::passthrough;
        connect /connector/numbers to /pipeline/kick;
        connect /pipeline/kick to /connector/client;
        connect /connector/server to /pipeline/echo;
        connect /pipeline/echo to /connector/server;
        connect /connector/client to /pipeline/back;
        connect /pipeline/back to /connector/client;
        connect /pipeline/back to /connector/sink;",
        connector("server", "ws_server", &format!(r#"{{"url": "{address}"}}"#)),
        connector("client", "ws_client", &format!(r#"{{"url": "ws://{address}"}}"#))
            .replace("config", "reconnect = {\"retry\": {\"interval_ms\": 1}}, config"),
        connector("numbers", "numbers", r#"{"count": 100}"#),
        connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#)),
    ));
    world.collects(&sink, 2000).await;
    world.end().await;
}
