use super::*;
use proptest::prelude::*;

/// What a header becomes that arrives whole; asks for it byte by byte too, and never for more than there is.
fn read(bytes: &[u8], only: Option<ProxyVersion>) -> Result<ProxyHeader, ProxyError> {
    let mut at = 0;
    loop {
        match proxy_header(&bytes[..at], only) {
            Ok(ProxyStep::More(more)) => {
                assert!(more > 0);
                if at + more > bytes.len() {
                    return Err(ProxyError::Missing);
                }
                at += more;
            }
            Ok(ProxyStep::Done(header)) => {
                assert_eq!(at, bytes.len(), "not all of it was asked for");
                return Ok(*header);
            }
            Err(error) => return Err(error),
        }
    }
}

fn v2_header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, body].concat()
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], u16::try_from(value.len()).unwrap().to_be_bytes().as_slice(), value].concat()
}

const V4: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x34, 0, 80];

#[test]
fn lines_of_version_1() {
    for (line, source) in [
        ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", Some("1.2.3.4:9")),
        ("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", Some("[2001:db8::1]:65535")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 whatever 1 2\r\n", None),
    ] {
        let header = read(line.as_bytes(), None).unwrap();
        assert_eq!(header.source, source.map(|source| source.parse().unwrap()), "{line}");
        assert!(header.details.is_empty());
        assert_eq!(read(line.as_bytes(), Some(ProxyVersion::V2)), Err(ProxyError::Version));
    }
    for bad in [
        "PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n",
        "PROXY TCP4 1.2.3.4  5.6.7.8 9 10\r\n",
        "PROXY TCP4 ::1 ::1 9 10\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 65536 10\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 9 10\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n",
        "PROXY TCP4 \u{ed} 5.6.7.8 9 10\r\n",
    ] {
        assert_eq!(read(bad.as_bytes(), None), Err(ProxyError::Malformed), "{bad}");
    }
    for none in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "proxy TCP4", "PROXX"] {
        assert_eq!(read(none.as_bytes(), None), Err(ProxyError::Missing), "{none}");
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(read(long.as_bytes(), None), Err(ProxyError::TooLong));
    assert_eq!(proxy_header(b"", None), Ok(ProxyStep::More(15)));
}

#[test]
fn addresses_of_version_2() {
    let source = |header: &[u8]| read(header, Some(ProxyVersion::V2)).unwrap().source;
    assert_eq!(source(&v2_header(0x21, 0x11, &V4)), Some("1.2.3.4:4660".parse().unwrap()));
    let mut six = [0; 36];
    (six[15], six[33]) = (1, 7);
    assert_eq!(source(&v2_header(0x21, 0x21, &six)), Some("[::1]:7".parse().unwrap()));
    assert_eq!(source(&v2_header(0x21, 0x31, &[0; 216])), None);
    assert_eq!(source(&v2_header(0x21, 0x00, b"")), None);
    // The proxy speaks for itself.
    assert_eq!(source(&v2_header(0x20, 0x11, &V4)), None);
    assert_eq!(source(&v2_header(0x20, 0x00, b"")), None);
    assert_eq!(read(&v2_header(0x21, 0x11, &V4), Some(ProxyVersion::V1)), Err(ProxyError::Version));
    for (command, family, body) in [
        (0x21, 0x11, &V4[..11]),
        (0x21, 0x21, &V4),
        (0x21, 0x31, &V4),
        (0x21, 0x12, &V4),
        (0x22, 0x11, &V4),
        (0x11, 0x11, &V4),
    ] {
        let read = read(&v2_header(command, family, body), None);
        assert_eq!(read, Err(ProxyError::Malformed), "{command} {family}");
    }
    assert_eq!(read(&v2_header(0x21, 0x11, &[0; 4096]), None), Err(ProxyError::TooLong));
    assert_eq!(proxy_header(&SIGNATURE[..5], None), Ok(ProxyStep::More(11)));
}

#[test]
fn fields_of_version_2() {
    let tls = [
        [0b011, 0, 0, 0, 0].to_vec(),
        field(0x21, b"TLSv1.3"),
        field(0x22, b"client"),
        field(0x23, b"AES"),
        field(0x25, b"RSA"),
    ];
    let body = [
        V4.to_vec(),
        field(0x01, b"h2"),
        field(0x02, b"edge.example"),
        field(0x04, b"padding"),
        field(0x05, b"\x01\xff"),
        field(0x20, &tls.concat()),
        field(0x30, b"blue"),
        field(0xee, b"anything"),
    ];
    let details = read(&v2_header(0x21, 0x11, &body.concat()), None).unwrap().details;
    let text = |text: &str| Some(text.to_owned());
    let expected = ProxyDetails {
        alpn: Some(b"h2".to_vec()),
        authority: text("edge.example"),
        unique_id: Some(b"\x01\xff".to_vec()),
        namespace: text("blue"),
        tls: Some(ProxyTls {
            version: text("TLSv1.3"),
            cipher: text("AES"),
            common_name: text("client"),
            verified: true,
        }),
    };
    assert_eq!(details, expected);
    let verified = |client: u8, verify: u8| {
        let body = [V4.to_vec(), field(0x20, &[client, 0, 0, 0, verify])].concat();
        read(&v2_header(0x21, 0x11, &body), None).unwrap().details.tls.map(|tls| tls.verified)
    };
    assert_eq!(verified(0b001, 0), Some(false), "without a certificate there is nothing to verify");
    assert_eq!(verified(0b101, 0), Some(true));
    assert_eq!(verified(0b011, 1), Some(false));
    assert_eq!(verified(0b010, 0), None);
    for bad in [
        b"\x01\0".to_vec(),
        b"\x01\0\x02x".to_vec(),
        field(0x02, b"\xff"),
        field(0x05, &[0; 129]),
        field(0x20, b"\x01\0\0\0"),
        field(0x20, b"\x01\0\0\0\0\x21\0\x09x"),
        field(0x03, b"123"),
    ] {
        let body = [V4.to_vec(), bad.clone()].concat();
        assert_eq!(read(&v2_header(0x21, 0x11, &body), None), Err(ProxyError::Malformed), "{bad:?}");
    }
}

#[test]
fn a_checksum_is_checked_where_there_is_one() {
    assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
    let with = |crc: [u8; 4]| {
        let body = [V4.to_vec(), field(0x02, b"a"), field(0x03, &crc), field(0x04, b"")].concat();
        v2_header(0x21, 0x11, &body)
    };
    let crc = crc32c(with([0; 4]).iter()).to_be_bytes();
    assert!(read(&with(crc), None).is_ok());
    let mut damaged = with(crc);
    damaged[16] ^= 1;
    assert_eq!(read(&damaged, None), Err(ProxyError::Checksum));
}

#[test]
fn what_we_write_is_what_we_read() {
    for (source, target) in [("1.2.3.4:5", "6.7.8.9:10"), ("[2001:db8::1]:5", "[::1]:10")] {
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let source = source.parse().unwrap();
            let header = write_proxy_header(version, source, target.parse().unwrap());
            assert_eq!(read(&header, Some(version)).unwrap().source, Some(source));
        }
    }
    let mixed = |version| {
        let header =
            write_proxy_header(version, "1.2.3.4:5".parse().unwrap(), "[2001:db8::1]:5".parse().unwrap());
        read(&header, Some(version)).unwrap().source
    };
    assert_eq!((mixed(ProxyVersion::V1), mixed(ProxyVersion::V2)), (None, None));
}

proptest! {
    #[test]
    fn no_bytes_make_it_fall_over(is_v2: bool, head in any::<[u8; 4]>(), rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = if is_v2 { [SIGNATURE.as_slice(), &head, &rest].concat() } else { [b"PROXY ".as_slice(), &rest].concat() };
        for end in 0..bytes.len() {
            let _read_or_refused = proxy_header(&bytes[..end], None);
        }
    }
}
