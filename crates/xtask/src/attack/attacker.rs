//! The attackers, in a process of their own.

use std::{
    collections::HashSet,
    fs, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Builder,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    kinds::{self, Attack, Name},
    script::{Answer, Script, scripts},
};
use crate::{
    error::{Doing as _, Error, Result},
    output,
};

/// Between two attempts to connect, or to send to who may have closed.
const RETRY: Duration = Duration::from_millis(50);
/// How often a connection that is not accepted is tried again.
const CONNECTS: u32 = 20;

/// Options of the attackers.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to do
    name: Name,
    /// Whom to do it to
    address: SocketAddr,
    /// Only one of so many
    part: u32,
    /// All of it again and again for that long
    millis: u64,
    /// Nobody answers there: stay for as long as one would at a server, then go
    #[arg(long)]
    no_answers: bool,
}

/// What became of the attackers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) count: u64,
    /// How many were closed by the server.
    pub(super) closed: u64,
    /// How many the server never heard of: where its queue of connections is full, the system forgets some that are open
    /// for their clients.
    pub(super) forgotten: u64,
    /// How many of the closed ones were told what they should be told.
    pub(super) told: u64,
    /// The longest that one of those was there.
    pub(super) longest: Duration,
    /// When the attack began and ended, by the clock of the system.
    pub(super) during: [Duration; 2],
}

/// What the clock says that all processes of this machine share.
pub(super) fn system_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.try_into().unwrap_or_default()
}

impl Outcome {
    fn text(&self) -> String {
        let Self { count, closed, forgotten, told, longest, during: [from, to] } = self;
        let [longest, from, to] = [longest, from, to].map(Duration::as_millis);
        format!("{count} {closed} {forgotten} {told} {longest} {from} {to}")
    }

    /// Reads what [`run`] has printed.
    pub(super) fn read(text: &str) -> Result<Self> {
        let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
        match numbers[..] {
            [count, closed, forgotten, told, longest, from, to] => {
                let [longest, from, to] = [longest, from, to].map(Duration::from_millis);
                Ok(Self { count, closed, forgotten, told, longest, during: [from, to] })
            }
            _ => Err(Error::Answer(format!("the attackers said {text:?}"))),
        }
    }
}

/// Attacks, and prints what became of it.
///
/// # Errors
/// When a server is not there at all.
pub(crate) fn run(args: &Args) -> Result<()> {
    super::raise_open_files();
    let attack = kinds::named(args.name).ok_or(Error::Answer("no such attack".to_owned()))?;
    let runtime = Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
    let outcome = runtime.block_on(all(attack, args))?;
    output::result(&outcome.text());
    Ok(())
}

async fn all(attack: &'static Attack, args: &Args) -> Result<Outcome> {
    let scripts = Arc::new(scripts(args.name).doing(|| "write what attackers send".to_owned())?);
    let places = Arc::new(Semaphore::new(attack.at_once));
    let count = (attack.attackers / args.part).max(1);
    let limit = if args.no_answers { attack.stay } else { attack.deadline };
    let waits = !args.no_answers;
    let least = Duration::from_millis(args.millis);
    let mut left = Vec::new();
    let (start, now) = (Instant::now(), system_clock());
    let mut outcome =
        Outcome { count: 0, closed: 0, forgotten: 0, told: 0, longest: Duration::ZERO, during: [now; 2] };
    while outcome.count == 0 || left.is_empty() && start.elapsed() < least {
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (places, scripts, address) = (Arc::clone(&places), Arc::clone(&scripts), args.address);
            tasks.spawn(async move {
                let _place = places.acquire_owned().await.ok()?;
                let script = scripts.iter().cycle().nth(number as usize % scripts.len())?;
                Some(strike(script, address, limit, waits).await)
            });
        }
        outcome.count += u64::from(count);
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.map_err(|error| Error::Answer(error.to_string()))?;
            match ended.transpose().doing(|| format!("connect to {}", args.address))? {
                Some(End::Closed { after, told }) => {
                    outcome.closed += 1;
                    outcome.told += u64::from(told);
                    outcome.longest = outcome.longest.max(after);
                }
                Some(End::Stays(stream)) => left.push(stream),
                Some(End::Went) | None => {}
            }
        }
    }
    outcome.during = [now, system_clock()];
    let ports: Vec<u16> = left.iter().filter_map(|stream| Some(stream.local_addr().ok()?.port())).collect();
    let forgotten = forgotten(&ports, args.address.port()).doing(|| "read /proc/net/tcp".to_owned())?;
    outcome.forgotten = forgotten as u64;
    Ok(outcome)
}

/// How an attacker ended.
enum End {
    /// The server closed the connection, after this time.
    Closed {
        after: Duration,
        /// It was told what it should be told.
        told: bool,
    },
    /// It is still there.
    Stays(TcpStream),
    /// It went by itself.
    Went,
}

/// Plays a script until the server ends the connection, for at most `limit`. Where nobody `waits` for that, the attacker
/// stays for as long as `limit` instead.
async fn strike(script: &Script, address: SocketAddr, limit: Duration, waits: bool) -> io::Result<End> {
    let stream = connect(address).await?;
    let start = Instant::now();
    let (mut reader, mut writer) = stream.into_split();
    if !waits {
        write(script, &mut writer).await;
        sleep(limit.saturating_sub(start.elapsed())).await;
        return Ok(End::Went);
    }
    let mut heard = Heard::default();
    let end = async {
        if script.reads {
            tokio::join!(write(script, &mut writer), until_closed(&mut reader, &mut heard));
        } else {
            // Nobody reads; that the connection is gone is seen by whoever writes.
            write_on(script, &mut writer).await;
        }
    };
    if timeout(limit, end).await.is_ok() {
        return Ok(End::Closed { after: start.elapsed(), told: heard.is(&script.answer) });
    }
    Ok(reader.reunite(writer).map_or(End::Went, End::Stays))
}

