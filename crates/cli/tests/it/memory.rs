//! How much memory a server takes, and how the system backs that.
#![cfg(target_os = "linux")]

use crate::{
    live::{Folder, Live, Port},
    open_files::{echo, open},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

const MIB: usize = 1 << 20;

/// A server that answers what it hears, and its address.
fn server(folder: &mut Option<Folder>) -> (Live, String) {
    let port = Port::reserve();
    let url = port.address();
    let folder = folder.insert(Folder::new(&[("echo.troy", &echo(&url))]));
    let server = folder.serve(&["-n", "echo.troy"]);
    server.wait_for("[Flow::main] Started");
    (server, url)
}

/// What the system says of the memory of a process, in MiB.
fn in_status(server: &Live, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() / 1024
}

/// A frame with a mask that changes nothing.
fn send(stream: &mut TcpStream, opcode: u8, payload: &[u8]) {
    stream.write_all(&[opcode, 0xff]).unwrap();
    stream.write_all(&(payload.len() as u64).to_be_bytes()).unwrap();
    stream.write_all(&[0; 4]).unwrap();
    stream.write_all(payload).unwrap();
}

/// Pieces of it that are put together, or what waits to be sent beside what came, would be as much again.
#[test]
fn a_large_message_that_comes_back_as_it_came_is_in_memory_once() {
    const LEN: usize = 40 * MIB;
    let mut folder = None;
    let (server, url) = server(&mut folder);
    let message = format!("{{\"a\":\"{}\"}}", "x".repeat(LEN - 8)).into_bytes();
    let (mut stream, before) = (open(&url), in_status(&server, "VmHWM:"));
    for (opcode, part) in [0x01, 0, 0, 0, 0x80].into_iter().zip(message.chunks(8 * MIB)) {
        send(&mut stream, opcode, part);
    }
    let mut answer = vec![0; 10 + LEN];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"\x81\x7f") && answer.ends_with(&message));
    let most = in_status(&server, "VmHWM:");
    assert!(most - before < 60, "{before} MiB before, {most} MiB at most");
    server.signal("TERM");
    server.end().expect(0);
}

/// Whoever touches the first byte of a huge page waits until the system has cleared 2 MiB, and so do all connections that
/// the thread serves.
#[test]
fn the_system_is_not_asked_for_huge_pages() {
    let mut folder = None;
    let (server, _) = server(&mut folder);
    let maps = fs::read_to_string(format!("/proc/{}/smaps", server.id())).unwrap();
    let flags = || maps.lines().filter_map(|line| line.strip_prefix("VmFlags:"));
    assert!(flags().count() > 0, "{maps}");
    assert!(flags().all(|flags| !flags.split_whitespace().any(|flag| flag == "hg")), "{maps}");
    server.signal("TERM");
    server.end().expect(0);
}
