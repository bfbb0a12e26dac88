//! Which certificate a server shows, to whom, and how it speaks.

use rcgen::KeyPair;
use rustls::{ClientConfig, crypto::WebPkiSupportedAlgorithms, pki_types::ServerName};
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, duplex};
use tokio_rustls::TlsConnector;
use tremor_value::Value;

use super::{
    Authority, Files, Pair, TestResult, both_sides, client, handshake, params, record, refused, server, with,
};
use crate::tls::{ServerTls, identities::is_for};

/// A server of several certificates, and the authority behind them.
struct Several {
    files: Files,
    authority: Authority,
}

impl Several {
    fn new() -> Self {
        let files = Files::new();
        let authority = Authority::new(&files, "authority");
        Self { files, authority }
    }

    fn issue(&self, name: &str, names: &[&str]) -> Pair {
        self.authority.issue(&self.files, name, params(names))
    }

    /// The names in the certificate that is shown to whoever asks for `host`, or why there is none.
    async fn shown(&self, server: &ServerTls, host: &str) -> Result<Vec<String>, String> {
        let (near, far) = duplex(16 * 1024);
        let insecure = client(record([("insecure", true.into())])).unwrap();
        let (_, connected) = tokio::join!(server.accept(far), insecure.connect(host, near));
        let connected = connected.map_err(|error| error.to_string())?;
        let shown = connected.get_ref().get_ref().1.peer_certificates().unwrap();
        Ok(crate::tls::identities::names_of(&shown[0]))
    }
}

#[tokio::test]
async fn the_name_that_is_asked_for_picks_the_certificate() -> TestResult {
    let several = Several::new();
    let a = several.issue("a", &["a.example", "*.a.example"]);
    let b = several.issue("b", &["b.example"]);
    let named = with(b.config(), "names", vec![Value::from("c.example"), "B.example".into()]);
    let config = record([("certs", vec![a.config(), named].into())]);
    let server = server(&config)?;
    assert_eq!(
        server.hazards(),
        [format!("the certificate in `{}` is not for `c.example`", several.files.path("b.crt"))]
    );
    for (host, first) in [
        ("a.example", "a.example"),
        ("x.a.example", "a.example"),
        ("b.example", "b.example"),
        ("c.example", "b.example"),
        ("unknown.example", "a.example"),
        ("127.0.0.1", "a.example"),
    ] {
        assert_eq!(several.shown(&server, host).await?[0], first, "{host}");
    }
    let trusting = client(record([("cafile", several.authority.cert.clone())]))?;
    handshake(&server, &trusting, "b.example").await?;
    refused(
        handshake(&server, &trusting, "unknown.example").await,
        "is not for `unknown.example`, only for `a.example`",
    );
    Ok(())
}

#[tokio::test]
async fn names_that_are_not_admitted_are_refused_with_an_alert() -> TestResult {
    let several = Several::new();
    let a = several.issue("a", &["a.example", "*.b.example"]);
    let known = server(&with(a.config(), "strict_sni", true))?;
    let listed = server(&with(a.config(), "sni", vec![Value::from("a.example"), "x.b.example".into()]))?;
    for server in [&known, &listed] {
        assert!(server.hazards().is_empty());
        several.shown(server, "A.example").await?;
        several.shown(server, "x.b.example").await?;
        let trusting = client(record([("cafile", several.authority.cert.clone())]))?;
        for version in ["1.2", "1.3"] {
            let old = with(record([("cafile", several.authority.cert.clone())]), "max_version", version);
            let (seen, heard) = both_sides(server, &client(old)?, "c.example").await;
            assert_eq!(
                seen.unwrap_err(),
                "TLS handshake failed: the peer asks for `c.example`, which is not admitted (see `tls.sni`)"
            );
            assert_eq!(
                heard.unwrap_err(),
                "TLS handshake with `c.example` failed: the peer refused it (UnrecognisedName): it serves nothing under \
                 this name (see `tls.domain`)"
            );
        }
        let (seen, heard) = both_sides(server, &trusting, "127.0.0.1").await;
        assert!(seen.unwrap_err().contains("the peer says no name"));
        let hint =
            "(MissingExtension): it may want a name, and none is sent to an address (see `tls.domain`)";
        assert!(heard.unwrap_err().ends_with(hint));
    }
    several.shown(&known, "y.b.example").await?;
    several.shown(&listed, "y.b.example").await.unwrap_err();
    Ok(())
}

