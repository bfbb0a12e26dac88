use super::*;
use bytes::BytesMut;

#[tokio::test]
async fn the_first_bytes_decide() {
    for (bytes, expected) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"[..], Some(true)),
        (b"GET / HTTP/1.1\r\n", Some(false)),
        (b"PRI * HTTP/1.1\r\n", Some(false)),
        (b"PR", None),
        (b"", None),
    ] {
        let (mut stream, mut input) = (bytes, BytesMut::new());
        assert_eq!(is_http2(&mut stream, &mut input).await.unwrap(), expected);
        assert_eq!([&input, stream].concat(), bytes, "nothing is lost");
    }
}

/// The peer resets a stream before it is answered, which is no mistake of whoever answers.
#[tokio::test]
async fn an_answer_that_comes_too_late_is_told_in_our_words() {
    let (near, far) = tokio::io::duplex(4096);
    let client = async move {
        let (mut send, connection) = h2::client::handshake(near).await.unwrap();
        let request = http::Request::get("http://here/").body(()).unwrap();
        let (_response, mut stream) = send.send_request(request, false).unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        let _over = connection.await;
    };
    let server = async move {
        let mut connection = h2::server::handshake(far).await.unwrap();
        let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
        // The reset is read, too.
        let reset = async { std::future::poll_fn(|cx| respond.poll_reset(cx)).await };
        tokio::select! {
            reset = reset => reset.unwrap(),
            _none = connection.accept() => panic!("no other stream"),
        };
        let error = respond.send_response(http::Response::new(()), false).unwrap_err();
        explain(&error)
    };
    tokio::select! {
        () = client => panic!("over"),
        words = server => assert_eq!(words, "the peer gave the stream up before it was answered"),
    }
}
