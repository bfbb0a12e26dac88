//! A client that reads nothing of what it is sent.

use crate::{
    life::{free_address, state_of},
    world::{World, collected, connector, fresh, within},
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Duration, Instant},
};
use tracing::{Level, subscriber::DefaultGuard};
use tremor_codec::testing::Log;

/// Much more than the system takes of it.
const BYTES: usize = 15 << 20;
/// A queue that most of [`LINES`] find full behind so many bytes.
const QUEUE: &str = r#""messages": 5, "bytes": 100000000"#;
/// Events that come behind that.
const LINES: usize = 30;

/// A flow that answers a client with what that says, and tells of its connection.
struct Echo {
    log: Log,
    _until_the_end: DefaultGuard,
    world: World,
    /// The sink that is told.
    told: String,
    client: TcpStream,
}

impl Echo {
    /// The client has sent these messages, which the server takes apart like this, and reads nothing.
    async fn with(messages: &[Vec<u8>], processors: &str, queue: &str) -> Self {
        let (log, until_the_end) = Log::listen();
        let (address, told) = (free_address(), fresh());
        let server =
            connector("server", "ws_server", &format!(r#"{{"url": "{address}", "send_queue": {queue}}}"#));
        let world = World::with(&format!(
            "{}{}
            create pipeline echo from pipelines::passthrough;
            create pipeline told from pipelines::passthrough;
            connect /connector/server to /pipeline/echo;
            connect /pipeline/echo to /connector/server;
            connect /connector/server/control to /pipeline/told;
            connect /pipeline/told to /connector/told;",
            server.replace("\"json\",", &format!("\"binary\", {processors}")),
            connector("told", "collect", &format!(r#"{{"name": "{told}"}}"#)),
        ));
        world.until(|_| state_of(&world) == tremor_runtime::FlowState::Running).await;
        let client = sent(address, messages).await;
        Self { log, _until_the_end: until_the_end, world, told, client }
    }

    /// The same with an event that is never written to its end, and many of which some wait in the queue and some for room
    /// in it, for so long.
    async fn with_lines(block_timeout: u64) -> Self {
        let line = |len| [vec![b'x'; len], vec![b'\n']].concat();
        let processors = r#"preprocessors = [{"name": "separate", "config": {"max_length": 100000000}}],"#;
        let queue = format!(r#"{{{QUEUE}, "block_timeout": {block_timeout}}}"#);
        let echo = Self::with(&[line(BYTES), line(4096).repeat(LINES)], processors, &queue).await;
        echo.received(1 + LINES as u64).await;
        echo
    }

    /// Waits until the server has been given so many events.
    async fn received(&self, events: u64) {
        self.world.until(|_| self.taken().received == events).await;
    }

    fn taken(&self) -> tremor_connector::SinkTotals {
        let connectors = self.world.runtime.connectors("main").unwrap();
        connectors.into_iter().find(|connector| connector.name == "server").unwrap().taken
    }

    /// Ends the flow gracefully, with all the time that it may take.
    async fn drain(&self) {
        tokio::time::pause();
        let begin = Instant::now();
        self.world.runtime.shut_down(true).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        tokio::time::resume();
        let log = self.log.text();
        assert!(!log.contains("Not all flows drained"), "{log}");
    }

    /// What port `control` told last.
    fn last_told(&self) -> String {
        collected(&self.told).pop().unwrap()
    }

    /// Events that lines of the log say have failed, line by line.
    fn told_as_failed(&self) -> Vec<u64> {
        let log = self.log.text();
        let counts = log.lines().filter_map(|line| {
            let (count, rest) = line.split_once("[Sink::main::server] ")?.1.split_once(" event")?;
            rest.trim_start_matches('s').starts_with(" failed: ").then(|| {
                assert!(line.starts_with("ERROR tremor_runtime: "), "{line}");
                count.parse().unwrap()
            })
        });
        counts.collect()
    }

    /// All of it is told as failed.
    fn assert_all_told(&self) {
        let (taken, told) = (self.taken(), self.told_as_failed());
        assert_eq!(
            (taken.failed, told.iter().sum()),
            (1 + LINES as u64, taken.failed),
            "{}",
            self.log.text()
        );
    }
}

/// A client that has opened a connection and sent these messages.
async fn sent(address: SocketAddr, messages: &[Vec<u8>]) -> TcpStream {
    let small = TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4096).unwrap();
    let mut client = within(small.connect(address)).await.unwrap();
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    within(client.write_all(upgrade.as_bytes())).await.unwrap();
    for payload in messages {
        // Too long for a shorter header.
        let mut message = vec![0x82, 0xff];
        message.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        // The key of the mask is zero.
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(payload);
        within(client.write_all(&message)).await.unwrap();
    }
    client
}

/// It is cut off in time for its end to be told, and so is what it did not get.
#[tokio::test]
async fn what_a_slow_reader_does_not_get_is_told_before_the_flow_stops() {
    let mut echo = Echo::with(&[vec![0; BYTES]], "", "{}").await;
    echo.received(1).await;
    echo.drain().await;
    let told = echo.last_told();
    assert!(told.contains("\"closed\"") && told.contains("\"timeout\""), "{told}");
    let log = echo.log.text();
    for expected in [
        "WARN tremor_runtime: [Connector::main::server] the drain cut off 1 connection whose peers do not read fast enough: \
         1 message of 15728640 bytes in all were not sent, or not to the end, and what was sent last may not have been read: connection ",
        "ERROR tremor_runtime: [Sink::main::server] 1 event failed: connection ",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert!(!log.contains("was ended before"), "one line tells of it: {log}");
    // Half a message, and no goodbye behind it.
    let mut got = Vec::new();
    let end = within(echo.client.read_to_end(&mut got)).await;
    assert!(end.is_err() || got.len() < BYTES, "{}", got.len());
}

#[tokio::test]
async fn what_waits_for_room_when_a_drain_cuts_it_off_is_told_as_failed() {
    let echo = Echo::with_lines(0).await;
    echo.drain().await;
    echo.assert_all_told();
    assert!(echo.last_told().contains("\"closed\""));
}

#[tokio::test]
async fn what_waits_for_room_when_everything_stops_is_told_as_failed() {
    let echo = Echo::with_lines(0).await;
    echo.world.runtime.shut_down(false).await.unwrap();
    echo.assert_all_told();
}

#[tokio::test]
async fn one_line_tells_what_a_slow_consumer_has_not_got() {
    let echo = Echo::with_lines(100).await;
    echo.world.collects(&echo.told, 2).await;
    echo.world.until(|_| echo.log.levels("slow consumer: connection ").contains(&Level::ERROR)).await;
    assert_eq!(echo.told_as_failed().len(), 1, "{}", echo.log.text());
    echo.assert_all_told();
    echo.world.end().await;
}

/// Its goodbye has no more time than everything else.
#[tokio::test]
async fn a_slow_consumer_found_out_at_the_end_of_a_drain_does_not_make_that_longer() {
    let echo = Echo::with_lines(4100).await;
    echo.drain().await;
    echo.assert_all_told();
    let told = echo.last_told();
    assert!(told.contains("\"closed\"") && told.contains("1008"), "{told}");
}
