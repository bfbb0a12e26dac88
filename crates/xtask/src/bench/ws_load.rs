//! A load generator for WebSocket echo servers that takes little of the processor it shares with them.
//!
//! Frames are masked before the clock starts, a burst of them is one write, and of the answers only the
//! headers are looked at. One thread drives all connections.

mod frames;

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::timeout,
};

use crate::{
    cpu_time,
    error::{Doing as _, Error, Result},
};
use frames::{Counter, HEADER_BYTES, PAYLOAD_BYTES, Ring};

/// How long a whole measurement may take, connecting included.
const LIMIT: Duration = Duration::from_secs(120);
/// One part in so many of the messages goes ahead unmeasured.
const WARM_UP_PART: u64 = 20;
/// Longest answer to the handshake.
const MAX_RESPONSE_BYTES: usize = 8 * 1024;
/// Bytes per read; holds all answers that can be under way with up to 160 messages in flight.
const READ_BYTES: usize = 16 * 1024;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) connections: u64,
    /// Unanswered messages per connection.
    pub(super) in_flight: u64,
    /// Messages of all connections together; a rest that does not divide evenly goes to the first one.
    pub(super) messages: u64,
}

/// What a load took.
#[derive(Debug)]
pub(super) struct Measured {
    /// From the first message to the last answer of the slowest connection.
    pub(super) took: Duration,
    /// Processor time of the server meanwhile, if it can be known.
    pub(super) server_cpu: Option<Duration>,
    /// Processor time of this process meanwhile.
    pub(super) own_cpu: Duration,
}

/// Connects, checks one echo per connection by its content, warms up, and sends the load.
///
/// # Errors
/// Whatever goes wrong on a connection, answers that are no echo, and a server that takes too long.
pub(super) fn run(
    address: SocketAddr,
    load: Load,
    server_cpu: impl Fn() -> Option<Duration>,
) -> Result<Measured> {
    let runtime = Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
    let measured = async {
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Connection::open(address, load.in_flight).await?);
        }
        let warm_up = Load { messages: load.messages / WARM_UP_PART, ..load };
        connections = drive_all(connections, warm_up).await?;

        let (server_before, own_before, start) = (server_cpu(), cpu_time::of_this_process(), Instant::now());
        drive_all(connections, load).await?;
        let (took, own_after, server_after) = (start.elapsed(), cpu_time::of_this_process(), server_cpu());
        Ok(Measured {
            took,
            server_cpu: server_after.zip(server_before).map(|(after, before)| after.saturating_sub(before)),
            own_cpu: own_after.saturating_sub(own_before),
        })
    };
    runtime.block_on(async {
        let late = |_| Error::Answer(format!("the server was not done after {LIMIT:?}"));
        timeout(LIMIT, measured).await.map_err(late)?
    })
}

/// Sends the load over all connections at once and gives them back when every answer has come.
async fn drive_all(connections: Vec<Connection>, load: Load) -> Result<Vec<Connection>> {
    let share = load.messages / load.connections;
    let mut messages = share + load.messages % load.connections;
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn(async move { connection.drive(messages, load.in_flight).await.map(|()| connection) });
        messages = share;
    }
    let mut done = Vec::new();
    while let Some(connection) = tasks.join_next().await {
        done.push(connection.map_err(|error| Error::Answer(error.to_string()))??);
    }
    Ok(done)
}

struct Connection {
    stream: TcpStream,
    ring: Ring,
    counter: Counter,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens the WebSocket and checks that the server gives back what it gets.
    async fn open(address: SocketAddr, in_flight: u64) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.doing(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).doing(|| "set TCP_NODELAY".to_owned())?;
        shake_hands(&mut stream, address).await?;
        let mut ring = Ring::new(in_flight);
        probe(&mut stream, &mut ring).await?;
        Ok(Self { stream, ring, counter: Counter::default(), buffer: vec![0; READ_BYTES] })
    }

    /// Keeps `in_flight` messages under way until `messages` have been answered.
    async fn drive(&mut self, messages: u64, in_flight: u64) -> Result<()> {
        let (mut sent, mut answered) = (0, 0);
        while answered < messages {
            let burst = (in_flight - (sent - answered)).min(messages - sent);
            self.ring.owe(burst);
            sent += burst;
            self.write()?;
            let interest =
                if self.ring.owing() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let ready = self.stream.ready(interest).await.doing(|| "wait for the server".to_owned())?;
            if ready.is_readable() {
                answered += self.read()?;
            }
            if answered > sent {
                return Err(Error::Answer(format!("{answered} answers to {sent} messages")));
            }
        }
        Ok(())
    }

    /// Hands over what is owed, as far as the socket takes it.
    fn write(&mut self) -> Result<()> {
        while self.ring.owing() {
            match self.stream.try_write(self.ring.owed()) {
                Ok(written) => self.ring.wrote(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).doing(|| "send to the server".to_owned()),
            }
        }
        Ok(())
    }

    /// Reads once and returns how many answers that completed.
    fn read(&mut self) -> Result<u64> {
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Err(Error::Answer("the server closed a connection".to_owned())),
            Ok(length) => self.counter.feed(self.buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error).doing(|| "read from the server".to_owned()),
        }
    }
}

/// The client's handshake; of the answer only the status matters here.
async fn shake_hands(stream: &mut TcpStream, address: SocketAddr) -> Result<()> {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJlbW9yIGJlbmNobWFyaw==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.doing(|| "send the handshake".to_owned())?;
    let mut response = Vec::new();
    // Byte by byte, so that nothing behind the handshake is taken.
    while !response.ends_with(b"\r\n\r\n") && response.len() < MAX_RESPONSE_BYTES {
        response.push(stream.read_u8().await.doing(|| "read the handshake".to_owned())?);
    }
    if response.starts_with(b"HTTP/1.1 101 ") {
        Ok(())
    } else {
        Err(Error::Answer(String::from_utf8_lossy(&response).into_owned()))
    }
}

/// Sends one message and compares the answer, as JSON: a server may write it in its own way as long as
/// that is no longer or shorter.
async fn probe(stream: &mut TcpStream, ring: &mut Ring) -> Result<()> {
    ring.owe(1);
    stream.write_all(ring.owed()).await.doing(|| "send a message".to_owned())?;
    ring.wrote(ring.owed().len());
    let mut answer = [0; HEADER_BYTES + PAYLOAD_BYTES];
    stream.read_exact(&mut answer).await.doing(|| "read an answer".to_owned())?;
    if Counter::default().feed(&answer)? != 1 {
        return Err(Error::Answer("no complete message".to_owned()));
    }
    let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let got = answer.get(HEADER_BYTES..).unwrap_or_default();
    if parse(got).is_some() && parse(got) == parse(&frames::payload(0)) {
        Ok(())
    } else {
        Err(Error::Answer(String::from_utf8_lossy(got).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::ws_echo;
    use std::net::Ipv4Addr;
    use tokio::{net::TcpListener, runtime::Runtime};

    #[test]
    fn the_reference_echoes_the_load() {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(ws_echo::serve(listener));
        let load = Load { connections: 3, in_flight: 64, messages: 2_000 };
        let measured = run(address, load, || Some(Duration::ZERO)).unwrap();
        assert!(measured.took > Duration::ZERO);
        assert_eq!(measured.server_cpu, Some(Duration::ZERO));
    }

    #[test]
    fn a_server_that_does_not_echo_is_an_error() {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let load = Load { connections: 1, in_flight: 1, messages: 1 };
        let error = run(address, load, || None).unwrap_err();
        assert!(error.to_string().contains("400 Bad Request"), "{error}");
    }
}
