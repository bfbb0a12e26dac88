//! A tree of test folders, and a stand-in for the program under test.

use serde_json::Value;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Plays `tremor`: as a server it runs every `.troy` file as a shell script in the folder that it was started in.
const STAND_IN: &str = r#"#!/bin/sh
if [ "$1" = run ]; then echo "Usage: stand-in $*"; echo "level=$RUST_LOG" >&2; exit 0; fi
[ "$1 $2 $3 $4" = "server run -n --debug-connectors" ] || exit 97
shift 4
for file in "$@"; do . "$file"; done
"#;

/// After this time a run of the runner is killed.
const LONGEST_RUN: Duration = Duration::from_secs(300);

/// The longest that a test waits for something that should be there soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) struct Tree {
    root: TempDir,
}

/// What a run of the runner left behind.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Checks the status and shows everything if it is another.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    pub(crate) fn shows(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.out.contains(part), "`{part}` is missing in:\n{}\nstderr:\n{}", self.out, self.err);
        }
        self
    }

    pub(crate) fn hides(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(!self.out.contains(part), "`{part}` is there:\n{}", self.out);
        }
        self
    }

    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is missing in stderr:\n{}", self.err);
        }
        self
    }
}

impl Tree {
    /// Writes `files` (path, content) below a fresh folder. The tests lie in `t`, beside the stand-in.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(tree.root.path().join("t")).unwrap();
        let program = tree.root.path().join("stand-in");
        fs::write(&program, STAND_IN).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        for (path, content) in files {
            tree.write(path, content);
        }
        tree
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Absolute and canonical, as the runner names it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("t").join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(path)).unwrap_or_default()).into_owned()
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.read("report.json")).unwrap()
    }

    /// `tremor test <args>` in the folder of the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tremor"));
        command.arg("test").args(args).current_dir(self.path("."));
        command.env("TREMOR_BIN", self.root.path().join("stand-in"));
        command.env_remove("RUST_LOG").env_remove("TREMOR_PATH").stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// Waits until a file is there.
    pub(crate) fn wait_for(&self, path: &str) {
        let path = self.path(path);
        wait_until(&format!("{} is there", path.display()), || path.exists());
    }
}

/// Runs a command to its end; one that takes far too long is killed, so that a test fails and does not hang.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    finish(child)
}

fn finish(child: Child) -> Ran {
    let (done, ended) = mpsc::channel::<()>();
    let pid = child.id().to_string();
    let watchdog = thread::spawn(move || {
        if ended.recv_timeout(LONGEST_RUN) == Err(RecvTimeoutError::Timeout) {
            let _gone = Command::new("kill").args(["-s", "KILL", &pid]).status();
        }
    });
    let out = child.wait_with_output().unwrap();
    drop(done);
    watchdog.join().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        code: out.status.code(),
        signal: out.status.signal(),
        out: text(&out.stdout),
        err: text(&out.stderr),
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it took too long until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// `true` if the process whose number is in the file runs; a zombie does not.
pub(crate) fn is_running(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    let state = Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// Sends a signal by name and waits for the end.
pub(crate) fn end_by(signal: &str, child: Child) -> Ran {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    finish(child)
}
