//! What becomes of more than a queue has room for: a policy acts where the socket is full, and not before.

use super::outgoing::{Hall, flood};
use super::peers::{Port, close_code, next_text};
use super::tls::files;
use crate::harness::{Subject, definition, within};
use tremor_event::EventBatch;
use tremor_value::Value;

const IN: usize = 0;
const BROADCAST: usize = 1;
const POLICIES: [&str; 4] = ["drop_newest", "drop_oldest", "conflate", "close"];
/// Many times what the queues have room for.
const BATCH: u64 = 300;

fn queue(policy: &str) -> String {
    format!(r#", "send_queue": {{"messages": 8, "bytes": 16777216, "policy": "{policy}"}}"#)
}

/// As many numbers at once.
fn batch(subject: &mut Subject) -> EventBatch {
    let events = (0..BATCH).map(|number| subject.event(number.into())).collect();
    EventBatch { events, bytes: 0 }
}

/// Hands `from` a batch at once, all of which comes to `to`.
async fn all_arrive(from: &mut Subject, port: usize, to: &mut Subject, what: &str) {
    let batch = batch(from);
    within(from.way_in().deliver(port, batch)).await;
    for number in 0..BATCH {
        assert_eq!(to.next_value().await, number.to_string(), "{what}");
    }
    let taken = from.handle.taken();
    assert_eq!((taken.dropped, taken.failed), (0, 0), "{what}");
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_arrives_whole_where_the_socket_takes_it() {
    let files = files();
    let (cert, key) = (files.cert.display(), files.key.display());
    let secure = format!(r#", "tls": {{"cert": "{cert}", "key": "{key}"}}"#);
    let trusting = format!(r#", "tls": {{"cafile": "{cert}", "domain": "localhost"}}"#);
    for policy in POLICIES {
        for (scheme, of_server, of_client) in [
            ("ws", "", ""),
            ("wss", secure.as_str(), trusting.as_str()),
            ("ws", r#", "http2": true"#, r#", "http2": "prior_knowledge""#),
        ] {
            let (address, queue) = (Port::reserve().address(), queue(policy));
            let of_server = format!(r#"{{"url": "{scheme}://{address}"{of_server}{queue}}}"#);
            let of_client = format!(r#"{{"url": "{scheme}://{address}/"{of_client}{queue}}}"#);
            let mut server = Subject::started(&definition("ws_server", &of_server, r#""json""#, "")).await;
            let mut client = Subject::started(&definition("ws_client", &of_client, r#""json""#, "")).await;
            client.give("0").await;
            server.next_event().await;
            all_arrive(&mut client, IN, &mut server, &of_client).await;
            all_arrive(&mut server, BROADCAST, &mut client, &of_server).await;
        }
    }
}

#[tokio::test]
async fn who_does_not_read_gets_the_policy_and_takes_nothing_from_the_others() {
    for policy in POLICIES {
        let mut hall = Hall::new(&queue(policy), &["/slow", "/", "/"]).await;
        let closes = policy == "close";
        flood(&hall, IN, |_| "{}".to_owned(), 5).await;
        let before = hall.subject.handle.taken();
        let batch = batch(&mut hall.subject);
        within(hall.subject.way_in().deliver(BROADCAST, batch)).await;
        let mut slow = hall.clients.remove(0).1;
        for (_, ws) in &mut hall.clients {
            for number in 0..BATCH {
                assert_eq!(next_text(ws).await, number.to_string(), "{policy}");
            }
        }
        if closes {
            assert_eq!(close_code(&mut slow).await, 1008);
        } else {
            let dropped = hall.subject.handle.taken().dropped - before.dropped;
            assert!(dropped >= BATCH - 8, "{policy}: {dropped}");
        }
    }
}

/// A message that reaches beyond the bytes there are is waited for as well.
#[tokio::test]
async fn bytes_count_like_messages() {
    for policy in POLICIES {
        let queue = format!(r#", "send_queue": {{"bytes": 16, "policy": "{policy}"}}"#);
        let mut hall = Hall::new(&queue, &["/", "/"]).await;
        let texts: Vec<String> = (0..BATCH).map(|number| format!("\"{number} xxxxxxxxxx\"")).collect();
        let events = texts.iter().map(|text| {
            let text = text.trim_matches('"').to_owned();
            hall.subject.event(Value::from(text))
        });
        let batch = EventBatch { events: events.collect(), bytes: 0 };
        within(hall.subject.way_in().deliver(BROADCAST, batch)).await;
        assert_eq!(hall.heard().await, [texts.clone(), texts], "{policy}");
    }
}
