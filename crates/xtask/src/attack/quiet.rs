//! Quiet clients: each sends a message at fixed times, whatever becomes of those before, and counts the time of an answer
//! from when its message was due. So a server that stands still is charged for all that should have been sent meanwhile.
//!
//! They share a machine with what is attacked and with the attackers. Where the system allows it their thread has the
//! processor as soon as it wants it, as if it had one of its own: what it waits for is the server.

use std::{
    fs, io,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{attacker::system_clock, script::request};
use crate::{
    error::{Doing as _, Error, Result},
    output,
};

/// How many there are.
const CLIENTS: u32 = 20;
/// Time between two messages of one of them.
const INTERVAL: Duration = Duration::from_millis(20);
/// The longest time that is told from longer ones: ten minutes.
const MAX_MICROS: u64 = 600_000_000;
/// How long the last answers may take.
const LAST_LIMIT: Duration = Duration::from_secs(30);
/// Digits of a message: `1` and its number.
const DIGITS: usize = 9;
/// A client's header, key included (all zeros), and a server's.
const SENT_HEADER: [u8; 6] = [0x81, 0x89, 0, 0, 0, 0];
const ANSWER_HEADER: [u8; 2] = [0x81, 0x09];

/// What the quiet clients saw.
pub(super) struct Seen {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// When an answered message was due, by the clock of the system, and how long that took.
    took: Vec<(Duration, Duration)>,
}

impl Seen {
    /// Messages without an answer.
    pub(super) fn lost(&self) -> u64 {
        self.sent - self.answered
    }

    /// How long the answers took to messages that were due in a certain time.
    ///
    /// # Errors
    /// None was due then.
    pub(super) fn during(&self, [from, to]: [Duration; 2]) -> Result<Latencies> {
        let mut micros =
            Histogram::new_with_bounds(1, MAX_MICROS, 3).map_err(|error| Error::Answer(error.to_string()))?;
        for (_, took) in self.took.iter().filter(|(due, _)| (from..=to).contains(due)) {
            micros.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
        if micros.is_empty() {
            return Err(Error::Answer("no message was answered during the attack".to_owned()));
        }
        Ok(Latencies { micros })
    }
}

/// How long answers took.
pub(super) struct Latencies {
    micros: Histogram<u64>,
}

impl Latencies {
    /// So many percent of the answers took at most so many milliseconds.
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        let micros = self.micros.value_at_percentile(percent);
        Duration::from_micros(micros).as_secs_f64() * 1e3
    }
}

/// Lets this thread have a processor as soon as it wants one, if the system allows that.
fn hurry() {
    let told = fs::read_link("/proc/thread-self").ok();
    let Some(thread) = told.as_ref().and_then(|path| path.file_name()) else { return };
    let mut command = Command::new("chrt");
    command.args(["--fifo", "--pid", "1"]).arg(thread).stdout(Stdio::null()).stderr(Stdio::null());
    if !command.status().is_ok_and(|status| status.success()) {
        output::note("warning: the quiet clients wait for a processor as all others do");
    }
}

/// Talks to `address` until `over`, then waits for the last answers. Lets go of `begins` when it begins.
///
/// # Errors
/// A connection that is not opened or not kept, an answer that is no echo.
pub(super) fn talk(
    address: SocketAddr,
    authorization: &str,
    begins: Sender<()>,
    over: &AtomicBool,
) -> Result<Seen> {
    let runtime = Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
    hurry();
    let mut seen = Seen { sent: 0, answered: 0, took: Vec::new() };
    runtime.block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..CLIENTS {
            sockets.push(open(address, authorization).await?);
        }
        let (start, clock) = (Instant::now(), system_clock());
        let mut writers = JoinSet::new();
        let mut readers = JoinSet::new();
        let (tell, mut told) = tokio::sync::watch::channel(false);
        told.mark_unchanged();
        for (client, socket) in (0..).zip(sockets) {
            let (reader, writer) = socket.into_split();
            // Spread over the interval.
            let first = start + INTERVAL * client / CLIENTS;
            writers.spawn(write(writer, first, told.clone()));
            readers.spawn(read(reader, first));
        }
        drop(begins);
        while !over.load(Ordering::Relaxed) {
            tokio::time::sleep(INTERVAL).await;
        }
        let _nobody = tell.send(true);
        let mut held = Vec::new();
        while let Some(ended) = writers.join_next().await {
            let (count, writer) = finished(ended)?;
            seen.sent += count;
            held.push(writer);
        }
        while let Some(ended) = timeout(LAST_LIMIT, readers.join_next()).await.unwrap_or_default() {
            for (due, took) in finished(ended)? {
                seen.answered += 1;
                seen.took.push((clock + due.saturating_duration_since(start), took));
            }
        }
        Ok(seen)
    })
}

fn finished<T>(ended: std::result::Result<io::Result<T>, tokio::task::JoinError>) -> Result<T> {
    let harmed = |error: io::Error| Error::Answer(format!("a quiet client was harmed: {error}"));
    ended.map_err(|error| Error::Answer(error.to_string()))?.map_err(harmed)
}

async fn open(address: SocketAddr, authorization: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await.doing(|| format!("connect to {address}"))?;
    stream.set_nodelay(true).doing(|| "set TCP_NODELAY".to_owned())?;
    stream.write_all(&request(authorization)).await.doing(|| "ask for a WebSocket".to_owned())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.doing(|| "read the answer to a request".to_owned())?);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        Ok(stream)
    } else {
        Err(Error::Answer(String::from_utf8_lossy(&head).into_owned()))
    }
}

/// `1` and the number of the message.
fn payload(number: u64) -> String {
    format!("{:0>width$}", 10_u64.pow(8) + number, width = DIGITS)
}

/// Sends a message whenever one is due, then one that cannot be mistaken for one of them; how many were sent before.
async fn write(
    mut writer: OwnedWriteHalf,
    first: Instant,
    over: tokio::sync::watch::Receiver<bool>,
) -> io::Result<(u64, OwnedWriteHalf)> {
    let mut sent = 0;
    while !*over.borrow() {
        sleep_until(due(first, sent)).await;
        writer.write_all(&[&SENT_HEADER, payload(sent).as_bytes()].concat()).await?;
        sent += 1;
    }
    writer.write_all(&[&SENT_HEADER[..], LAST].concat()).await?;
    Ok((sent, writer))
}

/// The message behind the last one.
const LAST: &[u8; DIGITS] = b"200000000";

fn due(first: Instant, number: u64) -> Instant {
    first + INTERVAL * u32::try_from(number).unwrap_or(u32::MAX)
}

/// Reads the answers in their order; when they were due, and how long after that each of them came.
async fn read(mut reader: OwnedReadHalf, first: Instant) -> io::Result<Vec<(Instant, Duration)>> {
    let mut times = Vec::new();
    loop {
        let mut answer = [0; ANSWER_HEADER.len() + DIGITS];
        reader.read_exact(&mut answer).await?;
        let Some(text) = answer.strip_prefix(&ANSWER_HEADER) else {
            return Err(io::Error::other(format!("an answer begins with {answer:x?}")));
        };
        if text == LAST {
            return Ok(times);
        }
        let number = times.len() as u64;
        if text != payload(number).as_bytes() {
            return Err(io::Error::other(format!("message {number} was answered with {text:x?}")));
        }
        let due = due(first, number);
        times.push((due, Instant::now().saturating_duration_since(due)));
    }
}
