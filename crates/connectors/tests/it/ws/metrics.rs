//! What WebSocket connectors publish of themselves.

use super::{
    peers::{Port, accept, client_definition, head, server_definition, text, upgrade},
    tls::{Files, files},
};
use crate::harness::{Linked, Seen, Subject, definition, json, within};
use async_tungstenite::tungstenite::Message;
use futures_util::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tremor_connector::{
    Definition,
    metrics::{Metric, MetricsReader},
};
use tremor_event::Event;
use tremor_value::Value;

/// The same connector, measured. What it publishes at the end is looked at, so the interval is of no importance.
pub(super) fn measured(definition: Definition) -> Definition {
    Definition { metrics_interval_s: Some(json("3600")), ..definition }
}

/// What was published last: value, or count of a histogram, by name and tags but those that all have in common.
async fn last(metrics: MetricsReader) -> BTreeMap<String, String> {
    last_but(&["connector", "flow", "tls"], metrics).await
}

/// The same, with all tags but these.
async fn last_but(hidden: &[&str], mut metrics: MetricsReader) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    while let Some(Some(published)) = metrics.next().now_or_never() {
        for metric in &*published {
            let member = |name: &str| metric.value.get(name).unwrap();
            let tags = member("tags").as_record().unwrap();
            let tags = tags.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
            let tags: Vec<_> = tags.map(|(_, value)| value.as_str().unwrap()).collect();
            let fields = member("fields");
            let value = fields.get("value").or_else(|| fields.get("count")).unwrap();
            let name = format!("{} {}", member("measurement").as_str().unwrap(), tags.join("|"));
            seen.insert(name, value.to_string());
        }
    }
    seen
}

#[track_caller]
pub(super) fn expect(seen: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(seen.get(*name).map(String::as_str), Some(*value), "{name} in {seen:#?}");
    }
}

/// Stops the connector; gives what it published in the end.
pub(super) async fn stopped(subject: Subject) -> BTreeMap<String, String> {
    let Subject { metrics, handle, .. } = subject;
    within(handle.stop()).await;
    last(metrics).await
}

/// Waits for the next event but those of port `control`.
async fn next_data(subject: &mut Subject) {
    while matches!(subject.next().await, Seen::Event("control", _)) {}
}

#[tokio::test]
async fn a_server_tells_of_connections_refusals_messages_and_ends() {
    let port = Port::reserve();
    let config = r#", "routes": [{"when": [{"path": "/a"}], "exit": "left"}], "auto_ping_interval": 20"#;
    let definition = measured(server_definition(&port, config));
    let mut subject = Subject::started_with(&definition, Linked::With(&["left", "control"])).await;
    let mut refused = port.tcp().await;
    refused.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    assert!(head(&mut refused).await.starts_with("HTTP/1.1 404 "));
    drop(refused);
    assert_eq!(subject.next_told().await.payload.value().get("kind").unwrap().as_str(), Some("rejected"));
    let (mut first, mut second) = (port.client_at("/a").await, port.client_at("/a").await);
    within(first.send(text("[1]"))).await.unwrap();
    within(first.send(Message::binary(&b"2"[..]))).await.unwrap();
    within(first.send(text("no JSON"))).await.unwrap();
    for _ in 0..3 {
        next_data(&mut subject).await;
    }
    // A ping of ours, which the client answers when it is read.
    while !matches!(within(first.next()).await, Some(Ok(Message::Ping(_)))) {}
    within(first.send(text("3"))).await.unwrap();
    next_data(&mut subject).await;
    within(first.close(None)).await.unwrap();
    while within(first.next()).await.is_some_and(|next| next.is_ok()) {}
    within(second.get_mut().get_mut().write_all(b"\xff\xff")).await.unwrap();
    while within(second.next()).await.is_some_and(|next| next.is_ok()) {}
    let seen = stopped(subject).await;
    expect(
        &seen,
        &[
            ("ws.connections.active left|0|in", "0"),
            ("ws.connections.opened left|0|in", "2"),
            ("ws.handshake.rejected -|-|in|404|no_route", "1"),
            ("ws.handshake.pending -|-|in", "0"),
            ("ws.handshake.duration -|-|in", "2"),
            ("ws.messages left|0|in|text", "3"),
            ("ws.messages left|0|in|binary", "1"),
            ("ws.bytes left|0|in|payload", "12"),
            ("ws.message.size left|0|in", "4"),
            ("ws.errors left|0|in|protocol", "1"),
            ("ws.errors left|0|in|codec", "1"),
            ("ws.queue.depth left|0|out", "0"),
            ("ws.queue.dropped left|0|out|block", "0"),
            ("ws.ping.timeouts left|0|out", "0"),
        ],
    );
    assert!(seen.keys().any(|name| name.starts_with("ws.ping.rtt left|0|out")), "{seen:#?}");
    let closed = seen.keys().filter(|name| name.starts_with("ws.connections.closed left|0|in|")).count();
    assert_eq!(closed, 2, "{seen:#?}");
}

