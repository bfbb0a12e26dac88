//! What is told of single messages (`spec/websocket.md` 15).

use super::peers::{Port, accept, client, close_code, echo, next_text, of_server, server, text};
use crate::harness::{Seen, Subject, json, within};
use async_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};
use tremor_event::Event;
use tremor_value::Value;

fn told(of_kind: &Value) -> [Value; 4] {
    ["seq", "size", "frames", "compressed"].map(|name| of_kind.get(name).cloned().unwrap())
}

/// `[seq, size, frames, compressed]` of a message that a server was sent.
fn told_by_server(event: &Event) -> String {
    Value::from(told(&of_server(event)).to_vec()).to_string()
}

#[tokio::test]
async fn messages_of_a_connection_are_numbered_from_one() {
    let (mut subject, port) = server("").await;
    let (mut one, mut two) = (port.client().await, port.client().await);
    one.send(text("1")).await.unwrap();
    assert_eq!(told_by_server(&subject.next_event().await), "[1,1,1,false]");
    one.send(text("no json")).await.unwrap();
    let Seen::Event("err", failed) = subject.next().await else { panic!("it was decoded") };
    assert_eq!(told_by_server(&failed), "[2,7,1,false]", "what could not be decoded is counted");
    assert!(failed.meta.get("error").is_some());
    one.send(Message::binary("\"three\"")).await.unwrap();
    let binary = subject.next_event().await;
    assert_eq!(told_by_server(&binary), "[3,7,1,false]");
    assert_eq!(of_server(&binary).get("binary"), Some(&Value::from(true)));
    two.send(text("1")).await.unwrap();
    assert_eq!(told_by_server(&subject.next_event().await), "[1,1,1,false]", "each one counts for itself");
    one.send(text("4")).await.unwrap();
    assert_eq!(told_by_server(&subject.next_event().await), "[4,1,1,false]");
}

#[tokio::test]
async fn fragments_are_counted_and_their_bytes_are_those_of_the_message() {
    let (mut subject, port) = server("").await;
    let mut ws = port.client().await;
    let parts = ["\"frag", "", "ments", "\""];
    for (number, part) in parts.into_iter().enumerate() {
        let opcode = OpCode::Data(if number == 0 { Data::Text } else { Data::Continue });
        let frame = Frame::message(part.as_bytes(), opcode, number + 1 == parts.len());
        ws.send(Message::Frame(frame)).await.unwrap();
        // Control frames in between are no part of it.
        ws.send(Message::Ping("?".into())).await.unwrap();
    }
    let event = subject.next_event().await;
    assert_eq!(event.payload.value().as_str(), Some("fragments"));
    assert_eq!(told_by_server(&event), "[1,11,4,false]");
}

#[tokio::test]
async fn what_a_flow_gives_back_is_found_with_and_without_the_whole_record() {
    for build in [false, true] {
        let (subject, port) = server("").await;
        echo(subject, move |event| {
            if build {
                let whole = event.meta.clone().into_value();
                event.meta = whole.into();
            }
        });
        let mut ws = port.client().await;
        for number in 0..3 {
            ws.send(text(number)).await.unwrap();
            assert_eq!(next_text(&mut ws).await, number.to_string());
        }
    }
}

#[tokio::test]
async fn a_connection_that_comes_back_counts_anew() {
    let port = Port::reserve();
    let listener = port.listen();
    let soon = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;
    let mut subject: Subject = client(&port, "", soon);
    let seqs = async |subject: &mut Subject, count: usize| {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            if let Seen::Event("out", event) = subject.next().await {
                let [seq, _, frames, compressed] = told(event.meta.get("ws_client").unwrap());
                assert_eq!((frames, compressed), (json("1"), json("false")));
                seqs.push(seq.as_u64().unwrap());
            }
        }
        seqs
    };
    let serving = async {
        let mut ws = accept(&listener).await;
        ws.send(text("10")).await.unwrap();
        ws.send(text("11")).await.unwrap();
        ws.close(None).await.unwrap();
        close_code(&mut ws).await;
        let mut ws = accept(&listener).await;
        ws.send(text("12")).await.unwrap();
        ws
    };
    let heard = async {
        subject.handle.start().await.unwrap();
        subject.open();
        (seqs(&mut subject, 2).await, seqs(&mut subject, 1).await)
    };
    let (_ws, heard) = within(async { tokio::join!(serving, heard) }).await;
    assert_eq!(heard, (vec![1, 2], vec![1]));
}
