//! The loads against the reference, and against servers that do something else.

use super::*;
use crate::reference::{fan_out as fan_out_reference, ws_echo};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpListener,
    runtime::{Builder, Runtime},
};

fn listen(runtime: &Runtime) -> (TcpListener, Target) {
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    (listener, Target::plain(address))
}

/// An echo that runs as long as the runtime.
fn echo() -> (Runtime, Target) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (listener, target) = listen(&runtime);
    runtime.spawn(ws_echo::serve(listener, None));
    (runtime, target)
}

fn no_cpu() -> Option<Duration> {
    Some(Duration::ZERO)
}

#[test]
fn the_reference_echoes_the_load() {
    let (_runtime, target) = echo();
    let load = Load { connections: 3, in_flight: 64, messages: 2_000 };
    let measured = run(&target, load, no_cpu).unwrap();
    assert!(measured.took > Duration::ZERO);
    assert_eq!(measured.server_cpu, Some(Duration::ZERO));
}

#[test]
fn every_message_alone_is_timed() {
    let (_runtime, target) = echo();
    let (_, latencies) = ping_pong(&target, 50, no_cpu).unwrap();
    assert_eq!(latencies.len(), 50);
    assert!(latencies.per_mille_us(1) > 0.0);
}

#[test]
fn a_crowd_comes_talks_and_leaves() {
    let (_runtime, target) = echo();
    let mut crowd = Crowd::new(target).unwrap();
    crowd.join(70).unwrap();
    crowd.exchange().unwrap();
    crowd.leave();
    crowd.join(1).unwrap();
}

#[test]
fn handshakes_are_done_side_by_side() {
    let (_runtime, target) = echo();
    assert!(handshakes(&target, 40, 7, no_cpu).unwrap().took > Duration::ZERO);
}

#[test]
fn an_event_reaches_all() {
    let runtime = Runtime::new().unwrap();
    let (listener, target) = listen(&runtime);
    runtime.spawn(fan_out_reference::serve(listener));
    assert!(fan_out(&target, 20, 5, no_cpu).unwrap().took > Duration::ZERO);
}

#[test]
fn the_quiet_are_timed_beside_a_flood() {
    let (_runtime, target) = echo();
    let load = Flood { in_flight: 16, quiet: 3, pause: Duration::from_millis(1), messages: 4 };
    let flooded = flood(&target, load, no_cpu).unwrap();
    assert_eq!(flooded.quiet.len(), 12);
}

#[test]
fn a_server_that_does_not_echo_is_an_error() {
    let runtime = Runtime::new().unwrap();
    let (listener, target) = listen(&runtime);
    runtime.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let load = Load { connections: 1, in_flight: 1, messages: 1 };
    let error = run(&target, load, || None).unwrap_err();
    assert!(error.to_string().contains("400 Bad Request"), "{error}");
}
