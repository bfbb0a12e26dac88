//! A server that the system allows few open files, and more if it asks.

use crate::{
    live::{Folder, Live, Port},
    tree::PATIENCE,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

const CONNECTIONS: usize = 100;

/// Runs the binary with its arguments under a soft limit of 64 open files.
const LIMITED: &str = r#"ulimit -Sn 64 && exec "$0" "$@""#;

/// A flow that answers what it hears.
pub(crate) fn echo(url: &str) -> String {
    format!(
        "define flow main\nflow\n  use tremor::pipelines;\n  define connector echo from ws_server\n  with\n    \
         codec = \"json\", config = {{\"url\": \"{url}\"}}\n  end;\n  create connector echo;\n  \
         create pipeline pass from pipelines::passthrough;\n  connect /connector/echo to /pipeline/pass;\n  \
         connect /pipeline/pass to /connector/echo;\nend;\ndeploy flow main;\n"
    )
}

/// Opens a WebSocket.
pub(crate) fn open(url: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let key = "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
    write!(stream, "GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n{key}\r\n\r\n")
        .unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

#[test]
fn the_soft_limit_of_open_files_holds_nobody_up() {
    let port = Port::reserve();
    let url = port.address();
    let folder = Folder::new(&[("echo.troy", &echo(&url))]);
    let binary = folder.command(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", LIMITED]).arg(binary).args(["server", "run", "-n", "echo.troy"]);
    command.current_dir(folder.path("")).env("RUST_LOG", "info,tremor=debug");
    let server = Live::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    server.wait_for("[Flow::main] Started");
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| open(&url)).collect();
    for stream in &mut streams {
        // A masked text frame whose mask changes nothing.
        stream.write_all(b"\x81\x82\0\0\0\x0042").unwrap();
    }
    for stream in &mut streams {
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"\x81\x0242");
    }
    drop(streams);
    server.signal("TERM");
    server.end().expect(0).says(&["DEBUG tremor] The limit of open files is raised from 64 to "]);
}
