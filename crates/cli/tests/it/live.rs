//! The real binary at work: files for it, a running server, what it says, and its API.

use crate::tree::{Ran, ran, wait_until};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// A flow that gives an event every millisecond and writes it to standard output.
pub(crate) const TICK: &str = r#"
define flow main
flow
  use tremor::pipelines;
  define connector tick from metronome with config = {"interval": 1000000} end;
  define connector console from stdio with codec = "json", postprocessors = ["separate"] end;
  create connector tick;
  create connector console;
  create pipeline pass from pipelines::passthrough;
  connect /connector/tick to /pipeline/pass;
  connect /pipeline/pass to /connector/console;
end;
deploy flow main;
"#;

/// A flow that sends the lines of `in.json` to `exit`.
pub(crate) const EXIT: &str = r#"
define flow main
flow
  use tremor::{connectors, pipelines};
  use integration;
  create connector read_file from integration::read_file;
  create connector exit from connectors::exit;
  create pipeline pass from pipelines::passthrough;
  connect /connector/read_file to /pipeline/pass;
  connect /pipeline/pass to /connector/exit;
end;
deploy flow main;
"#;

/// A port that nobody else is given while this lives: it is bound, but nobody listens.
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }
}

/// A folder of files, in which the binary runs.
pub(crate) struct Folder {
    root: TempDir,
}

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names of all files, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tremor"));
        command.args(args).current_dir(self.root.path()).env_remove("RUST_LOG").env_remove("TREMOR_PATH");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// Runs the binary to its end with `input` on its standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &str) -> Ran {
        let file = self.path(".stdin");
        fs::write(&file, input).unwrap();
        let ran = ran(self.command(args).stdin(fs::File::open(&file).unwrap()));
        fs::remove_file(file).unwrap();
        ran
    }

    /// Starts `tremor server run <args>` with informative logs; its standard input stays open.
    pub(crate) fn serve(&self, args: &[&str]) -> Live {
        let mut command = self.command(&["server", "run"]);
        Live::start(command.args(args).stdin(Stdio::piped()).env("RUST_LOG", "info"))
    }
}

/// A running process; killed when it is dropped.
pub(crate) struct Live {
    child: Child,
    /// Kept open unless a test closes it.
    pub(crate) stdin: Option<ChildStdin>,
    /// Read by nobody unless a test does.
    pub(crate) stdout: Option<BufReader<ChildStdout>>,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Live {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let listener = thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).unwrap_or(0) > 0 {
                heard.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let stdout = child.stdout.take().map(BufReader::new);
        Self { stdin: child.stdin.take(), stdout, said, listener: Some(listener), child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What stands on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until `words` stand on standard error.
    pub(crate) fn wait_for(&self, words: &str) {
        wait_until(&format!("`{words}` is said"), || self.said().contains(words));
    }

    /// The address of the API.
    pub(crate) fn address(&self) -> String {
        let mark = "\nListening at: http://";
        self.wait_for(mark);
        let said = self.said();
        said.split_once(mark).unwrap().1.lines().next().unwrap().to_owned()
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Reads standard output to its end and waits for the end of the process.
    pub(crate) fn end(mut self) -> Ran {
        let mut out = Vec::new();
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_end(&mut out).unwrap();
        }
        wait_until("the process has ended", || !self.is_running());
        let status = self.child.wait().unwrap();
        self.listener.take().unwrap().join().unwrap();
        Ran {
            code: status.code(),
            signal: status.signal(),
            out: String::from_utf8(out).unwrap(),
            err: self.said(),
        }
    }

    /// Asks the API; gives the status and the body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    pub(crate) fn get(&self, path: &str) -> (u16, serde_json::Value) {
        self.ask("GET", path, "")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