/// Where names are looked at, the first message is read in another way.
#[tokio::test]
async fn garbage_in_the_place_of_a_name_is_told_as_ever() -> TestResult {
    let several = Several::new();
    let strict = server(&with(several.issue("a", &["a.example"]).config(), "strict_sni", true))?;
    for (bytes, problem) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "TLS handshake failed: the peer does not speak TLS"),
        (b"", "TLS handshake failed: the peer closed the connection"),
        (b"\x16\x03\x01\x00\x05\x01\x00", "TLS handshake failed: the peer closed the connection"),
    ] {
        let (mut near, far) = duplex(1024);
        near.write_all(bytes).await?;
        near.shutdown().await?;
        let error = strict.accept(far).await.unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
    Ok(())
}

#[test]
fn mistakes_about_names_say_what_would_be_right() {
    let several = Several::new();
    let a = several.issue("a", &["a.example"]);
    let nameless = several.issue("nameless", &[]);
    let certs = |entry: Value| record([("certs", vec![entry].into())]);
    let with_a = |key: &str, value: Value| with(a.config(), key, value);
    for (config, start) in [
        (certs(record([])), "tls.certs[0].cert: missing (path of a PEM certificate)"),
        (
            certs(with_a("names", vec!["127.0.0.1".into()].into())),
            "tls.certs[0].names[0]: expected name of a host",
        ),
        (certs(with_a("mutual", "none".into())), "tls.certs[0].mutual: unknown key"),
        (record([("certs", Vec::new().into())]), "tls.certs: needs at least one entry"),
        (with_a("certs", vec![a.config()].into()), "tls.cert: belongs into an entry of `certs`"),
        (with_a("sni", Vec::new().into()), "tls.sni: an empty list admits nobody"),
        (with_a("sni", vec!["bücher.example".into()].into()), "tls.sni[0]: expected name of a host"),
        (with(nameless.config(), "strict_sni", true), "tls.strict_sni: no certificate has a name in it"),
        (with_a("names", vec!["a.example".into()].into()), "tls.names: unknown key"),
    ] {
        let error = server(&config).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}\n  should begin with\n{start}");
    }
    let idle = server(&with(with_a("sni", "a.example".into()), "strict_sni", false)).unwrap();
    assert!(idle.hazards()[0].starts_with("`tls.sni` has no effect with `strict_sni` off"));
    let odd = server(&with_a("sni", "other.example".into())).unwrap();
    assert_eq!(odd.hazards(), ["`tls.sni` admits `other.example`, but no certificate is for it"]);
}

