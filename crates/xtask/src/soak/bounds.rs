//! What nobody should do to a server, while a bystander talks to it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    growth::Series,
    mib, pipe,
    raw_client::{Answer, CONTINUATION, RawClient, TEXT},
    wrong,
};
use crate::{
    bench::{
        Bench, flow_text,
        program::{free_address, wait_for_accept},
        ws_load::{self, Target},
    },
    error::{Doing as _, Result},
    output,
};

const MIB: u64 = 1_024 * 1_024;
/// The longest message that a server takes unless told otherwise, and the longest frame of it.
const MAX_MESSAGE: u64 = 64 * MIB;
const MAX_FRAME: u64 = 16 * MIB;
/// A line that never ends has at least so many bytes.
const ENDLESS_LINE: u64 = 1_024 * MIB;
/// How much more memory a single peer may make the process take: what may wait for it and what is made of
/// that, several times over, and far less than what these peers send.
const MAX_MORE_MIB: f64 = 640.0;
/// The same for a message of 64 MiB that is sent on as it came: it, and a quarter of that.
const RECORD_MIB: f64 = 80.0;
/// The same where the message is a string, which is a value of its own: twice of it, and a quarter.
const STRING_MIB: f64 = 160.0;
/// How long the bystander may have to wait for an answer.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How long a peer that never reads may go on.
const DEAF_LIMIT: Duration = Duration::from_secs(60);
/// How long what is right may take to come out.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the log may lag behind.
const LOG_LIMIT: Duration = Duration::from_secs(5);
/// Length of what a peer says that never reads.
const MESSAGE_BYTES: u64 = 10_000;
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// What is written to a pipe at once.
const PIECE_BYTES: usize = 1 << 20;

/// A way to misbehave.
struct Misdeed {
    name: &'static str,
    /// How much more memory it may take.
    more_mib: f64,
    /// What the log has to say about it afterwards; nothing if somebody else is told.
    said: Option<&'static str>,
    /// Returns what came of it, if that is as it should be.
    act: fn(&Scene) -> Result<String>,
}

const MISDEEDS: &[Misdeed] = &[
    misdeed("a message of 64 MiB in one frame", MAX_MORE_MIB, one_large_frame),
    misdeed("a string of 64 MiB in frames of 16 MiB", STRING_MIB, large_string),
    misdeed("a record of 64 MiB in frames of 16 MiB", RECORD_MIB, large_record),
    misdeed("a message of more than 64 MiB", RECORD_MIB, too_large_message),
    misdeed("a line of 1 GiB", MAX_MORE_MIB, endless_line),
    misdeed("a message of 16 MiB of lines of one digit", MAX_MORE_MIB, tiny_lines),
    misdeed("a message of 16 MiB of empty lines", MAX_MORE_MIB, empty_lines)
        .which_says("errors on port `err`, which nothing reads"),
    misdeed("a client that never reads", MAX_MORE_MIB, deaf_client).which_says("slow consumer"),
];

const fn misdeed(name: &'static str, more_mib: f64, act: fn(&Scene) -> Result<String>) -> Misdeed {
    Misdeed { name, more_mib, said: None, act }
}

impl Misdeed {
    const fn which_says(self, said: &'static str) -> Self {
        Self { said: Some(said), ..self }
    }
}

/// Where it happens: a WebSocket echo, another one of lines, and lines from a pipe into a file, their errors into another
/// one.
struct Scene {
    address: SocketAddr,
    lines: SocketAddr,
    input: PathBuf,
    output: PathBuf,
    errors: PathBuf,
}

/// Starts a server for each misdeed and prints what became of it. Returns whether all is as it should be.
pub(super) fn run(bench: &Bench) -> bool {
    let mut all_good = true;
    for misdeed in MISDEEDS {
        output::note(&format!("bounds: {}", misdeed.name));
        let (word, text) = match watched(bench, misdeed) {
            Ok(text) => ("passed", text),
            Err(error) => ("FAILED", error.to_string()),
        };
        output::result(&format!("bounds: {}: {word}: {text}", misdeed.name));
        all_good &= word == "passed";
    }
    all_good
}

