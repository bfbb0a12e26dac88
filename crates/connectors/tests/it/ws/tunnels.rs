//! TLS through a proxy.

use super::{
    client_opening::{line, start},
    peers::{Port, head},
    tls::files,
};
use crate::harness::{Linked, Subject, definition, json, within};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tremor_codec::testing::Log;

/// Reads the head of a request or answer.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A client with this configuration, which makes one attempt.
fn of_config(config: &str) -> Subject {
    let mut definition = definition("ws_client", config, r#""json""#, "");
    definition.reconnect = Some(json(r#""none""#));
    Subject::new(&definition, Linked::Fully).unwrap()
}

/// Answers a request for an upgrade, and gives it.
async fn grant(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let request = read_head(stream).await;
    let key = line(&request, "sec-websocket-key").unwrap();
    let answer = format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        tremor_ws::accept_key(key)
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    request
}

#[tokio::test]
async fn tls_runs_inside_of_a_tunnel_and_names_the_server_and_what_is_not_verified_is_told() {
    let (told, _listening) = Log::listen();
    let files = files();
    let proxy = Port::reserve();
    let listener = proxy.listen();
    for (tls, alarms) in [
        (format!(r#"{{"cafile": "{}", "domain": "localhost"}}"#, files.cert.display()), 0),
        (r#"{"insecure": true}"#.into(), 1),
    ] {
        let config = format!(
            r#"{{"url": "wss://feed.invalid/x", "proxy": "http://{}", "tls": {tls}}}"#,
            proxy.address()
        );
        let subject = of_config(&config);
        let started = start(&subject);
        let mut tcp: TcpStream = within(listener.accept()).await.unwrap().0;
        let asked = head(&mut tcp).await;
        assert!(asked.starts_with("CONNECT feed.invalid:443 HTTP/1.1\r\n"), "{asked}");
        tcp.write_all(b"HTTP/1.1 200 Here\r\n\r\n").await.unwrap();
        let mut tunnel = within(files.acceptor().accept(tcp)).await.unwrap();
        let named = tunnel.get_ref().1.server_name().map(str::to_owned);
        let expected = if alarms == 0 { "localhost" } else { "feed.invalid" };
        assert_eq!(named.as_deref(), Some(expected));
        let request = grant(&mut tunnel).await;
        assert_eq!(line(&request, "host"), Some("feed.invalid"));
        within(started).await.unwrap().unwrap();
        let told = told.text();
        let alarm = "`tls.insecure` is on: the certificate of `feed.invalid` is not verified";
        assert_eq!(told.matches(alarm).count(), alarms, "{told}");
    }
}

#[tokio::test]
async fn what_will_not_be_verified_is_told_when_a_client_is_made() {
    let pin = "0".repeat(64);
    for (tls, expected) in [
        (
            r#"{"insecure": true}"#.to_owned(),
            "the certificate of the server is not verified, anybody can pretend to be it",
        ),
        (
            format!(r#"{{"insecure": true, "pins": "{pin}"}}"#),
            "of the certificate of the server only the key is verified, by `tls.pins`",
        ),
        (format!(r#"{{"pins": "{pin}"}}"#), ""),
    ] {
        let (told, listening) = Log::listen();
        drop(of_config(&format!(r#"{{"url": "wss://feed.invalid/x", "tls": {tls}}}"#)));
        drop(listening);
        let told = told.text();
        assert_eq!(told.contains("`tls.insecure` is on: "), !expected.is_empty(), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}