#[tokio::test]
async fn compressed_messages_have_a_ratio_and_those_that_are_sent_count() {
    let port = Port::reserve();
    let compressing = r#", "compression": {"deflate": {}}"#;
    let mut server = Subject::started(&measured(server_definition(&port, compressing))).await;
    let mut client = Subject::started(&client_definition(&port, compressing, "null")).await;
    let long = format!("\"{}\"", "a".repeat(5000));
    client.give(&long).await;
    let event = server.next_event().await;
    server.deliver(0, event).await;
    assert_eq!(client.next_value().await, long);
    client.handle.stop().await;
    let seen = stopped(server).await;
    expect(&seen, &[("ws.messages out|-|out|text", "1"), ("ws.bytes out|-|out|payload", "5002")]);
    for direction in ["in", "out"] {
        let ratio: f64 = seen[&format!("ws.compression.ratio out|-|{direction}")].parse().unwrap();
        assert!(ratio > 20.0, "{ratio}");
    }
}

#[tokio::test]
async fn a_client_tells_of_its_attempts_to_connect_again() {
    let port = Port::reserve();
    let listener = port.listen();
    let reconnect = r#"{"retry": {"interval_ms": 1, "max_retries": 5}}"#;
    let mut subject =
        Subject::new(&measured(client_definition(&port, "", reconnect)), Linked::Fully).unwrap();
    subject.open();
    let start = subject.handle.clone();
    let started = tokio::spawn(async move { start.start().await });
    let first = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    drop(first);
    let mut second = accept(&listener).await;
    within(second.send(text("1"))).await.unwrap();
    while !matches!(subject.next().await, Seen::Event("out", _)) {}
    let seen = stopped(subject).await;
    expect(&seen, &[("ws.reconnects -|-|out|ok", "1"), ("ws.connections.opened out|-|out", "2")]);
}

