//! What is kept when connections, or the server, come to their end.

use super::{
    super::peers::{close_code, head},
    *,
};
use tokio::io::AsyncWriteExt;
use tremor_codec::testing::Log;

#[tokio::test]
async fn a_replay_that_a_drain_cuts_off_is_told_in_the_log() {
    let (log, _listening) = Log::listen();
    let hurry = r#", "replay": {"bytes": 100000000}, "drain_timeout": 50"#;
    let (mut subject, port) = server(hurry).await;
    for _ in 0..4 {
        subject.give_to(BROADCAST, "x".repeat(8 << 20).into()).await;
    }
    let mut slow = port.slow_tcp().await;
    let request = upgrade("here", "").replace("GET / ", "GET /?last_received=0 ");
    slow.write_all(request.as_bytes()).await.unwrap();
    head(&mut slow).await;
    let opened = told(&mut subject, "opened").await;
    let conn = opened.payload.value().get("conn").unwrap();
    subject.front_is_done().await;
    within(subject.handle.let_go(tokio::time::Instant::now() + std::time::Duration::from_secs(60))).await;
    let log = log.text();
    let line = log.lines().find(|line| line.contains("the drain cut off 1 connection")).expect(&log);
    let (_, messages) = line.split_once(" whose peers do not read fast enough: ").unwrap();
    let (messages, _) = messages.split_once(" message").unwrap();
    assert!((1..=4).contains(&messages.parse::<u64>().unwrap()), "{line}");
    let who = format!("connection {conn} with {}", slow.local_addr().unwrap());
    assert!(line.ends_with(&who), "{line}");
}

#[tokio::test]
async fn what_is_kept_for_those_who_are_away_is_told_when_it_is_lost() {
    let (log, _listening) = Log::listen();
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    subject.deliver(0, answer(&asked, "had")).await;
    next(&mut ada).await;
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut still_there, _) = come(&port, "/staff?token=b").await;
    for number in 0..5 {
        assert!(is_acknowledged(&subject, 0, answer(&asked, number)).await);
    }
    subject.give_to(BROADCAST, "all".into()).await;
    expect(&mut still_there, &[r#""all""#]).await;
    within(subject.handle.stop()).await;
    let log = log.text();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(" kept for ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("] 6 messages that were kept for 1 client of route "), "{log}");
    assert!(lines[0].ends_with("who is away, went with the connector"), "{log}");
}

#[tokio::test]
async fn a_server_that_begins_anew_says_so() {
    let port = Port::reserve();
    let definition = server_definition(&port, r#", "replay": true"#);
    let mut subject = Subject::started_with(&definition, PORTS).await;
    let (mut ws, _) = come(&port, "/").await;
    subject.give_to(BROADCAST, 1.into()).await;
    let last = expect(&mut ws, &["1"]).await;
    subject.give_to(2, json(r#"{"kind": "drain"}"#)).await;
    assert_eq!(close_code(&mut ws).await, 1001);
    drop(ws);
    within(subject.handle.stop()).await;
    drop(subject);
    let mut subject = Subject::started_with(&definition, PORTS).await;
    let (mut ws, greeting) = come(&port, &format!("/?last_received={last}")).await;
    assert_eq!(greeting.gap, Some((last + 1, greeting.after)));
    subject.give_to(BROADCAST, 2.into()).await;
    assert!(expect(&mut ws, &["2"]).await > last);
}
