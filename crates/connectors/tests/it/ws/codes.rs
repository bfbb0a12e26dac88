//! Close codes that are said without being asked for, and what those that come do (`spec/websocket.md` 11).

use super::{
    client_opening::{start, welcome},
    control::{self, member},
    peers::{Port, accept, client, close_code, next_text, server, text},
    per_origin::{Proxy, goodbye, pair},
};
use crate::harness::{PANICS, Seen, within};
use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tokio::io::AsyncWriteExt;
use tremor_codec::testing::Log;

/// As at the end of the program by SIGQUIT: the other end is in the tests of drains.
#[tokio::test]
async fn a_stop_without_a_drain_says_1001_at_servers_and_1000_at_clients() {
    let (subject, port) = server("").await;
    let mut peer = port.client().await;
    let handle = subject.handle.clone();
    let stopping = tokio::spawn(async move { handle.stop().await });
    assert_eq!(goodbye(&mut peer).await, (1001, String::new()));
    within(stopping).await.unwrap();

    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, "", "\"none\"");
    let started = start(&subject);
    let mut peer = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    let handle = subject.handle.clone();
    let stopping = tokio::spawn(async move { handle.stop().await });
    assert_eq!(goodbye(&mut peer).await, (1000, String::new()));
    drop(peer);
    within(stopping).await.unwrap();
}

/// Whoever is behind one half of a pair has to know that it will be back.
#[tokio::test]
async fn a_proxy_that_stops_without_a_drain_says_1001_on_both_sides() {
    let behind = Port::reserve();
    let listener = behind.listen();
    let proxy = Proxy::started(&behind, "").await;
    let (mut front, mut back) = pair(&proxy, &listener).await;
    let (of_front, of_back) = (proxy.front.clone(), proxy.back.clone());
    let stopping = tokio::spawn(async move { tokio::join!(of_front.stop(), of_back.stop()) });
    let said = tokio::join!(goodbye(&mut front), goodbye(&mut back));
    assert_eq!(said, ((1001, String::new()), (1001, String::new())));
    drop((front, back));
    within(stopping).await.unwrap();
}

fn close(code: u16) -> [u8; 4] {
    let [first, second] = code.to_be_bytes();
    [0x88, 2, first, second]
}

#[tokio::test]
async fn a_server_that_goes_wrong_is_asked_again_and_one_without_room_later_each_time() {
    let grows = r#"{"retry": {"interval_ms": 20, "growth_rate": 25, "randomized": false}}"#;
    for (code, second_wait) in [(1001, 20), (1010, 20), (1011, 20), (1012, 500), (1013, 500), (1014, 500)] {
        let (told, _listening) = Log::listen();
        let port = Port::reserve();
        let listener = port.listen();
        let mut subject = client(&port, r#", "stable_after": 0"#, grows);
        subject.open();
        start(&subject);
        for (attempts, wait) in [(1, 20), (2, second_wait)] {
            let (mut tcp, _request) = welcome(&listener, "").await;
            tcp.write_all(&close(code)).await.unwrap();
            drop(tcp);
            within(async {
                while told.text().matches("; connecting again in ").count() < attempts {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let line = format!("closed the connection with {code}; connecting again in {wait} ms");
            assert!(told.text().trim_end().ends_with(&line), "{line}: {}", told.text());
        }
        // Both sides have said goodbye: for `err` that is no end that went wrong.
        assert!(!matches!(subject.poll(), Some(Seen::Event(..))), "{code}");
    }
}

#[tokio::test]
async fn what_clients_say_is_told_as_they_say_it() {
    let (mut subject, port) = control::server("").await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014] {
        let mut ws = port.client().await;
        subject.next_told().await;
        let frame = CloseFrame { code: CloseCode::from(code), reason: "so".into() };
        ws.send(Message::Close(Some(frame))).await.unwrap();
        assert_eq!(close_code(&mut ws).await, 1000, "which is the answer to {code}");
        let closed = subject.next_told().await;
        let shown = ["kind", "code", "reason", "clean", "by"].map(|name| member(&closed, name).to_string());
        assert_eq!(shown, [r#""closed""#, &code.to_string(), r#""so""#, "true", r#""peer""#]);
    }
}

/// Nobody knows what it has left half done, frames included, so nothing is said.
#[tokio::test]
async fn an_internal_error_ends_its_connection_alone_and_is_logged() {
    let (told, _listening) = Log::listen();
    let (mut subject, port) = server("").await;
    let (mut unlucky, mut other) = (port.client().await, port.client().await);
    other.send(text(1)).await.unwrap();
    assert_eq!(subject.next_value().await, "1");
    unlucky.send(text(format!("\"{PANICS}\""))).await.unwrap();
    assert_eq!(close_code(&mut unlucky).await, 1006);
    within(async {
        while !told.text().contains("] an internal error ended a connection") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut new = port.client().await;
    for ws in [&mut other, &mut new] {
        ws.send(text(2)).await.unwrap();
        let event = subject.next_event().await;
        subject.deliver(0, event).await;
        assert_eq!(next_text(ws).await, "2");
    }
    within(subject.handle.stop()).await;
}
