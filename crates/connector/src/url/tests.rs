use proptest::prelude::*;
use tremor_value::{Record, Value};

use super::{Host, Rules, Url, UrlError};
use crate::config::{Entry, Reader};

fn parse(text: &str) -> Result<Url, UrlError> {
    Url::parse(text, &Rules::WEBSOCKET)
}

/// Scheme, host, port and path of `text`.
fn parts(text: &str) -> (String, String, Option<u16>, String) {
    let url = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (url.scheme().into(), url.host().to_string(), url.port(), url.path_and_query().into())
}

#[test]
fn forms_that_users_write() {
    let cases = [
        ("127.0.0.1:4242", "ws", "127.0.0.1", Some(4242), "/"),
        ("0.0.0.0:65535", "ws", "0.0.0.0", Some(65_535), "/"),
        ("localhost:80", "ws", "localhost", Some(80), "/"),
        ("localhost", "ws", "localhost", None, "/"),
        ("[::1]:4242", "ws", "::1", Some(4242), "/"),
        ("[::]", "ws", "::", None, "/"),
        (":4242", "ws", "localhost", Some(4242), "/"),
        ("ws://h:80", "ws", "h", Some(80), "/"),
        ("wss://h:443/", "wss", "h", Some(443), "/"),
        ("WSS://Example.COM", "wss", "example.com", None, "/"),
        ("ws://h:", "ws", "h", None, "/"),
        ("ws://h:0", "ws", "h", Some(0), "/"),
        ("wss://h/chat?room=1&x=http://y/", "wss", "h", None, "/chat?room=1&x=http://y/"),
        ("h:1?q", "ws", "h", Some(1), "/?q"),
        ("h/a b/ü?\"", "ws", "h", None, "/a%20b/%C3%BC?%22"),
        ("h/100%/%41", "ws", "h", None, "/100%/%41"),
        ("my_host-1.internal.:1", "ws", "my_host-1.internal.", Some(1), "/"),
        (" h ", "ws", "h", None, "/"),
    ];
    for (text, scheme, host, port, path) in cases {
        assert_eq!(parts(text), (scheme.into(), host.into(), port, path.into()), "{text}");
    }
    assert!(parse("ws://h").unwrap().scheme_is_written());
    assert!(!parse("h").unwrap().scheme_is_written());
    assert_eq!(parse("h/p#part").unwrap().fragment(), Some("part"));
    assert_eq!(parse("h/p#part").unwrap().path_and_query(), "/p");
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("", "the URL is empty"),
        ("  ", "the URL is empty"),
        ("h/\r\nX: y", "control character"),
        ("http://h", "the scheme `http` does not work here, use `ws` or `wss`"),
        ("h:70000", "`70000` is no port"),
        ("wss//h", "`wss` looks like a scheme: write `wss://` in front of a host"),
        ("WS:/h", "`ws` looks like a scheme"),
        ("h:+1", "`+1` is no port"),
        ("h:x", "`x` is no port"),
        ("::1", "an IPv6 address needs brackets: `[::1]`"),
        ("a:b:c", "`a:b:c` is no host name"),
        ("[::1", "`[::1` is no host name"),
        ("[::1]x", "`[::1]x` is no host name"),
        ("[1.2.3.4]:1", "`[1.2.3.4]` is no host name"),
        ("[fe80::1%25eth0]:1", "is no host name"),
        ("256.1.1.1:1", "`256.1.1.1` is no host name and no IP address"),
        ("1.2.3:1", "`1.2.3` is no host name"),
        ("a..b", "`a..b` is no host name"),
        (".", "`.` is no host name"),
        ("a b:1", "`a b` is no host name"),
        ("bücher.de", "is no host name"),
        ("a%20b", "is no host name"),
        ("://h", "what stands before `://` is no scheme"),
        ("1ws://h", "what stands before `://` is no scheme"),
        ("u:%zz@h", "has a `%`"),
        ("u:%f@h", "has a `%`"),
        ("u:%ff@h", "has a `%`"),
    ];
    for (text, part) in cases {
        let result = parse(text).map_err(|error| error.to_string());
        let shown = result.as_ref().err().cloned().unwrap_or_default();
        assert!(shown.contains(part), "{text}: {result:?}");
    }
    assert_eq!(parse(&"x".repeat(1_000_000)), Err(UrlError::TooLong));
    assert!(parse(&format!("{}.de", "x".repeat(64))).is_err());
    assert!(parse(&"a.".repeat(200)).is_err());
}

