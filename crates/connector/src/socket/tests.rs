use std::{io, net::SocketAddr, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tremor_value::{Record, Value};

use super::{
    Failure, SocketError, SocketKind, SocketOptions, Target, cause_of, connect, connectable, listen, race,
};
use crate::config::{ConfigError, Reader};

const LIMIT: Duration = Duration::from_secs(150);

fn record<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().collect::<Record>().into()
}

fn read(config: &Value, kind: SocketKind) -> Result<SocketOptions, ConfigError> {
    let mut config = Reader::new(config, "config")?;
    let options = SocketOptions::from_config(&mut config, kind)?;
    config.finish()?;
    Ok(options)
}

#[test]
fn options_have_defaults() {
    let defaults = SocketOptions { reuse_port: false, reuse_addr: true, no_delay: true, user_timeout: None };
    for kind in [SocketKind::Tcp, SocketKind::WebSocket, SocketKind::Udp] {
        assert_eq!(read(&Value::record(), kind), Ok(defaults));
    }
}

#[test]
fn both_ways_to_write_no_delay() {
    let options = |value: bool| record([("TCP_NODELAY", value.into())]);
    for kind in [SocketKind::Tcp, SocketKind::WebSocket] {
        assert!(!read(&record([("no_delay", false.into())]), kind).unwrap().no_delay);
        assert!(!read(&record([("socket_options", options(false))]), kind).unwrap().no_delay);
        let both = record([("no_delay", false.into()), ("socket_options", options(false))]);
        assert!(!read(&both, kind).unwrap().no_delay);
    }
    let differ = record([("no_delay", true.into()), ("socket_options", options(false))]);
    assert!(!read(&differ, SocketKind::Tcp).unwrap().no_delay, "socket_options wins");
    assert_eq!(
        read(&differ, SocketKind::WebSocket).unwrap_err().to_string(),
        "config.no_delay: is true, but `socket_options.TCP_NODELAY` is false; write one of them"
    );
    assert!(read(&record([("no_delay", true.into())]), SocketKind::Udp).is_err());
    assert!(read(&record([("socket_options", options(true))]), SocketKind::Udp).is_err());
}

#[test]
fn unknown_options_are_refused() {
    let config = record([("socket_options", record([("SO_REUSEPRT", true.into())]))]);
    assert_eq!(
        read(&config, SocketKind::Tcp).unwrap_err().to_string(),
        "config.socket_options.SO_REUSEPRT: unknown key; did you mean `SO_REUSEPORT`? \
         Known keys: `SO_REUSEADDR`, `SO_REUSEPORT`, `TCP_NODELAY`"
    );
}

#[tokio::test]
async fn bytes_go_through() -> Result<(), Box<dyn std::error::Error>> {
    for no_delay in [true, false] {
        let options = SocketOptions { no_delay, ..SocketOptions::default() };
        let listener = listen("127.0.0.1", 0, 128, &options).await?;
        let port = listener.local_addr()?.port();
        // An unspecified address reaches this machine.
        let mut client = connect("0.0.0.0", port, &options, LIMIT).await?;
        let (mut server, _) = listener.accept().await?;
        options.apply_to_accepted(&server)?;
        assert_eq!((client.nodelay()?, server.nodelay()?), (no_delay, no_delay));
        client.write_all(b"hi").await?;
        let mut bytes = [0; 2];
        server.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"hi");
    }
    Ok(())
}

