//! How the end of a session is told.

use super::{
    sessions::{ends_in, telling_server},
    *,
};

/// Port `broadcast`.
const BROADCAST: usize = 1;

/// Nothing more can be said to one who does not read, but why the connection has ended is known.
#[tokio::test]
async fn the_end_of_a_session_is_told_though_its_client_does_not_read_of_it() {
    let more = r#", "close_handshake_timeout": 100, "send_queue": {"bytes": 33554432}"#;
    let (mut subject, port) = telling_server("", more).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut tcp = socket.connect(port.address().parse().unwrap()).await.unwrap();
    let request = upgrade("gate.example", &bearer(&ends_in(3.0, "ann")));
    tcp.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(member(&subject.next_told().await, "kind"), "opened".into());
    subject.give_to(BROADCAST, "x".repeat(16 << 20).into()).await;
    let closed = subject.next_told().await;
    for (name, expected) in [
        ("kind", r#""closed""#),
        ("code", "1008"),
        ("reason", r#""token expired""#),
        ("clean", "false"),
        ("by", r#""local""#),
    ] {
        assert_eq!(member(&closed, name).to_string(), expected, "{name}");
    }
    let Seen::Event("err", failed) = subject.next().await else { panic!("nothing on `err`") };
    assert_eq!(
        member(&failed, "error"),
        "closed with 1008 token expired, which the peer has not read".into()
    );
}
