//! What is told of the ends of connections, by events and in the log, and what comes behind them.

use super::{
    client_opening::start,
    peers::{Port, accept, client, close_code, of_server, server, text},
    tls::{files, secure_server},
    warnings::Told,
};
use crate::harness::{Seen, Subject, definition, within};
use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use std::time::Duration;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    sync::oneshot,
    time::Instant,
};
use tremor_value::Value;

/// The record `closed` of the next event, which has to come on `err`.
async fn closed(subject: &mut Subject) -> Value {
    match subject.next().await {
        Seen::Event("err", event) => event.payload.value().get("closed").cloned().unwrap(),
        other => panic!("not an end that was not clean: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_tls_ends_a_connection_with_1015() {
    let files = files();
    let (mut subject, port) = secure_server(&files).await;
    let way = Port::reserve();
    let listener = way.listen();
    let (cut, cutting) = oneshot::channel::<()>();
    let relay = tokio::spawn(async move {
        let mut outer = within(listener.accept()).await.unwrap().0;
        let mut inner = port.tcp().await;
        tokio::select! {
            _ended = copy_bidirectional(&mut outer, &mut inner) => panic!("too early"),
            _now = cutting => {}
        }
        inner.write_all(b"\x17\x03\x03\x00\x20 nobody has encrypted this with it").await.unwrap();
        // The sockets outlive what is told of the end.
        (outer, inner)
    });
    let config = format!(
        r#"{{"url": "wss://{}", "tls": {{"cafile": "{}", "domain": "localhost"}}}}"#,
        way.address(),
        files.cert.display()
    );
    let mut client = Subject::started(&definition("ws_client", &config, r#""json""#, "")).await;
    client.give("1").await;
    assert_eq!(subject.next_value().await, "1");
    cut.send(()).unwrap();
    let _sockets = within(relay).await.unwrap();
    let closed = closed(&mut subject).await;
    let shown = ["code", "clean", "by"].map(|name| closed.get(name).unwrap().to_string());
    assert_eq!(shown, ["1015", "false", r#""error""#], "{closed}");
}

#[tokio::test]
async fn the_log_tells_of_an_end_by_the_number_that_the_flow_knows() {
    let told = Told::default();
    let _listening = tracing::subscriber::set_default(told.clone());
    let (mut subject, port) = server("").await;
    // The numbers of other connections are others.
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(port.client().await);
    }
    let mut ws = port.client().await;
    ws.send(text(1)).await.unwrap();
    let conn = of_server(&subject.next_event().await).get("conn").unwrap().clone();
    drop(ws);
    let line = format!("connection {conn} with 127.0.0.1:");
    within(async {
        while !told.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(told.text().matches(" ended: ").count(), 1, "{}", told.text());
}

#[tokio::test]
async fn a_server_without_room_is_given_more_time_each_time() {
    let port = Port::reserve();
    let listener = port.listen();
    let grows = r#"{"retry": {"interval_ms": 20, "growth_rate": 25, "randomized": false}}"#;
    let subject = client(&port, r#", "stable_after": 0"#, grows);
    subject.open();
    let started = start(&subject);
    let mut ended = None;
    for code in [1012, 1013] {
        let mut ws = accept(&listener).await;
        ended = Some(Instant::now());
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        ws.send(Message::Close(Some(frame))).await.unwrap();
        assert_eq!(close_code(&mut ws).await, 1000);
    }
    let _third = accept(&listener).await;
    assert!(ended.unwrap().elapsed() >= Duration::from_millis(500), "20 ms, then 25 times that");
    within(started).await.unwrap().unwrap();
}