/// One name, two kinds of keys: a client gets the one that it knows.
#[tokio::test]
async fn the_kind_of_key_that_a_client_knows_is_shown() -> TestResult {
    let files = Files::new();
    let make = |name: &str, algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        files.pair(name, &params(&["localhost"]).self_signed(&key).unwrap().pem(), &key.serialize_pem())
    };
    let (edwards, nist) =
        (make("edwards", &rcgen::PKCS_ED25519), make("nist", &rcgen::PKCS_ECDSA_P384_SHA384));
    let server = server(&record([("certs", vec![edwards.config(), nist.config()].into())]))?;
    for scheme in [rustls::SignatureScheme::ED25519, rustls::SignatureScheme::ECDSA_NISTP384_SHA384] {
        let mut provider = rustls::crypto::ring::default_provider();
        let all = provider.signature_verification_algorithms;
        let mapping: Vec<_> = all.mapping.iter().copied().filter(|(known, _)| *known == scheme).collect();
        provider.signature_verification_algorithms =
            WebPkiSupportedAlgorithms { all: all.all, mapping: Box::leak(mapping.into_boxed_slice()) };
        let algorithms = provider.signature_verification_algorithms;
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(crate::tls::verify::Unverified::new(algorithms)))
            .with_no_client_auth();
        let (near, far) = duplex(16 * 1024);
        let name = ServerName::try_from("localhost")?;
        let connector = TlsConnector::from(Arc::new(config));
        let (accepted, connected) = tokio::join!(server.accept(far), connector.connect(name, near));
        accepted?;
        connected.map_err(|error| format!("{scheme:?}: {error}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn only_the_listed_ciphers_are_spoken() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let ciphers = |value: Value| server(&with(own.config(), "ciphers", value));
    let spoken = |server: ServerTls| {
        let client = own.client();
        async move {
            let (near, far) = duplex(16 * 1024);
            let (accepted, connected) = tokio::join!(server.accept(far), client.connect("localhost", near));
            connected.map_err(|error| error.to_string())?;
            let accepted = accepted.map_err(|error| error.to_string())?;
            let suite = accepted.get_ref().get_ref().1.negotiated_cipher_suite().unwrap().suite();
            Ok::<_, String>(format!("{suite:?}"))
        }
    };
    let one = ciphers(vec!["TLS_CHACHA20_POLY1305_SHA256".into()].into())?;
    assert_eq!(one.hazards(), ["`tls.ciphers` names none of TLS 1.2, so only the other version is spoken"]);
    assert_eq!(spoken(one).await?, "TLS13_CHACHA20_POLY1305_SHA256");
    let old = ciphers("ecdhe-ecdsa-aes128-gcm-sha256:ECDHE-RSA-AES128-GCM-SHA256".into())?;
    assert_eq!(old.hazards(), ["`tls.ciphers` names none of TLS 1.3, so only the other version is spoken"]);
    assert_eq!(spoken(old).await?, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    // A client that knows only others.
    let new = client(record([("cafile", own.cert.clone()), ("min_version", "1.3".into())]))?;
    let old = ciphers("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".into())?;
    let (seen, heard) = both_sides(&old, &new, "localhost").await;
    assert!(
        seen.unwrap_err()
            .ends_with("(Tls12NotOfferedOrEnabled); see `tls.min_version` and `tls.max_version`")
    );
    assert!(heard.unwrap_err().contains("it speaks other versions"));
    Ok(())
}

#[test]
fn mistakes_about_ciphers_list_those_that_there_are() {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let all = "`TLS_AES_256_GCM_SHA384`, `TLS_AES_128_GCM_SHA256`, `TLS_CHACHA20_POLY1305_SHA256`, \
               `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`, ";
    let fails = |config: &Value| server(config).unwrap_err().to_string();
    let ciphers = |value: Value| with(own.config(), "ciphers", value);
    let error = fails(&ciphers(vec!["TLS_AES_256_GCM_SHA384".into(), "DHE-RSA-AES256-SHA".into()].into()));
    assert!(error.starts_with("tls.ciphers[1]: there is no cipher `DHE-RSA-AES256-SHA` here"), "{error}");
    assert!(error.contains(all), "{error}");
    let error = fails(&ciphers("TLS_AES_256_GCM_SHA385".into()));
    assert!(
        error.contains("; did you mean `TLS_AES_256_GCM_SHA384`? Those that there are: `TLS_"),
        "{error}"
    );
    let error = fails(&ciphers(" : ".into()));
    assert!(error.starts_with("tls.ciphers: names none; those that there are: `TLS_AES_256"), "{error}");
    let error = fails(&ciphers(7_i64.into()));
    assert!(
        error.starts_with("tls.ciphers: expected list of names, or names with colons between them"),
        "{error}"
    );
    let error = fails(&with(ciphers("TLS_AES_256_GCM_SHA384".into()), "max_version", "1.2"));
    assert!(
        error.starts_with(
            "tls.ciphers: none of these belongs to a version that is allowed; these do: `TLS_ECDHE_ECDSA_WITH_AES_256"
        ),
        "{error}"
    );
    let error = fails(&with(ciphers("ECDHE-RSA-AES256-GCM-SHA384".into()), "max_version", "1.2"));
    assert!(error.contains("whose key asks for one with `ECDSA` in its name"), "{error}");
}

#[tokio::test]
async fn certificates_out_of_date_and_protocols_that_are_not_spoken_are_warned_of() -> TestResult {
    let files = Files::new();
    let mut old = params(&["localhost"]);
    old.not_before = rcgen::date_time_ymd(2000, 1, 1);
    old.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let old = files.self_signed("old", old);
    let mut future = params(&["localhost"]);
    future.not_before = rcgen::date_time_ymd(4000, 1, 1);
    future.not_after = rcgen::date_time_ymd(4001, 1, 1);
    let future = files.self_signed("future", future);
    let hazard = |pair: &Pair| server(&pair.config()).unwrap().hazards().concat();
    assert!(hazard(&old).contains("old.crt` has expired, "), "{}", hazard(&old));
    assert!(hazard(&future).contains("future.crt` is not valid yet, but in "), "{}", hazard(&future));
    let own = files.self_signed("own", params(&["localhost"]));
    let two = server(&with(own.config(), "alpn", vec![Value::from("h2"), "http/1.1".into()]))?;
    assert!(two.hazards()[0].starts_with("`tls.alpn` offers `h2`, but"));
    let other = server(&with(own.config(), "alpn", vec![Value::from("mqtt")]))?;
    assert!(other.hazards()[0].starts_with("`tls.alpn` does not offer `http/1.1`"));
    assert_eq!(
        server(&with(own.config(), "alpn", vec![Value::from("mqtt"), "http/1.1".into()]))?.hazards(),
        [""; 0]
    );
    for (alpn, without_http2, with_http2) in [
        ("h2", Some("`tls.alpn` offers `h2`, but"), None),
        ("mqtt", None, Some("`http2` has no effect with TLS")),
    ] {
        let own = record([("cafile", own.cert.clone()), ("alpn", vec![Value::from(alpn)].into())]);
        let client = client(own)?;
        for (http2, expected) in [(false, without_http2), (true, with_http2)] {
            let hazard = client.hazard(http2);
            assert_eq!(hazard.is_some(), expected.is_some(), "{alpn} {http2}");
            assert!(hazard.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{hazard:?}");
        }
    }
    let silent = client(record([("cafile", own.cert.clone())]))?;
    assert_eq!((silent.hazard(true), silent.hazard(false)), (None, None));
    let idle = server(&with(own.config(), "dhparam", "anything.pem"))?;
    assert_eq!(idle.hazards(), ["`tls.dhparam` has no effect: finite-field key exchange is never used"]);
    // Both sides say what they miss.
    let old = client(record([("cafile", own.cert.clone()), ("alpn", vec![Value::from("mqtt")].into())]))?;
    let (seen, heard) = both_sides(&own.server(), &old, "localhost").await;
    assert_eq!(
        seen.unwrap_err(),
        "TLS handshake failed: the peer offers none of the protocols in `tls.alpn`"
    );
    assert!(
        heard
            .unwrap_err()
            .ends_with("(NoApplicationProtocol): it speaks none of the protocols in `tls.alpn`")
    );
    Ok(())
}

#[test]
fn a_certificate_is_for_the_names_in_it() {
    let files = Files::new();
    let own = files.self_signed("own", params(&["a.example", "*.b.example"]));
    let der = crate::tls::pem::certificates(&crate::config::Entry::root(&own.cert, "cert")).unwrap();
    for (host, expected) in [
        ("a.example", true),
        ("any.b.example", true),
        ("b.example", false),
        ("c.example", false),
        ("", false),
    ] {
        assert_eq!(is_for(&der[0], host), expected, "{host}");
    }
}