/// One misdeed with a bystander and an eye on memory.
fn watched(bench: &Bench, misdeed: &Misdeed) -> Result<String> {
    let folder = tempfile::tempdir_in(bench.folder.path()).doing(|| "make a temporary folder".to_owned())?;
    let path = |name| folder.path().join(name);
    let scene = Scene {
        address: free_address()?,
        lines: free_address()?,
        input: path("in"),
        output: path("out"),
        errors: path("err"),
    };
    pipe::make(&scene.input)?;
    fs::write(path("flow.troy"), scene.flow()).doing(|| "write a flow".to_owned())?;
    let mut server =
        bench.children.spawn("the flow of `bounds`", &mut bench.program.server(&path("flow.troy")))?;
    wait_for_accept(&mut server, scene.address)?;
    wait_for_accept(&mut server, scene.lines)?;

    let (over, start, mut series) = (AtomicBool::new(false), Instant::now(), Series::default());
    series.look(start, &server)?;
    let before = mib(series.most());
    let target = Target::plain(scene.address);
    let (alive, seen, waits) = thread::scope(|scope| {
        let bystander = scope.spawn(|| ws_load::bystand(&target, &over));
        let acting = scope.spawn(|| (misdeed.act)(&scene));
        let mut alive = Ok(());
        while !acting.is_finished() && alive.is_ok() {
            alive = server.stays(PAUSE).and_then(|()| series.look(start, &server));
        }
        over.store(true, Ordering::Relaxed);
        (alive, acting.join(), bystander.join())
    });
    alive?;
    let seen = seen.map_err(|_| wrong("the misdeed panicked"))??;
    let waits = waits.map_err(|_| wrong("the bystander panicked"))?;
    let waits = waits.map_err(|error| wrong(format!("the bystander was harmed: {error}")))?;
    if let Some(said) = misdeed.said {
        let start = Instant::now();
        while !server.said().contains(said) {
            if start.elapsed() > LOG_LIMIT {
                return Err(wrong(format!("the log does not say `{said}`; {seen}")));
            }
            server.stays(PAUSE)?;
        }
    }
    let (most, longest) = (mib(series.most()), Duration::from_secs_f64(waits.per_mille_us(1_000) / 1e6));
    let text = format!(
        "{seen}; resident memory {before:.0} MiB before, {most:.0} MiB at most; the bystander waited {longest:.1?} at most \
         for {} answers",
        waits.len()
    );
    let more = misdeed.more_mib;
    if most - before > more {
        return Err(wrong(format!("more memory than {more} MiB: {text}")));
    }
    if longest > MAX_WAIT {
        return Err(wrong(format!("the bystander had to wait for more than {MAX_WAIT:?}: {text}")));
    }
    Ok(text)
}

/// The frame alone is more than a server takes, and its header says so.
fn one_large_frame(scene: &Scene) -> Result<String> {
    let mut client = RawClient::open(scene.address)?;
    client.send_header(TEXT, true, MAX_MESSAGE).doing(|| "send a header".to_owned())?;
    refused(client.answer())
}

/// As long as a message may be: it comes back, or the peer hears why not. One value that has to be copied.
fn large_string(scene: &Scene) -> Result<String> {
    large_message(scene, b"\"", b"\"")
}

/// The same with what is sent on as it came.
fn large_record(scene: &Scene) -> Result<String> {
    large_message(scene, b"{\"a\":\"", b"\"}")
}

/// A message that begins and ends like this.
fn large_message(scene: &Scene, begin: &[u8], end: &[u8]) -> Result<String> {
    let mut client = RawClient::open(scene.address)?;
    let around = begin.len() as u64 + end.len() as u64;
    let mut send = || {
        client.send_bytes(TEXT, false, begin)?;
        for _ in 1..MAX_MESSAGE / MAX_FRAME {
            client.send(CONTINUATION, false, MAX_FRAME, b'x')?;
        }
        client.send(CONTINUATION, false, MAX_FRAME - around, b'x')?;
        client.send_bytes(CONTINUATION, true, end)
    };
    send().doing(|| "send a message of 64 MiB".to_owned())?;
    match client.answer() {
        Answer::Message(length) if length == MAX_MESSAGE => Ok("it came back whole".to_owned()),
        other => refused(other),
    }
}

/// A little longer than a message may be.
fn too_large_message(scene: &Scene) -> Result<String> {
    let mut client = RawClient::open(scene.address)?;
    let mut send = || {
        client.send(TEXT, false, MAX_FRAME, b' ')?;
        for _ in 1..MAX_MESSAGE / MAX_FRAME {
            client.send(CONTINUATION, false, MAX_FRAME, b' ')?;
        }
        client.send_header(CONTINUATION, true, 1)
    };
    send().doing(|| "send more than 64 MiB".to_owned())?;
    refused(client.answer())
}

/// The goodbye of a server that was sent too much.
fn refused(answer: Answer) -> Result<String> {
    match answer {
        // Message too big (RFC 6455, section 7.4.1).
        Answer::Closed(1_009, reason) => Ok(format!("refused with 1009 \"{reason}\"")),
        other => Err(wrong(format!("the peer was not told 1009 but {other:?}"))),
    }
}