#[tokio::test]
async fn names_are_resolved() -> Result<(), Box<dyn std::error::Error>> {
    let options = SocketOptions::default();
    let listener = listen("localhost", 0, 1, &options).await?;
    let address = listener.local_addr()?;
    assert!(address.ip().is_loopback());
    let client = connect("localhost", address.port(), &options, LIMIT).await?;
    assert_eq!(client.peer_addr()?, address);
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<(), Box<dyn std::error::Error>> {
    let options = SocketOptions::default();
    let first = listen("127.0.0.1", 0, 128, &options).await?;
    let port = first.local_addr()?.port();
    let error = listen("127.0.0.1", port, 128, &options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}: address already in use"));
    Ok(())
}

#[cfg(unix)]
#[tokio::test]
async fn a_port_can_be_shared() -> Result<(), Box<dyn std::error::Error>> {
    let options = SocketOptions { reuse_port: true, ..SocketOptions::default() };
    let first = listen("127.0.0.1", 0, 128, &options).await?;
    listen("127.0.0.1", first.local_addr()?.port(), 128, &options).await?;
    Ok(())
}

/// A port that nobody listens on: bound, so that nobody else gets it, but not listening.
fn silent_port() -> io::Result<(tokio::net::TcpSocket, u16)> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

#[tokio::test]
async fn a_refused_connection_is_named() -> Result<(), Box<dyn std::error::Error>> {
    let (_socket, port) = silent_port()?;
    let error = connect("127.0.0.1", port, &SocketOptions::default(), LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to 127.0.0.1:{port}: connection refused"));
    Ok(())
}

#[tokio::test]
async fn a_name_without_address_is_named() {
    // `.invalid` never resolves (RFC 6761), with or without a resolver.
    for result in [
        connect("tremor.invalid", 1, &SocketOptions::default(), LIMIT).await.map(drop),
        listen("tremor.invalid", 1, 1, &SocketOptions::default()).await.map(drop),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("cannot resolve `tremor.invalid`: "), "{error}");
    }
}

#[tokio::test]
async fn every_address_is_tried() -> Result<(), Box<dyn std::error::Error>> {
    let options = SocketOptions::default();
    let (_socket, silent) = silent_port()?;
    let listener = listen("127.0.0.1", 0, 128, &options).await?;
    let good = listener.local_addr()?;
    let bad = SocketAddr::from(([127, 0, 0, 1], silent));
    let mut failures = Vec::new();
    let stream = race([bad, good].into_iter(), &options, &mut failures).await.ok_or("no connection")?;
    assert_eq!(stream.peer_addr()?, good);
    assert_eq!(failures.iter().map(|failure| failure.address).collect::<Vec<_>>(), [bad]);
    let mut failures = Vec::new();
    assert!(race([bad, bad].into_iter(), &options, &mut failures).await.is_none());
    assert_eq!(failures.len(), 2);
    assert!(race(std::iter::empty(), &options, &mut Vec::new()).await.is_none());
    Ok(())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_time_limit_holds() -> Result<(), Box<dyn std::error::Error>> {
    let options = SocketOptions::default();
    // Linux leaves connects unanswered while the accept queue is full.
    let listener = listen("127.0.0.1", 0, 1, &options).await?;
    let port = listener.local_addr()?.port();
    let mut waiting = Vec::new();
    let error = loop {
        assert!(waiting.len() < 100, "the accept queue never filled up");
        match connect("127.0.0.1", port, &options, Duration::from_millis(100)).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SocketError::Timeout { .. }), "{error}");
    assert_eq!(error.to_string(), format!("cannot connect to 127.0.0.1:{port}: no answer within 100ms"));
    Ok(())
}

#[tokio::test]
async fn there_may_be_no_time_limit() -> Result<(), Box<dyn std::error::Error>> {
    let listener = listen("127.0.0.1", 0, 1, &SocketOptions::default()).await?;
    connect("127.0.0.1", listener.local_addr()?.port(), &SocketOptions::default(), Duration::MAX).await?;
    Ok(())
}

#[test]
fn several_failures_are_all_named() {
    let failure =
        |address: &str, code| Failure { address: address.parse().unwrap(), error: io::Error::from(code) };
    let error = SocketError::Connect {
        target: Target::new("localhost", 80),
        failures: vec![
            failure("[::1]:80", io::ErrorKind::ConnectionRefused),
            failure("127.0.0.1:80", io::ErrorKind::TimedOut),
        ],
    };
    assert_eq!(
        error.to_string(),
        "cannot connect to localhost:80: [::1]:80: connection refused; 127.0.0.1:80: timed out"
    );
    assert_eq!(Target::new("::1", 80).to_string(), "[::1]:80");
}

#[test]
fn causes_have_one_style() {
    assert_eq!(cause_of(&io::Error::other("Address in use (os error 98)")), "address in use");
    assert_eq!(cause_of(&io::Error::other("TLS is off")), "TLS is off");
    assert_eq!(cause_of(&io::Error::other("")), "");
}

#[test]
fn unspecified_addresses_become_loopback() {
    for (from, to) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("1.2.3.4:1", "1.2.3.4:1")] {
        assert_eq!(connectable(from.parse().unwrap()).to_string(), to);
    }
}