#[test]
fn name_and_password_are_kept_apart_and_never_shown() {
    let url = parse("wss://ann%40x:hunter2:%3F@h:1/p").unwrap();
    let userinfo = url.userinfo().unwrap();
    assert_eq!(userinfo.user.reveal(), "ann@x");
    assert_eq!(userinfo.password.as_ref().unwrap().reveal(), "hunter2:?");
    assert_eq!(url.to_string(), "wss://***@h:1/p");
    assert!(!format!("{url:?}").contains("hunter2"));
    assert_eq!(parse("ann@h").unwrap().userinfo().unwrap().password, None);
    for broken in [
        "ann:hunter2@h:x",
        "ann:hunter2%@h",
        "ann:hunter2@",
        "http://ann:hunter2@h",
        "ann:hunter2@[h",
        "ann:hunter2/@h",
    ] {
        let shown = format!("{:?}", parse(broken).map(|url| url.to_string()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn unspecified_addresses_are_this_machine_for_a_client() {
    for (text, target) in
        [("0.0.0.0:1", "127.0.0.1"), ("[::]:1", "::1"), ("1.2.3.4:1", "1.2.3.4"), ("h:1", "h")]
    {
        assert_eq!(parse(text).unwrap().host().target().to_string(), target);
    }
    assert!(matches!(parse("[::1]").unwrap().host(), Host::Ip(ip) if ip.is_loopback()));
}

#[test]
fn host_headers() {
    for (text, header) in [("h:80", "h"), ("h:81", "h:81"), ("[::1]:81", "[::1]:81"), ("[::1]", "[::1]")] {
        assert_eq!(parse(text).unwrap().authority(80), header);
    }
}

#[test]
fn errors_have_the_path_of_the_key() {
    let value: Value = [("url", "h:x")].into_iter().collect::<Record>().into();
    let mut config = Reader::new(&value, "config").unwrap();
    let error = Url::required(&mut config, "url", &Rules::WEBSOCKET).unwrap_err();
    assert_eq!(error.to_string(), "config.url: `x` is no port: expected a number from 0 to 65535");
    let error = Url::required(&mut config, "port", &Rules::WEBSOCKET).unwrap_err();
    assert_eq!(error.to_string(), r#"config.port: missing (a string such as "127.0.0.1:4242")"#);
    let number: Value = [("url", 1_i64)].into_iter().collect::<Record>().into();
    let mut config = Reader::new(&number, "config").unwrap();
    let error = Url::required(&mut config, "url", &Rules::WEBSOCKET).unwrap_err();
    assert_eq!(error.to_string(), "config.url: expected string but got integer 1");
}

#[test]
fn a_host_may_be_left_out_where_there_is_a_default() {
    for (text, is_written) in
        [("ws://", false), ("ws:///x", false), ("ws://:80", false), (":80", false), ("h", true)]
    {
        assert_eq!(parse(text).unwrap().host_is_written(), is_written, "{text}");
    }
    let rules = Rules { default_host: "", ..Rules::WEBSOCKET };
    for text in ["ws://", "ws:///x", ":80", "me:secret@"] {
        assert_eq!(Url::parse(text, &rules), Err(UrlError::NoHost), "{text}");
    }
}

#[test]
fn no_address_of_a_configuration_has_a_fragment() {
    for (text, is_right) in [("ws://h/a%23b", true), ("ws://h/a#b", false), ("ws://h/#", false)] {
        let value: Value = text.into();
        let read = Url::from_entry(&Entry::root(&value, "url"), &Rules::WEBSOCKET);
        assert_eq!(read.is_ok(), is_right, "{text}");
        let told = read.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            is_right || told.starts_with("url: has a fragment") && told.ends_with("write `%23`"),
            "{told}"
        );
    }
}

/// Texts that resemble addresses, so that most of the parser is reached.
fn resembling() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("ws"),
        Just("://"),
        Just("//"),
        Just("["),
        Just("]"),
        Just("::"),
        Just(":"),
        Just("@"),
        Just("/"),
        Just("?"),
        Just("#"),
        Just("%"),
        Just("%41"),
        Just("."),
        Just("1.2.3.4"),
        Just("host"),
        Just("80"),
        Just("é"),
        Just(" "),
        Just("\u{0}"),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_an_address_or_an_error(text in prop_oneof![any::<String>(), resembling()]) {
        if let Ok(url) = parse(&text) {
            prop_assert!(url.path_and_query().starts_with('/'));
            prop_assert!(url.path_and_query().bytes().all(|byte| byte.is_ascii_graphic()));
            if url.userinfo().is_none() {
                let again = parse(&url.to_string()).unwrap();
                prop_assert_eq!((again.host(), again.port()), (url.host(), url.port()));
                prop_assert_eq!(again.path_and_query(), url.path_and_query());
            }
        }
    }
}
