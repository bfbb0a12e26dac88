//! What is still heard when the flow drains, and what is not.

use super::{
    client_opening::start,
    peers::{Port, Ws, accept, client, close_code, next_text, server, text},
};
use crate::harness::{Clock, Subject, within};
use std::time::Duration;
use tokio::{task::JoinHandle, time::Instant};
use tremor_codec::testing::Log;
use tremor_connector::State;

/// A client at work and its server, which has been sent so many messages.
async fn asked(count: usize) -> (Subject, Ws, Port) {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = client(&port, "", r#""none""#);
    subject.open();
    let started = start(&subject);
    let mut server = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    for number in 0..count {
        subject.give(&number.to_string()).await;
        assert_eq!(next_text(&mut server).await, number.to_string());
    }
    (subject, server, port)
}

/// Drains it as a flow does; it is draining when this returns.
async fn drain(subject: &Subject) -> JoinHandle<()> {
    subject.front_is_done().await;
    let handle = subject.handle.clone();
    let drains = tokio::spawn(async move { handle.drain().await });
    let mut status = subject.handle.watch();
    within(status.wait_for(|status| status.state != State::Running)).await.unwrap();
    drains
}

#[tokio::test]
async fn answers_that_are_outstanding_are_waited_for() {
    let _no_time_passes = Clock::stop();
    let (mut subject, mut server, _port) = asked(3).await;
    let drains = drain(&subject).await;
    for number in 0..3 {
        assert!(!drains.is_finished(), "{number}");
        server.send(text(number)).await.unwrap();
        assert_eq!(subject.next_value().await, number.to_string());
    }
    subject.expect_done().await;
    within(drains).await.unwrap();
    // The connection is still there: what the ends of others tell may be for its server.
    subject.give("4").await;
    assert_eq!(next_text(&mut server).await, "4");
}

#[tokio::test]
async fn answers_that_do_not_come_are_waited_for_no_longer_than_two_seconds() {
    let (log, _listening) = Log::listen();
    let clock = Clock::stop();
    let (mut subject, mut server, port) = asked(2).await;
    let drains = drain(&subject).await;
    server.send(text(1)).await.unwrap();
    assert_eq!(subject.next_value().await, "1");
    clock.advance(1999).await;
    tokio::task::yield_now().await;
    assert!(!drains.is_finished());
    clock.advance(2).await;
    subject.expect_done().await;
    within(drains).await.unwrap();
    for answer in [2, 3] {
        server.send(text(answer)).await.unwrap();
    }
    let handle = subject.handle.clone();
    let stops = tokio::spawn(async move { handle.stop().await });
    assert_eq!(close_code(&mut server).await, 1000);
    drop(server);
    within(stops).await.unwrap();
    let line =
        format!("2 messages of {} came after the end of the drain and were thrown away", port.address());
    assert!(log.text().contains(&line), "{}", log.text());
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for() {
    let clock = Clock::stop();
    let (mut subject, mut server, _port) = asked(1).await;
    for number in 0..3 {
        clock.advance(1001).await;
        subject.give(&number.to_string()).await;
        next_text(&mut server).await;
    }
    let drains = drain(&subject).await;
    // No time passes.
    within(drains).await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_answers_that_would_not_be_read() {
    let _no_time_passes = Clock::stop();
    let (subject, _server, _port) = asked(1).await;
    // A sink behind it is away.
    subject.shut();
    let drains = drain(&subject).await;
    within(drains).await.unwrap();
    let (subject, _server, _port) = asked(1).await;
    subject.handle.pause();
    let mut status = subject.handle.watch();
    within(status.wait_for(|status| status.state == State::Paused)).await.unwrap();
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
}

#[tokio::test]
async fn what_clients_send_while_a_drain_spreads_its_closes_is_counted_in_the_log() {
    let (log, _listening) = Log::listen();
    let (subject, port) = server(r#", "drain_spread": 50"#).await;
    let mut clients = [port.client().await, port.client().await];
    subject.front_is_done().await;
    let handle = subject.handle.clone();
    within(handle.drain()).await;
    for ws in &mut clients {
        ws.send(text(1)).await.unwrap();
        ws.send(text(2)).await.unwrap();
    }
    let latest = Instant::now() + Duration::from_secs(60);
    let drain = tokio::spawn(async move { handle.let_go(latest).await });
    for ws in &mut clients {
        assert_eq!(close_code(ws).await, 1001);
    }
    drop(clients);
    within(drain).await.unwrap();
    let line = "4 messages of 2 connections came when the drain took no more and were thrown away";
    assert!(log.text().contains(line), "{}", log.text());
}