/// A server with TLS in one of two places, whose clients come with the token `good`.
async fn half_encrypted(files: &Files, plain: &Port, encrypted: &Port) -> Subject {
    let pair = format!(r#""tls": {{"cert": "{}", "key": "{}"}}"#, files.cert.display(), files.key.display());
    let places = format!(r#""listen": ["ws://{}", "{}"]"#, plain.address(), encrypted.address());
    let guards = r#""guards": {"g": {"type": "bearer", "options": {"tokens": {"good": {}}}}},
        "credentials": {"query": {"t": "{credentials}"}}, "routes": [{"guarded": {"g": []}, "exit": "left"}]"#;
    let config = format!("{{{places}, {pair}, {guards}}}");
    let server = measured(definition("ws_server", &config, r#""json""#, ""));
    Subject::started_with(&server, Linked::With(&["left"])).await
}

#[tokio::test]
async fn what_is_encrypted_counts_apart() {
    let files = files();
    let (plain, encrypted) = (Port::reserve(), Port::reserve());
    let mut server = half_encrypted(&files, &plain, &encrypted).await;
    let url = |scheme: &str, port: &Port, token: &str| {
        format!(r#""url": "{scheme}://{}/?t={token}""#, port.address())
    };
    let trusts =
        |domain: &str| format!(r#", "tls": {{"cafile": "{}", "domain": "{domain}"}}"#, files.cert.display());
    let client = |url: String, tls: &str| {
        measured(definition("ws_client", &format!("{{{url}{tls}}}"), r#""json""#, ""))
    };
    // Not for that name; not with that token.
    for (token, domain) in [("good", "elsewhere"), ("bad", "localhost")] {
        let client =
            Subject::new(&client(url("wss", &encrypted, token), &trusts(domain)), Linked::Fully).unwrap();
        within(client.handle.start()).await.unwrap_err();
        let Subject { metrics, handle, .. } = client;
        within(handle.stop()).await;
        let seen = last_but(&["connector", "flow"], metrics).await;
        let failed = seen.get("ws.tls.failed -|-|true|out|certificate").map(String::as_str);
        assert_eq!(failed, (domain == "elsewhere").then_some("1"), "{seen:#?}");
    }
    let told = ["connector", "flow"];
    for (url, tls) in
        [(url("wss", &encrypted, "good"), trusts("localhost")), (url("ws", &plain, "good"), String::new())]
    {
        let mut client = Subject::started(&client(url, &tls)).await;
        client.give("1").await;
        let Seen::Event(_, event) = server.next().await else { panic!("no event") };
        server.deliver(0, event).await;
        assert_eq!(client.next_value().await, "1");
        let Subject { metrics, handle, .. } = client;
        within(handle.stop()).await;
        let (seen, tls) = (last_but(&told, metrics).await, !tls.is_empty());
        let of = |name: &str, rest: &str| format!("{name}|{tls}|{rest}");
        expect(
            &seen,
            &[
                (&of("ws.connections.opened out|-", "out"), "1"),
                (&of("ws.messages out|-", "out|text"), "1"),
                (&of("ws.messages out|-", "in|text"), "1"),
                (&of("ws.handshake.duration -|-", "out"), "1"),
                (&of("ws.handshake.pending -|-", "out"), "0"),
            ],
        );
        assert!(!seen.contains_key(&format!("ws.connections.opened out|-|{}|out", !tls)), "{seen:#?}");
    }
    let Subject { metrics, handle, .. } = server;
    within(handle.stop()).await;
    let seen = last_but(&told, metrics).await;
    for tls in [false, true] {
        let of = |name: &str, rest: &str| format!("{name}|{tls}|{rest}");
        expect(
            &seen,
            &[
                (&of("ws.connections.opened left|0", "in"), "1"),
                (&of("ws.messages left|0", "in|text"), "1"),
                (&of("ws.messages left|0", "out|text"), "1"),
                (&of("ws.bytes left|0", "in|payload"), "1"),
                (&of("ws.handshake.duration -|-", "in"), "1"),
                (&of("ws.handshake.pending -|-", "in"), "0"),
            ],
        );
    }
    // All that was refused came over TLS.
    expect(
        &seen,
        &[
            ("ws.tls.failed -|-|true|in|handshake", "1"),
            ("ws.guard.failed -|-|true|in|g|unknown_token", "1"),
            ("ws.handshake.rejected -|-|true|in|401|unknown_token", "1"),
        ],
    );
    assert!(!seen.keys().any(|name| name.starts_with("ws.handshake.rejected -|-|false")), "{seen:#?}");
}

#[tokio::test]
async fn what_cannot_be_decoded_counts_where_it_came() {
    let port = Port::reserve();
    let config = r#", "routes": [{"when": [{"path": "/a"}], "exit": "left"}, {"when": [{"path": "/b"}], "exit": "right"}]"#;
    let server = measured(server_definition(&port, config));
    let mut subject = Subject::started_with(&server, Linked::With(&["left", "right"])).await;
    let (mut left, mut right) = (port.client_at("/a").await, port.client_at("/b").await);
    for (client, messages) in [(&mut left, ["1", "x", "y"]), (&mut right, ["x", "1", "2"])] {
        for message in messages {
            within(client.send(text(message))).await.unwrap();
        }
    }
    for _ in 0..6 {
        next_data(&mut subject).await;
    }
    // That a connection was broken off is no error of decoding.
    within(left.get_mut().get_mut().shutdown()).await.unwrap();
    next_data(&mut subject).await;
    let seen = stopped(subject).await;
    expect(&seen, &[("ws.errors left|0|in|codec", "2"), ("ws.errors right|1|in|codec", "1")]);
    assert_eq!(seen.keys().filter(|name| name.ends_with("|codec")).count(), 2, "{seen:#?}");
}

/// A frame of a text that goes on, with a mask that changes nothing.
fn begins(text: &str) -> Vec<u8> {
    [&[0x01, 0xff], &(text.len() as u64).to_be_bytes()[..], &[0; 4], text.as_bytes()].concat()
}

#[tokio::test]
async fn large_messages_of_all_connections_take_what_they_may_and_those_beyond_are_refused() {
    const MIB: usize = 1 << 20;
    let port = Port::reserve();
    let definition = measured(server_definition(&port, r#", "max_large_messages_size": 8388608"#));
    let mut subject = Subject::started_with(&definition, Linked::With(&["out"])).await;
    // Two messages of 3 MiB are begun, which leaves 2 to the third one.
    let (mut begun, message) = (Vec::new(), format!("\"{}", "x".repeat(3 * MIB - 1)));
    for _ in 0..2 {
        let mut ws = port.client().await;
        let tcp = ws.get_mut().get_mut();
        within(tcp.write_all(&begins(&message))).await.unwrap();
        // What is answered behind that has been read behind it.
        within(tcp.write_all(b"\x89\x80\0\0\0\0")).await.unwrap();
        assert!(matches!(within(ws.next()).await, Some(Ok(Message::Pong(_)))));
        begun.push(ws);
    }
    let mut refused = port.client().await;
    let (mut reading, mut writing) = tokio::io::split(refused.get_mut().get_mut());
    let sent = async { drop(writing.write_all(&begins(&message)).await) };
    let mut answer = Vec::new();
    let ((), read) = within(async { tokio::join!(sent, reading.read_to_end(&mut answer)) }).await;
    // A peer that is busy sending may see the end and not what came before it.
    let _ended_or_reset = read;
    let told = b"large messages would take more than 8388608 bytes together";
    assert!(
        answer.is_empty() || answer.starts_with(&[0x88, 60, 0x03, 0xf5]) && answer.ends_with(told),
        "{answer:?}"
    );
    // What is small has its way meanwhile, and those who came first have theirs.
    let mut small = port.client().await;
    within(small.send(text("7"))).await.unwrap();
    let mut seen = BTreeMap::new();
    for _ in 0..2 {
        let Seen::Event(port, event) = subject.next().await else { panic!("no event") };
        seen.insert(port.to_string(), event.payload.value().clone());
    }
    assert_eq!(seen["out"].to_string(), "7");
    assert_eq!(seen["err"].get("closed").unwrap().get("code").unwrap().to_string(), "1013");
    for mut ws in begun {
        within(ws.get_mut().get_mut().write_all(b"\x80\x81\0\0\0\0\"")).await.unwrap();
        subject.next_value().await;
    }
    let seen = stopped(subject).await;
    expect(&seen, &[("ws.errors out|-|in|size", "1"), ("ws.connections.closed out|-|in|1013|error", "1")]);
}

#[tokio::test]
async fn nothing_is_published_where_nobody_asked() {
    let port = Port::reserve();
    let subject = Subject::started(&server_definition(&port, "")).await;
    let _client = port.client().await;
    assert!(stopped(subject).await.is_empty());
}

#[tokio::test]
async fn opening_messages_count_as_what_they_are() {
    let port = Port::reserve();
    let listener = port.listen();
    let greeting = r#", "open_message": ["hello", {"binary": "AQI="}], "expect": {"contains": "ok"}"#;
    let definition = measured(client_definition(&port, greeting, "null"));
    let mut subject = Subject::new(&definition, Linked::Fully).unwrap();
    subject.open();
    let start = subject.handle.clone();
    let started = tokio::spawn(async move { start.start().await });
    let mut peer = accept(&listener).await;
    for _ in 0..2 {
        within(peer.next()).await.unwrap().unwrap();
    }
    within(peer.send(text("\"ok\""))).await.unwrap();
    within(started).await.unwrap().unwrap();
    next_data(&mut subject).await;
    let seen = stopped(subject).await;
    expect(
        &seen,
        &[
            ("ws.messages out|-|out|text", "1"),
            ("ws.messages out|-|out|binary", "1"),
            ("ws.bytes out|-|out|payload", "7"),
            // Each with a head of 6 bytes, and a Close with a code.
            ("ws.bytes out|-|out|wire", "27"),
            ("ws.message.size out|-|out", "2"),
            ("ws.messages out|-|in|text", "1"),
            ("ws.bytes out|-|in|payload", "4"),
        ],
    );
}

#[tokio::test]
async fn what_queues_leave_out_is_told_by_their_policies() {
    let port = Port::reserve();
    let route = |path: &str, policy: &str| {
        format!(
            r#"{{"when": [{{"path": "{path}"}}], "exit": "left",
                "options": {{"send_queue": {{"messages": 2, "bytes": 16777216, "policy": "{policy}"}}}}}}"#
        )
    };
    let routes =
        format!(r#", "routes": [{}, {}]"#, route("/new", "drop_newest"), route("/old", "drop_oldest"));
    let definition = measured(server_definition(&port, &routes));
    let mut subject = Subject::started_with(&definition, Linked::With(&["left"])).await;
    let mut peers = [port.client_at("/new").await, port.client_at("/old").await];
    for ws in &mut peers {
        within(ws.send(text(1))).await.unwrap();
        next_data(&mut subject).await;
    }
    let filler = "x".repeat(1 << 20);
    // More than the system takes of it: the peers read nothing.
    for _ in 0..40 {
        subject.give_to(1, filler.as_str().into()).await;
    }
    let [newest, oldest, conflated] = subject.handle.taken().left_out;
    assert!(newest > 0 && oldest > 0 && conflated == 0);
    let seen = stopped(subject).await;
    let told: Vec<_> = seen.iter().filter(|(name, _)| name.starts_with("ws.queue.dropped")).collect();
    assert_eq!(
        told,
        [
            (&"ws.queue.dropped left|0|out|drop_newest".to_owned(), &newest.to_string()),
            (&"ws.queue.dropped left|1|out|drop_oldest".to_owned(), &oldest.to_string()),
        ]
    );
}

#[tokio::test]
async fn what_a_peer_loses_that_is_given_up_is_left_out_by_close_whatever_the_policy() {
    for (policy, own) in [("block", Some("0")), ("close", None)] {
        let port = Port::reserve();
        let queue = format!(
            r#", "send_queue": {{"messages": 2, "bytes": 16777216, "policy": "{policy}"{}}}"#,
            if policy == "block" { r#", "block_timeout": 1"# } else { "" }
        );
        let mut subject = Subject::started(&measured(server_definition(&port, &queue))).await;
        let mut ws = port.client().await;
        within(ws.send(text(1))).await.unwrap();
        subject.next_event().await;
        let filler = "x".repeat(1 << 20);
        // More than the system takes of it: the peer reads nothing.
        for _ in 0..40 {
            subject.give_to(1, filler.as_str().into()).await;
        }
        let taken = subject.handle.taken();
        assert!(taken.discarded >= 1 && taken.discarded <= 40, "{policy}: {taken:?}");
        assert!(taken.passed_over >= 1 && taken.passed_over == taken.dropped, "{policy}: {taken:?}");
        let seen = stopped(subject).await;
        let discarded: u64 = seen["ws.queue.dropped out|-|out|close"].parse().unwrap();
        assert!(discarded >= taken.discarded, "{policy}: {seen:?}");
        let left_out = seen.get("ws.queue.dropped out|-|out|block").map(String::as_str);
        assert_eq!(left_out, own, "{policy}");
    }
}

#[tokio::test]
async fn what_waits_is_told_where_it_waits() {
    let port = Port::reserve();
    let config = r#", "send_queue": {"messages": 100, "bytes": 67108864},
        "routes": [{"when": [{"path": "/a"}], "exit": "left"}, {"when": [{"path": "/b"}], "exit": "right"}]"#;
    let often = Some(json("1"));
    let definition = Definition { metrics_interval_s: often, ..server_definition(&port, config) };
    let mut subject = Subject::started_with(&definition, Linked::With(&["left", "right"])).await;
    let mut asked = None;
    let mut peers = Vec::new();
    for path in ["/a", "/b"] {
        let mut ws = port.client_at(path).await;
        within(ws.send(text(1))).await.unwrap();
        let Seen::Event(_, event) = subject.next().await else { panic!("no event") };
        asked = Some(event);
        peers.push(ws);
    }
    // More than the system takes of it: the last one reads nothing.
    let event = Event { payload: Value::from("x".repeat(1 << 20)).into(), ..asked.unwrap() };
    for _ in 0..40 {
        subject.deliver(0, event.clone()).await;
    }
    within(async {
        loop {
            let published = subject.metrics.next().await.unwrap();
            let of = |port: &str| {
                let is_it = |metric: &&Metric| {
                    let tags = metric.value.get("tags").unwrap();
                    metric.value.get("measurement") == Some(&"ws.queue.depth".into())
                        && tags.get("port") == Some(&port.into())
                };
                let depth = published.iter().find(is_it)?;
                depth.value.get("fields")?.get("value")?.as_u64()
            };
            let waiting = subject.handle.taken().waiting;
            if of("right") == Some(waiting) && waiting > 1 {
                assert_eq!((of("left"), of("-")), (Some(0), None));
                return;
            }
        }
    })
    .await;
}
