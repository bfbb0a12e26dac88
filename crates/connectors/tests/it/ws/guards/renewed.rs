//! What messages tell of their client once its session was renewed.

use super::{
    super::doorman,
    sessions::{frame, in_seconds, next_told, renewal, telling_server},
    *,
};

/// A token of ann that ends so many seconds from now.
fn token_of_ann(seconds: f64, roles: &str, site: &str) -> String {
    let end = in_seconds(seconds);
    token("one", &format!(r#"{{"sub":"ann","exp":{end:.3},"scope":"{roles}","site":"{site}"}}"#))
}

const WITH_SITE: &str = r#", "attributes": {"site": "site"}"#;
const BY_MESSAGE: &str = r#", "renew": {"message": "token"}"#;

fn brings(token: &str) -> Vec<u8> {
    frame(&format!(r#"{{"token":"{token}"}}"#))
}

/// Roles and site that metadata of a connection show.
fn shown(of_connection: &Value) -> (String, String) {
    let site = of_connection.get("attributes").and_then(|attributes| attributes.get("site"));
    let text = |value: Option<&Value>| value.map(ToString::to_string).unwrap_or_default();
    (text(of_connection.get("roles")), text(site))
}

/// Those of the next message, which is sent now.
async fn of_message(subject: &mut Subject, tcp: &mut TcpStream) -> (String, String) {
    tcp.write_all(b"\x81\x81\0\0\0\x007").await.unwrap();
    loop {
        if let Seen::Event("staff", event) = subject.next().await {
            return shown(&of_server(&event));
        }
    }
}

fn is(roles: &str, site: &str) -> (String, String) {
    (roles.to_owned(), site.to_owned())
}

#[tokio::test]
async fn messages_tell_the_roles_of_the_token_that_a_message_has_brought() {
    let (mut subject, port) = telling_server(WITH_SITE, BY_MESSAGE).await;
    let (_, _, mut tcp) = ask(&port, "/", &bearer(&token_of_ann(60.0, "read write", "north"))).await;
    assert_eq!(of_message(&mut subject, &mut tcp).await, is(r#"["read","write"]"#, r#""north""#));
    let tag = |conn: &Value| json(&format!(r#"{{"kind": "tag", "conn": {conn}, "tags": {{"room": 1}}}}"#));
    for (seconds, roles, site, expected) in [
        (90.0, "read", "south", is(r#"["read"]"#, r#""south""#)),
        // It changes nothing, so not that either.
        (80.0, "admin", "east", is(r#"["read"]"#, r#""south""#)),
        (95.0, "read admin", "south", is(r#"["read","admin"]"#, r#""south""#)),
    ] {
        tcp.write_all(&brings(&token_of_ann(seconds, roles, site))).await.unwrap();
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), "reauthenticated".into());
        assert_eq!(shown(&of_server(&told)), expected, "it is told with them already");
        assert_eq!(of_message(&mut subject, &mut tcp).await, expected);
        // What the flow says of a connection takes nothing back.
        let failed = subject.handle.taken().failed;
        subject.give_to(2, tag(&member(&told, "conn"))).await;
        assert_eq!(subject.handle.taken().failed, failed);
        assert_eq!(of_message(&mut subject, &mut tcp).await, expected);
    }
}

#[tokio::test]
async fn messages_tell_the_roles_of_the_token_that_a_request_has_brought() {
    let (mut subject, port) = telling_server(WITH_SITE, "").await;
    let (_, _, mut one) = ask(&port, "/", &bearer(&token_of_ann(60.0, "read", "north"))).await;
    let (_, _, mut other) = ask(&port, "/", &bearer(&token_of_ann(70.0, "write", "north"))).await;
    assert_eq!(of_message(&mut subject, &mut one).await, is(r#"["read"]"#, r#""north""#));
    assert_eq!(of_message(&mut subject, &mut other).await, is(r#"["write"]"#, r#""north""#));
    // It prolongs nothing, but is better than what the first one has brought.
    let between = bearer(&token_of_ann(65.0, "step", "south"));
    assert!(port.ask(&renewal(&between)).await.starts_with("HTTP/1.1 204 "));
    assert_eq!(of_message(&mut subject, &mut one).await, is(r#"["step"]"#, r#""south""#));
    assert_eq!(of_message(&mut subject, &mut other).await, is(r#"["write"]"#, r#""north""#));
    let fresh = bearer(&token_of_ann(90.0, "admin", "south"));
    // Whoever has the answer finds it done.
    assert!(port.ask(&renewal(&fresh)).await.starts_with("HTTP/1.1 204 "));
    for tcp in [&mut one, &mut other] {
        assert_eq!(of_message(&mut subject, tcp).await, is(r#"["admin"]"#, r#""south""#));
    }
}

#[tokio::test]
async fn a_renewal_by_a_request_is_told_with_the_new_roles_already() {
    let (mut subject, port) = telling_server(WITH_SITE, "").await;
    let (_, _, _tcp) = ask(&port, "/", &bearer(&token_of_ann(60.0, "read", "north"))).await;
    for (seconds, role) in [(70.0, "write"), (80.0, "admin"), (90.0, "read")] {
        let fresh = bearer(&token_of_ann(seconds, role, "south"));
        assert!(port.ask(&renewal(&fresh)).await.starts_with("HTTP/1.1 204 "));
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), "reauthenticated".into());
        assert_eq!(shown(&of_server(&told)), is(&format!(r#"["{role}"]"#), r#""south""#));
    }
}

/// Tokens of one person may say very different things; a program that was lent one with few roles gets no more by what its
/// owner does elsewhere, nor does it keep what only its own had said.
#[tokio::test]
async fn another_connection_gives_no_roles_and_those_that_it_lacks_end_with_the_own_token() {
    let (mut subject, port) = telling_server(WITH_SITE, r#", "on_expiry": "close""#).await;
    let own = token_of_ann(6.0, "read write", "north");
    let (_, _, mut tcp) = ask(&port, "/", &bearer(&own)).await;
    let (_, _, _other) = ask(&port, "/", &bearer(&token_of_ann(60.0, "admin read", "south"))).await;
    while member(&next_told(&mut subject).await, "kind") != "reauthenticated".into() {}
    let mut seen = vec![of_message(&mut subject, &mut tcp).await];
    assert_eq!(seen, [is(r#"["read","write"]"#, r#""north""#)]);
    within(async {
        while seen.last() == seen.first() {
            seen.push(of_message(&mut subject, &mut tcp).await);
        }
    })
    .await;
    assert_eq!(seen.last(), Some(&is(r#"["read"]"#, "")));
}

/// The flow's word is not taken back by what guards hear later.
#[tokio::test]
async fn what_the_flow_has_said_stays() {
    let guarded = format!(
        r#", "guards": {{{}}}, "routes": [{{"guarded": {{"staff": []}}, "exit": "out"}}]{BY_MESSAGE}"#,
        jwt_guard(WITH_SITE)
    );
    for (says, expected) in [
        (r#""roles": ["boss"]"#, is(r#"["boss"]"#, r#""south""#)),
        (r#""attributes": {"site": "east"}"#, is(r#"["write"]"#, r#""east""#)),
    ] {
        let (mut subject, port) = doorman::server_with(r#", "timeout": 60000"#, &guarded).await;
        let mut tcp = port.tcp().await;
        let request = upgrade("gate.example", &bearer(&token_of_ann(60.0, "read", "north")));
        tcp.write_all(request.as_bytes()).await.unwrap();
        let Seen::Event("door", asked) = subject.next().await else { panic!("the flow is not asked") };
        doorman::say(&mut subject, &asked, &format!(r#", "accept": true, {says}"#)).await;
        assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
        tcp.write_all(&brings(&token_of_ann(90.0, "write", "south"))).await.unwrap();
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), "reauthenticated".into());
        assert_eq!(shown(&of_server(&told)), expected, "{says}");
    }
}
