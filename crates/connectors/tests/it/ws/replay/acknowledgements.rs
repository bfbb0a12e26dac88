//! What clients acknowledge: they go on behind that, and it makes room.

use super::*;

#[tokio::test]
async fn who_acknowledges_goes_on_behind_that_without_saying_where() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    let (_bob, _) = come(&port, "/staff?token=b").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    for payload in ["one", "two", "three"] {
        subject.deliver(0, answer(&asked, payload)).await;
    }
    let third = expect(&mut ada, &[r#""one""#, r#""two""#, r#""three""#]).await;
    for ack in [
        format!(r#"{{"ack": {}}}"#, third - 1),
        format!(r#"{{"ack":{}}}"#, u64::MAX),
        r#"{"ack":0}"#.to_owned(),
        format!(r#"{{"ack":{}}}"#, third - 2),
    ] {
        ada.send(text(ack)).await.unwrap();
    }
    for _ in 0..5000 {
        ada.send(text(format!(r#"{{"ack":{}}}"#, third - 1))).await.unwrap();
    }
    // The flow sees nothing of it, and what only looks like that it does see.
    for like_one in
        [r#"{"ack":"x"}"#, r#"{"ack":-1}"#, r#"{"ack":1.5}"#, r#"{"ack":null}"#, r#"{"ack":1,"a":2}"#]
    {
        ada.send(text(like_one)).await.unwrap();
        assert_eq!(event(&mut subject).await.payload.value().to_string(), like_one);
    }
    ada.send(text(r#"{"ack":1e99}"#)).await.unwrap();
    assert_eq!(event(&mut subject).await.payload.value().get("ack"), Some(&Value::from(1e99)));
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut ada, greeting) = come(&port, "/staff?token=a").await;
    assert_eq!((greeting.after, greeting.gap), (third - 1, None));
    expect(&mut ada, &[r#""three""#]).await;
    let (_ws, greeting) = come(&port, "/staff?token=b").await;
    assert_eq!(greeting.after, greeting.last, "that was somebody else");
    // What was acknowledged is not there any more, and what was not is.
    let (mut again, _) = come(&port, "/staff?token=a&last_received=0").await;
    expect(&mut again, &[r#""three""#]).await;
}

#[tokio::test]
async fn an_acknowledgement_makes_room_of_what_was_sent_by_identity() {
    let (mut subject, port) = server(&guarded(r#"{"messages": 4}"#)).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    let (bob, start) = come(&port, "/staff?token=b").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    let to = |name: &str, number: u64| {
        for_those(&asked, &format!(r#"{{"where": {{"identity": "{name}"}}}}"#), number)
    };
    let numbers = ["1", "2", "3", "4"];
    for number in 1..=4 {
        subject.deliver(0, to("ada", number)).await;
    }
    let last = expect(&mut ada, &numbers).await;
    ada.send(text(format!(r#"{{"ack":{last}}}"#))).await.unwrap();
    ada.send(text(2)).await.unwrap();
    event(&mut subject).await;
    drop(bob);
    told(&mut subject, "closed").await;
    for number in 1..=4 {
        subject.deliver(0, to("bob", number)).await;
    }
    let (mut bob, greeting) = come(&port, &format!("/staff?token=b&last_received={}", start.last)).await;
    assert_eq!(greeting.gap, None);
    expect(&mut bob, &numbers).await;
}

#[tokio::test]
async fn where_no_texts_are_taken_an_acknowledgement_is_binary() {
    for (accept, is_taken) in [("binary", true), ("any", false)] {
        let (mut subject, port) = server(&format!(r#"{}, "accept": "{accept}""#, guarded("true"))).await;
        let (mut ada, _) = come(&port, "/staff?token=a").await;
        for payload in [r#"{"ack":0}"#, "1"] {
            ada.send(Message::Binary(payload.into())).await.unwrap();
        }
        let expected = if is_taken { "1" } else { r#"{"ack":0}"# };
        assert_eq!(event(&mut subject).await.payload.value().to_string(), expected, "{accept}");
    }
}