/// Lines before and behind it have to come out, and what became of it has to be told on `err`.
fn endless_line(scene: &Scene) -> Result<String> {
    let writing = || format!("write to {}", scene.input.display());
    let mut pipe = OpenOptions::new().write(true).open(&scene.input).doing(writing)?;
    pipe.write_all(b"{\"line\":1}\n").doing(writing)?;
    let piece = vec![b'x'; PIECE_BYTES];
    for _ in 0..ENDLESS_LINE / PIECE_BYTES as u64 {
        pipe.write_all(&piece).doing(writing)?;
    }
    pipe.write_all(b"\n{\"line\":2}\n").doing(writing)?;
    let start = Instant::now();
    loop {
        let [lines, errors] =
            [&scene.output, &scene.errors].map(|path| fs::read_to_string(path).unwrap_or_default());
        let discarded = errors.matches("Discarded fragment").count();
        if lines == "{\"line\":1}\n{\"line\":2}\n" && discarded > 0 {
            return Ok(format!(
                "it was discarded, as {discarded} events on `err` say, and the lines before and behind it came out"
            ));
        }
        if start.elapsed() > LIMIT {
            let beginning = |text: &str| text.chars().take(200).collect::<String>();
            let (lines, errors) = (beginning(&lines), beginning(&errors));
            return Err(wrong(format!("this came out: {lines:?}, and on `err`: {errors:?}")));
        }
        thread::sleep(PAUSE);
    }
}

/// As many events as possible at once: all of them have to be answered.
fn tiny_lines(scene: &Scene) -> Result<String> {
    let mut client = RawClient::open(scene.lines)?;
    let start = Instant::now();
    client.send_lines(b"1\n", MAX_FRAME / 2).doing(|| "send 16 MiB of lines".to_owned())?;
    // A text frame without a mask that holds the digit.
    client.expect(&[0x81, 1, b'1'], MAX_FRAME / 2)?;
    Ok(format!("all {} lines came back within {:.1?}", MAX_FRAME / 2, start.elapsed()))
}

/// As many errors as possible at once: what comes behind them has to be answered.
fn empty_lines(scene: &Scene) -> Result<String> {
    let mut client = RawClient::open(scene.lines)?;
    let start = Instant::now();
    client.send_lines(b"\n", MAX_FRAME).doing(|| "send 16 MiB of empty lines".to_owned())?;
    client.send_lines(b"1\n", 1).doing(|| "send a line".to_owned())?;
    client.expect(&[0x81, 1, b'1'], 1)?;
    Ok(format!("what came behind them was answered after {:.1?}", start.elapsed()))
}

/// The server has to lose patience.
fn deaf_client(scene: &Scene) -> Result<String> {
    let mut client = RawClient::open(scene.address)?;
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < DEAF_LIMIT {
        let message = client.send(TEXT, false, 1, b'"').and_then(|()| {
            client.send(CONTINUATION, false, MESSAGE_BYTES, b'x')?;
            client.send(CONTINUATION, true, 1, b'"')
        });
        if message.is_err() && start.elapsed() < DEAF_LIMIT {
            let (mib, took) = (sent / MIB, start.elapsed());
            return Ok(format!("disconnected after {took:.1?}, when it had sent {mib} MiB"));
        }
        sent += MESSAGE_BYTES;
    }
    Err(wrong(format!("it was still connected after {DEAF_LIMIT:?}, when it had sent {} MiB", sent / MIB)))
}

impl Scene {
    fn flow(&self) -> String {
        let connectors = [
            flow_text::ws_server("echo", self.address, None),
            flow_text::ws_server("lines", self.lines, None)
                .replace("codec = \"json\",", "codec = \"json\", preprocessors = [\"separate\"],"),
            // With an empty configuration the longest line has 64 MiB, by its name alone 8 KiB.
            flow_text::file_source("input", &self.input, r#"{"name": "separate", "config": {}}"#),
            flow_text::file_sink("output", &self.output),
            flow_text::file_sink("errors", &self.errors),
        ];
        flow_text::flow(&format!(
            "  use tremor::pipelines;
{connectors}  create pipeline talk from pipelines::passthrough;
  create pipeline digits from pipelines::passthrough;
  create pipeline lines from pipelines::passthrough;
  create pipeline faults from pipelines::passthrough;
  connect /connector/echo to /pipeline/talk;
  connect /pipeline/talk to /connector/echo;
  connect /connector/lines to /pipeline/digits;
  connect /pipeline/digits to /connector/lines;
  connect /connector/input to /pipeline/lines;
  connect /pipeline/lines to /connector/output;
  connect /connector/input/err to /pipeline/faults;
  connect /pipeline/faults to /connector/errors;
",
            connectors = connectors.concat(),
        ))
    }
}
