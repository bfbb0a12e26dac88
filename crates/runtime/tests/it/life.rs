//! Pause, resume, and ends that come at bad moments.

use crate::world::{World, collected, connector, flow, fresh};
use std::time::Duration;
use tokio::net::TcpSocket;
use tracing::Level;
use tremor_codec::testing::Log;
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

pub(crate) fn state_of(world: &World) -> FlowState {
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
    let (log, _until_the_end) = Log::listen();
    let sink = fresh();
    let world = World::with(&ticking(&sink, r#", "stuck": true"#));
    world.collects(&sink, 1).await;
    let begin = tokio::time::Instant::now();
    assert_eq!(world.runtime.shut_down(true).await, Err(StopTimeout));
    assert_eq!(begin.elapsed().as_secs(), 10);
    let expected = "Not all flows drained within 5 seconds. Not through: main::sink (";
    assert_eq!(log.levels(expected), [Level::WARN], "{}", log.text());
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> std::net::SocketAddr {
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
