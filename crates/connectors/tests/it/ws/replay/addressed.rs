//! For whom messages are kept that are not for everybody.

use super::*;

async fn subject_event(subject: &mut Subject) -> Event {
    loop {
        if let Seen::Event("out", event) = subject.next().await {
            return event;
        }
    }
}

#[tokio::test]
async fn what_is_for_one_identity_is_kept_for_it_and_for_nobody_else() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    let (mut bob, start) = come(&port, "/staff?token=b").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    drop(ada);
    told(&mut subject, "closed").await;
    // The answer finds nobody, but she may come back.
    assert!(is_acknowledged(&subject, 0, answer(&asked, "answer")).await);
    let to_ada = |payload| for_those(&asked, r#"{"where": {"identity": "ada"}}"#, payload);
    assert!(is_acknowledged(&subject, 0, to_ada("mail")).await);
    assert!(is_acknowledged(&subject, BROADCAST, to_ada("more")).await);
    subject.give_to(BROADCAST, "all".into()).await;
    let all = expect(&mut bob, &[r#""all""#]).await;
    assert_eq!(all, start.last + 4, "ids are of the route");
    drop(bob);
    told(&mut subject, "closed").await;
    let since = format!("last_received={}", start.last);
    let (mut bob, _) = come(&port, &format!("/staff?token=b&{since}")).await;
    expect(&mut bob, &[r#""all""#]).await;
    let (mut eve, _) = come(&port, &format!("/staff?token=c&{since}")).await;
    expect(&mut eve, &[r#""all""#]).await;
    let (mut ada, _) = come(&port, &format!("/staff?token=a&{since}")).await;
    expect(&mut ada, &[r#""answer""#, r#""mail""#, r#""more""#, r#""all""#]).await;
    // Nobody else was sent more than that.
    subject.give_to(BROADCAST, "end".into()).await;
    for ws in [&mut bob, &mut eve, &mut ada] {
        expect(ws, &[r#""end""#]).await;
    }
    // Nobody was ever like that.
    let nobody = for_those(&asked, r#"{"where": {"identity": "zoe"}}"#, "lost");
    assert!(!is_acknowledged(&subject, 0, nobody).await);
    let nowhere = for_those(&asked, r#"{"to": 999999}"#, "lost");
    assert!(!is_acknowledged(&subject, 0, nowhere).await);
}

#[tokio::test]
async fn who_comes_back_is_sent_the_answers_to_what_it_asked_before() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut window, _) = come(&port, "/staff?token=a").await;
    let (mut ada, start) = come(&port, "/staff?token=a").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    // It comes back before anybody has noticed that the old connection is dead.
    let (mut back, _) = come(&port, &format!("/staff?token=a&last_received={}", start.last)).await;
    subject.deliver(0, answer(&asked, "early")).await;
    assert_eq!(next(&mut ada).await.1, r#""early""#);
    drop(ada);
    told(&mut subject, "closed").await;
    expect(&mut back, &[r#""early""#]).await;
    // And this one finds it by itself.
    assert!(is_acknowledged(&subject, 0, answer(&asked, "late")).await);
    expect(&mut back, &[r#""late""#]).await;
    subject.give_to(BROADCAST, "end".into()).await;
    expect(&mut window, &[r#""end""#]).await;
}

#[tokio::test]
async fn what_is_for_one_that_has_gone_is_not_for_one_in_its_place_that_is_excepted() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, start) = come(&port, "/staff?token=a").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut again, _) = come(&port, &format!("/staff?token=a&last_received={}", start.last)).await;
    again.send(text(2)).await.unwrap();
    let new = event(&mut subject).await;
    let conn = |event: &Event| of_server(event).get("conn").unwrap().clone();
    let (old, new) = (conn(&asked), conn(&new));
    let to_old = |more: &str, payload: u64| for_those(&asked, &format!(r#"{{"to": {old}{more}}}"#), payload);
    subject.deliver(0, to_old(&format!(r#", "except": {new}"#), 3)).await;
    subject.deliver(0, to_old("", 4)).await;
    expect(&mut again, &["4"]).await;
}

#[tokio::test]
async fn a_browser_is_known_by_its_cookie() {
    let (mut subject, port) = server(r#", "cookie": {}, "replay": {}"#).await;
    let connect = async |more: String| {
        use async_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = format!("ws://{}/?{more}", port.address()).into_client_request().unwrap();
        if let Some(id) = more.strip_prefix("id=") {
            request.headers_mut().insert("cookie", format!("wsid={id}").parse().unwrap());
        }
        let tcp = port.tcp().await;
        let (mut ws, answer) = within(async_tungstenite::tokio::client_async(request, tcp)).await.unwrap();
        let set = answer.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned());
        next_text(&mut ws).await;
        (ws, set)
    };
    let (mut ws, set) = connect(String::new()).await;
    let id = set.unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    ws.send(text(1)).await.unwrap();
    let asked = subject_event(&mut subject).await;
    subject.deliver(0, answer(&asked, "one")).await;
    let one = expect(&mut ws, &[r#""one""#]).await;
    ws.send(text(format!(r#"{{"ack":{one}}}"#))).await.unwrap();
    ws.send(text(2)).await.unwrap();
    subject_event(&mut subject).await;
    drop(ws);
    told(&mut subject, "closed").await;
    assert!(is_acknowledged(&subject, 0, answer(&asked, "two")).await);
    let (mut other, _) = connect(String::new()).await;
    let (mut ws, set) = connect(format!("id={id}")).await;
    assert_eq!(set, None);
    expect(&mut ws, &[r#""two""#]).await;
    subject.give_to(BROADCAST, 3.into()).await;
    expect(&mut other, &["3"]).await;
}

#[tokio::test]
async fn routes_are_kept_apart_and_others_know_nothing_of_it() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut staff, of_staff) = come(&port, "/staff?token=a").await;
    let (mut open, of_open) = come(&port, "/?last_received=0").await;
    let mut plain = port.client_at("/plain?last_received=-1").await;
    told(&mut subject, "opened").await;
    told(&mut subject, "opened").await;
    told(&mut subject, "opened").await;
    subject.give_to(BROADCAST, "all".into()).await;
    assert_eq!(next(&mut staff).await, (of_staff.last + 1, r#""all""#.to_owned()));
    assert_eq!(next(&mut open).await, (of_open.last + 1, r#""all""#.to_owned()));
    assert_eq!(next_text(&mut plain).await, r#""all""#);
    // An acknowledgement there is a message like any other.
    plain.send(text(r#"{"ack":1}"#)).await.unwrap();
    assert_eq!(event(&mut subject).await.payload.value().to_string(), r#"{"ack":1}"#);
    open.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    subject.deliver(BROADCAST, for_those(&asked, r#"{"where": {"route": 0}}"#, "staff")).await;
    subject.deliver(BROADCAST, for_those(&asked, r#"{"where": {"path": "/"}}"#, "open")).await;
    assert_eq!(next(&mut staff).await, (of_staff.last + 2, r#""staff""#.to_owned()));
    assert_eq!(next(&mut open).await, (of_open.last + 2, r#""open""#.to_owned()));
    // To whom nobody knows, what was for it alone is not sent again, though it has an id.
    subject.deliver(0, answer(&asked, "own")).await;
    assert_eq!(next(&mut open).await, (of_open.last + 3, r#""own""#.to_owned()));
    let (mut again, _) = come(&port, &format!("/?last_received={}", of_open.last)).await;
    subject.give_to(BROADCAST, "end".into()).await;
    expect(&mut again, &[r#""all""#, r#""open""#, r#""end""#]).await;
    // Who left itself out is not sent it when it comes back.
    let (mut staff, _) = {
        staff.send(text(1)).await.unwrap();
        let own = event(&mut subject).await;
        let except =
            Event { meta: json(r#"{"ws_server": {"except": "self"}}"#).into(), ..answer(&own, "others") };
        subject.deliver(BROADCAST, except).await;
        subject.give_to(BROADCAST, "more".into()).await;
        drop(staff);
        told(&mut subject, "closed").await;
        come(&port, &format!("/staff?token=a&last_received={}", of_staff.last + 2)).await
    };
    expect(&mut staff, &[r#""end""#, r#""more""#]).await;
}

#[tokio::test]
async fn answers_to_others_push_nothing_out_and_are_missed_by_nobody() {
    let (mut subject, port) = server(&guarded(r#"{"messages": 4}"#)).await;
    let (ada, start) = come(&port, "/staff?token=a").await;
    for number in 1..=3 {
        subject.give_to(BROADCAST, number.into()).await;
    }
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut bob, _) = come(&port, "/staff?token=b").await;
    bob.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    for number in 0..20 {
        subject.deliver(0, answer(&asked, number)).await;
        subject.deliver(BROADCAST, for_those(&asked, r#"{"where": {"identity": "eve"}}"#, "mail")).await;
    }
    let target = |token| format!("/staff?token={token}&last_received={}", start.last);
    let (mut ada, greeting) = come(&port, &target("a")).await;
    assert_eq!((greeting.after, greeting.gap), (start.last, None));
    expect(&mut ada, &["1", "2", "3"]).await;
    // Those who have missed something are told.
    let (mut again, greeting) = come(&port, &target("b")).await;
    assert!(greeting.gap.is_some_and(|(from, _)| from == start.last + 1));
    expect(&mut again, &["1", "2", "3", "18", "19"]).await;
    let (mut eve, greeting) = come(&port, &target("c")).await;
    assert!(greeting.gap.is_some());
    expect(&mut eve, &["1", "2", "3", r#""mail""#, r#""mail""#]).await;
}

#[tokio::test]
async fn what_was_for_somebody_nobody_knows_is_not_kept() {
    let (mut subject, port) = server(r#", "replay": {"messages": 2}"#).await;
    let (mut ws, start) = come(&port, "/").await;
    subject.give_to(BROADCAST, 1.into()).await;
    subject.give_to(BROADCAST, 2.into()).await;
    ws.send(text(1)).await.unwrap();
    let asked = subject_event(&mut subject).await;
    for _ in 0..10 {
        subject.deliver(0, answer(&asked, "own")).await;
    }
    let (mut again, greeting) = come(&port, &format!("/?last_received={}", start.last)).await;
    assert_eq!((greeting.gap, greeting.last), (None, start.last + 12));
    subject.give_to(BROADCAST, "end".into()).await;
    expect(&mut again, &["1", "2", r#""end""#]).await;
}

#[tokio::test]
async fn a_route_keeps_nothing_that_none_of_its_connections_can_be_meant_by() {
    let routes = r#", "replay": {"messages": 3}, "subprotocols": ["v1"], "routes": [
        {"exit": "staff", "when": [{"path": "/a"}, {"path": "/rooms/{room}"}]},
        {"exit": "other", "when": {"path": "/b"}},
        {"exit": "other"}]"#;
    let (mut subject, port) = server(routes).await;
    let (mut a, _) = come(&port, "/a").await;
    a.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    let targets = ["/a", "/b", "/x"];
    let mut before = Vec::new();
    for target in targets {
        before.push(come(&port, target).await.1.last);
    }
    subject.give_to(BROADCAST, "all".into()).await;
    for wanted in [
        r#"{"path": "/a"}"#,
        r#"{"path": ["/a", "/rooms/7"]}"#,
        r#"{"params": {"room": "7"}}"#,
        r#"{"path": "/a", "protocol": null}"#,
        r#"{"route": 0}"#,
    ] {
        subject.deliver(BROADCAST, for_those(&asked, &format!(r#"{{"where": {wanted}}}"#), "some")).await;
    }
    // Nowhere: nobody speaks that, and nobody is known.
    for wanted in [r#"{"protocol": "v2"}"#, r#"{"identity": "ada"}"#, r#"{"path": 7}"#] {
        subject.deliver(BROADCAST, for_those(&asked, &format!(r#"{{"where": {wanted}}}"#), "none")).await;
    }
    for ((target, before), sent) in targets.into_iter().zip(before).zip([6, 1, 1]) {
        let (mut ws, greeting) = come(&port, &format!("{target}?last_received={before}")).await;
        assert_eq!(greeting.last, before + sent, "{target}");
        assert_eq!(greeting.gap.is_some(), target == "/a", "{target}");
        if target != "/a" {
            expect(&mut ws, &[r#""all""#]).await;
        }
    }
}
