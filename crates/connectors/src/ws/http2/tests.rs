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
