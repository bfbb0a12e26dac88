//! Connections that cannot be opened, and who hears of it.

use super::*;
use tremor_codec::testing::Log;

#[tokio::test]
async fn a_server_that_cannot_be_reached_ends_the_client_and_fails_its_events() {
    let server = Port::reserve();
    let mut proxy = Proxy::started(&server, "").await;
    for _ in 0..3 {
        assert_eq!(rest(plain_client(&proxy).await).await, BAD_GATEWAY);
        let told = proxy.told("back", "rejected").await;
        let expected = format!("`ws://{}/` was not opened: cannot connect to", server.address());
        assert!(told.get("reason").and_then(Value::as_str).unwrap().starts_with(&expected), "{told}");
        let of = |kind| told.get("meta").and_then(|meta| meta.get(kind)).and_then(|own| own.get("conn"));
        assert_eq!(of("ws_client"), told.get("conn"));
        assert!(of("ws_server").and_then(Value::as_u64).is_some(), "for whom it was: {told}");
    }
    within(async {
        while proxy.back.taken().failed < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // There is no debt left: it goes on with a server that is there.
    let listener = server.listen();
    let (mut client, mut upstream) = pair(&proxy, &listener).await;
    within(upstream.send(text("here"))).await.unwrap();
    assert_eq!(next_text(&mut client).await, "here");
    assert_eq!(proxy.back.taken().written, 1);
}

#[tokio::test]
async fn a_client_for_which_nothing_can_be_opened_is_ended_and_told_of() {
    let server = Port::reserve();
    for (open, problem) in [
        (r#"{"protocol": "a,b"}"#, "subprotocol `a,b` is not a token or is given twice"),
        (r#"{"path": 7}"#, "$ws_client.open.path: expected string"),
        (r#"{"scheme": "file"}"#, "$ws_client.open.scheme: "),
    ] {
        let mut proxy = Proxy::saying(&server, "", "", false, &json(open)).await;
        assert_eq!(rest(plain_client(&proxy).await).await, BAD_GATEWAY, "{open}");
        let told = proxy.told("back", "rejected").await;
        let reason = told.get("reason").and_then(Value::as_str).unwrap();
        assert!(reason.starts_with("$ws_client.open") && reason.contains(problem), "{told}");
        within(async {
            while proxy.back.taken().failed < 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn events_hear_why_their_connection_was_not_opened() {
    let (log, _until_the_end) = Log::listen();
    let (silent, gone) = (Port::reserve(), Port::reserve());
    let listener = silent.listen();
    let definition =
        client_definition(&silent, r#", "per_origin": true, "open_handshake_timeout": 100"#, "null");
    let mut back = made(&definition, &named("back"), &tremor_connectors::registry(false)).unwrap();
    let up = back.link_input().unwrap();
    let back = back.spawn();
    within(back.start()).await.unwrap();
    let said = [
        r#"{"scheme": "wss", "path": "/x?token=secret"}"#.to_owned(),
        format!(r#"{{"authority": "{}"}}"#, gone.address()),
    ];
    for (stream, open) in (1..).zip(&said) {
        let meta = json(&format!(r#"{{"ws_client": {{"open": {open}}}}}"#));
        up.deliver(0, event_of(stream, meta).into()).await;
    }
    // It hears of TLS and says nothing.
    let _held = within(listener.accept()).await.unwrap();
    within(async {
        while back.taken().failed < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = log.text();
    for expected in [
        format!(
            "1 event failed: `wss://{0}/x` was not opened: cannot connect to {0}: no TLS handshake within 100 ms",
            silent.address()
        ),
        format!("1 event failed: `ws://{0}/` was not opened: cannot connect to {0}: ", gone.address()),
    ] {
        assert!(log.contains(&expected), "{expected}: {log}");
    }
    assert!(!log.contains("secret"), "{log}");
}
