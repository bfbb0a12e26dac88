//! How a proxy ends: what servers behind still answer reaches the clients, and all of them hear that it goes.

use super::{
    client_opening::welcome_on,
    peers::{Port, next_text, text},
    per_origin::{BAD_GATEWAY, Proxy, goodbye, pair, plain_client},
};
use crate::harness::{Clock, within};
use futures_util::{StreamExt, future::join};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::Instant,
};
use tremor_codec::testing::Log;
use tremor_connector::State;

/// Drains the proxy as a flow does, and lets its clients go. It is draining when this returns.
async fn drain(proxy: &Proxy) -> JoinHandle<()> {
    let (front, back) = (proxy.front.clone(), proxy.back.clone());
    let ends = tokio::spawn(async move {
        join(front.drain(), back.drain()).await;
        front.let_go(Instant::now() + Duration::from_secs(1)).await;
    });
    let mut status = proxy.back.watch();
    within(status.wait_for(|status| status.state == State::Draining)).await.unwrap();
    ends
}

#[tokio::test]
async fn answers_that_are_outstanding_are_waited_for() {
    // However slow the machine is, they have not been outstanding for long.
    let _clock = Clock::stop();
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::started(&server, "").await;
    let mut pairs = Vec::new();
    for _ in 0..3 {
        pairs.push(pair(&proxy, &listener).await);
    }
    let ends = drain(&proxy).await;
    let mut ended = Vec::new();
    for (number, (client, mut upstream)) in pairs.into_iter().enumerate() {
        // Too late: it is not read any more.
        let (mut client, answer) = (client, format!("answer {number}"));
        within(client.send(text("too late"))).await.unwrap();
        within(upstream.send(text(&answer))).await.unwrap();
        assert_eq!(next_text(&mut client).await, answer);
        assert_eq!(goodbye(&mut upstream).await, (1001, String::new()));
        ended.push(client);
        tokio::spawn(async move { while let Some(Ok(_)) = upstream.next().await {} });
    }
    for client in &mut ended {
        assert_eq!(goodbye(client).await, (1001, String::new()));
    }
    drop(ended);
    within(ends).await.unwrap();
    assert_eq!(proxy.back.taken().written, 3);
}

/// A server may have more to say than as many messages as it got, or fewer: it is told that we go, and heard until it has said
/// goodbye itself.
#[tokio::test]
async fn a_server_is_heard_until_its_goodbye_and_what_it_owes_is_told() {
    let (log, _until_the_end) = Log::listen();
    let clock = Clock::stop();
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::started(&server, "").await;
    let mut client = plain_client(&proxy).await;
    within(client.write_all(b"\x81\x86\0\0\0\0second")).await.unwrap();
    let mut upstream = within(listener.accept()).await.unwrap().0;
    welcome_on(&mut upstream, "").await;
    let mut questions = [0; 11 + 12];
    within(upstream.read_exact(&mut questions)).await.unwrap();
    let ends = drain(&proxy).await;
    clock.advance(1900).await;
    assert_eq!(proxy.back.status().state, State::Draining);
    clock.advance(101).await;
    let mut going = [0; 8];
    within(upstream.read_exact(&mut going)).await.unwrap();
    let [0x88, 0x82, key @ .., first, second] = going else { panic!("no goodbye: {going:x?}") };
    assert_eq!([first ^ key[0], second ^ key[1]], 1001_u16.to_be_bytes());
    within(upstream.write_all(b"\x81\x04late\x88\x02\x03\xe9")).await.unwrap();
    let mut got = [0; 6 + 4];
    within(client.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"\x81\x04late\x88\x02\x03\xe9");
    within(client.write_all(b"\x88\x82\0\0\0\0\x03\xe9")).await.unwrap();
    drop(upstream);
    within(ends).await.unwrap();
    let expected = "[Connector::flow::back] the drain ended 1 connection on which fewer messages had come than went, 1 in all";
    assert!(log.text().contains(expected), "{}", log.text());
}

/// A server that neither answers nor says goodbye holds up nothing for longer than its time.
#[tokio::test]
async fn a_server_that_says_nothing_is_cut_off() {
    let server = Port::reserve();
    let listener = server.listen();
    let never = r#", "close_handshake_timeout": 600000"#;
    let clock = Clock::stop();
    let mut proxy = Proxy::started(&server, never).await;
    let (mut client, upstream) = pair(&proxy, &listener).await;
    let ends = drain(&proxy).await;
    clock.advance(2001).await;
    clock.advance(1001).await;
    assert_eq!(goodbye(&mut client).await, (1001, String::new()));
    drop(client);
    let told = proxy.told("back", "closed").await;
    assert_eq!(told.get("clean"), Some(&false.into()), "{told}");
    within(ends).await.unwrap();
    drop(upstream);
}

/// A server that only takes messages would be waited for in vain.
#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for() {
    let (log, _until_the_end) = Log::listen();
    let clock = Clock::stop();
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::started(&server, "").await;
    let (mut silent, mut upstream) = pair(&proxy, &listener).await;
    let (mut talking, mut answering) = pair(&proxy, &listener).await;
    within(answering.send(text("answer"))).await.unwrap();
    assert_eq!(next_text(&mut talking).await, "answer");
    for _ in 0..3 {
        clock.advance(1001).await;
        within(silent.send(text("more"))).await.unwrap();
        assert_eq!(next_text(&mut upstream).await, "more");
    }
    // The other one has answered before, and owes one more.
    within(talking.send(text("more"))).await.unwrap();
    assert_eq!(next_text(&mut answering).await, "more");
    let ends = drain(&proxy).await;
    // No time passes.
    assert_eq!(goodbye(&mut upstream).await, (1001, String::new()));
    drop(upstream);
    assert_eq!(proxy.back.status().state, State::Draining);
    within(answering.send(text("another"))).await.unwrap();
    assert_eq!(next_text(&mut talking).await, "another");
    assert_eq!(goodbye(&mut answering).await, (1001, String::new()));
    drop(answering);
    for client in [&mut silent, &mut talking] {
        assert_eq!(goodbye(client).await, (1001, String::new()));
    }
    drop((silent, talking));
    within(ends).await.unwrap();
    assert!(!log.text().contains("fewer messages"), "{}", log.text());
}

#[tokio::test]
async fn a_handshake_that_a_drain_ends_is_told_like_any_that_fails() {
    let clock = Clock::stop();
    let server = Port::reserve();
    let listener = server.listen();
    let mut proxy = Proxy::started(&server, "").await;
    let mut client = plain_client(&proxy).await;
    let _never_answers = within(listener.accept()).await.unwrap();
    let ends = drain(&proxy).await;
    clock.advance(2001).await;
    let told = proxy.told("back", "rejected").await;
    let reason = told.get("reason").unwrap().to_string();
    assert!(reason.contains("the flow ended before their connection was open"), "{told}");
    let mut told = [0; BAD_GATEWAY.len()];
    within(client.read_exact(&mut told)).await.unwrap();
    assert_eq!(told, BAD_GATEWAY);
    drop(client);
    within(ends).await.unwrap();
}