/// Of which of the attackers at these ports the server's system knows nothing. Where the queue of a listener is full, it
/// forgets connections that are open for clients which then say nothing.
fn forgotten(ports: &[u16], server: u16) -> io::Result<usize> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let known: HashSet<u16> = table.lines().filter_map(|line| peer_of(line, server)).collect();
    Ok(ports.iter().filter(|port| !known.contains(port)).count())
}

/// The port of the peer, if a line of the table of connections is about one of the server at that port.
fn peer_of(line: &str, server: u16) -> Option<u16> {
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    let mut words = line.split_whitespace().skip(1);
    let (local, remote) = (words.next().and_then(port)?, words.next().and_then(port)?);
    (local == server).then_some(remote)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut tries = 0;
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if tries == CONNECTS => return Err(error),
            Err(_) => {
                tries += 1;
                sleep(RETRY).await;
            }
        }
    }
}

/// Sends all of it, as far as the server lets us; what it closes is seen by the reader.
async fn write(script: &Script, writer: &mut OwnedWriteHalf) {
    let _closed = try_write(script, writer).await;
}

async fn try_write(script: &Script, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    writer.write_all(&script.head).await?;
    for _ in 0..script.pieces {
        if !script.pause.is_zero() {
            sleep(script.pause).await;
        }
        writer.write_all(&script.piece).await?;
    }
    writer.write_all(&script.tail).await
}

/// Sends until that fails.
async fn write_on(script: &Script, writer: &mut OwnedWriteHalf) {
    if try_write(script, writer).await.is_err() {
        return;
    }
    while writer.write_all(&script.piece).await.is_ok() {
        sleep(RETRY).await;
    }
}

/// Reads until the server has ended the connection, in whatever way.
async fn until_closed(reader: &mut OwnedReadHalf, heard: &mut Heard) {
    let mut piece = Vec::with_capacity(1_024);
    while reader.read_buf(&mut piece).await.is_ok_and(|read| read > 0) {
        heard.hear(&piece);
        piece.clear();
    }
}

/// Bytes of an answer that are kept from its beginning, and from its end: a Close at most.
const FIRST_BYTES: usize = 12;
const LAST_BYTES: usize = 2 + 125;

/// What a server has said: the beginning and the end.
#[derive(Default)]
struct Heard {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Heard {
    fn hear(&mut self, piece: &[u8]) {
        let missing = FIRST_BYTES - self.first.len();
        self.first.extend(piece.iter().take(missing));
        self.last.extend_from_slice(piece);
        self.last.drain(..self.last.len().saturating_sub(LAST_BYTES));
    }

    /// Whether that is how `answer` has it.
    fn is(&self, answer: &Answer) -> bool {
        let begins = self.first.starts_with(answer.start.as_bytes());
        begins && answer.code.is_none_or(|code| self.ends_with_close(code))
    }

    fn ends_with_close(&self, code: u16) -> bool {
        (0..self.last.len()).filter_map(|start| self.last.get(start..)).any(|rest| match rest {
            [0x88, len, body @ ..] => {
                body.len() == usize::from(*len) && body.starts_with(&code.to_be_bytes())
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_them_is_read_as_it_was_written() {
        let during = [1_000, 4_000].map(Duration::from_millis);
        let longest = Duration::from_millis(5_300);
        let outcome = Outcome { count: 10, closed: 8, forgotten: 1, told: 7, longest, during };
        assert_eq!(Outcome::read(&outcome.text()).unwrap(), outcome);
        assert!(Outcome::read("10 9 1").is_err());
    }

    #[test]
    fn an_answer_is_known_by_its_beginning_and_its_end() {
        let close = Answer { start: "HTTP/1.1 101", code: Some(1009) };
        let said = [&b"HTTP/1.1 101 Switching"[..], &[7; 300], b"\x88\x05\x03\xf1why"].concat();
        for cut in [1, 7, 100, 1_000] {
            let mut heard = Heard::default();
            said.chunks(cut).for_each(|piece| heard.hear(piece));
            assert!(heard.is(&close), "cut at {cut}");
            assert!(!heard.is(&Answer { code: Some(1008), ..close }));
            assert!(!heard.is(&Answer { start: "HTTP/1.1 401", code: None }));
            heard.hear(b"more");
            assert!(!heard.is(&close));
        }
        assert!(Heard::default().is(&Answer { start: "", code: None }));
    }

    #[test]
    fn the_other_ends_are_found_in_the_table_of_the_system() {
        let line =
            "   3: 0100007F:464F 0100007F:A56A 01 00000000:00000000 00:00000000 00000000     0        0 1";
        assert_eq!(peer_of(line, 0x464f), Some(0xa56a));
        assert_eq!(peer_of(line, 0xa56a), None);
        assert_eq!(peer_of("  sl  local_address rem_address   st", 1), None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(server).unwrap();
        let port = client.local_addr().unwrap().port();
        assert_eq!(forgotten(&[port], server.port()).unwrap(), 0);
        assert_eq!(forgotten(&[port], port).unwrap(), 1);
    }
}
