//! Clients that show certificates to servers, and servers whose key clients insist on.

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, duplex};
use tokio_rustls::TlsConnector;
use tremor_value::Value;

use super::{
    Authority, Files, Pair, TestResult, both_sides, ca, client, handshake, params, record, refused, server,
    with,
};
use crate::tls::{ClientTls, pins::Pin};

/// Trusts `own`, and shows `shown`.
fn showing(own: &Pair, shown: &Pair, version: &str) -> ClientTls {
    client(record([
        ("cafile", own.cert.clone()),
        ("cert", shown.cert.clone()),
        ("key", shown.key.clone()),
        ("max_version", version.into()),
    ]))
    .unwrap()
}

fn anonymous(own: &Pair, version: &str) -> ClientTls {
    client(record([("cafile", own.cert.clone()), ("max_version", version.into())])).unwrap()
}

#[track_caller]
fn contains<T: std::fmt::Debug>(said: &Result<T, String>, part: &str) {
    let text = said.as_ref().expect_err("this should have failed");
    assert!(text.contains(part), "{text}\n  should contain\n{part}");
}

#[tokio::test]
async fn a_server_requires_requests_or_does_not_ask_for_certificates() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let (known, unknown) = (Authority::new(&files, "known"), Authority::new(&files, "unknown"));
    let alice = known.issue(&files, "alice", params(&["alice.example"]));
    let mallory = unknown.issue(&files, "mallory", params(&["alice.example"]));
    let trusting = with(own.config(), "client_ca", known.cert.clone());
    let required = server(&trusting)?;
    let requested = server(&with(trusting.clone(), "mutual", "requested"))?;
    let none = server(&with(trusting.clone(), "mutual", "none"))?;
    assert_eq!(none.hazards(), ["`tls.client_ca` has no effect, since `tls.mutual` is `none`"]);
    for version in ["1.2", "1.3"] {
        let (alice, mallory) = (showing(&own, &alice, version), showing(&own, &mallory, version));
        for server in [&required, &requested] {
            let (seen, heard) = both_sides(server, &alice, "localhost").await;
            assert_eq!(seen?.unwrap().alternative_names[0].to_string(), "DNS:alice.example");
            heard?;
            let (seen, heard) = both_sides(server, &mallory, "localhost").await;
            contains(
                &seen,
                "nobody we trust has issued the certificate (if you do, name it or its CA in `tls.client_ca`)",
            );
            contains(&heard, ": it does not trust our certificate");
        }
        let (seen, heard) = both_sides(&required, &anonymous(&own, version), "localhost").await;
        contains(&seen, "TLS handshake failed: the peer shows no certificate, and `tls.mutual` requires one");
        contains(&heard, "it wants a certificate of ours (see `tls.cert` and `tls.key`)");
        let (seen, heard) = both_sides(&requested, &anonymous(&own, version), "localhost").await;
        assert_eq!((seen?, heard), (None, Ok(())));
        for anybody in [&alice, &mallory, &anonymous(&own, version)] {
            let (seen, heard) = both_sides(&none, anybody, "localhost").await;
            assert_eq!((seen?, heard), (None, Ok(())));
        }
    }
    Ok(())
}

#[tokio::test]
async fn certificates_of_clients_have_to_be_in_order() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let root = Authority::new(&files, "root");
    let middle = root.below(&files, "middle");
    let trusting = server(&with(own.config(), "client_ca", vec![own.cert.clone(), root.cert.clone()]))?;
    let seen = |shown: Pair| {
        let client = showing(&own, &shown, "1.3");
        let trusting = &trusting;
        async move { both_sides(trusting, &client, "localhost").await.0 }
    };
    // A chain needs what is between.
    let leaf = middle.issue(&files, "leaf", params(&["leaf"]));
    let text = |name: &str| std::fs::read_to_string(files.path(name)).unwrap();
    let whole = files.write("whole.crt", &(text("leaf.crt") + &text("middle.crt")));
    seen(Pair { cert: whole, key: leaf.key.clone() }).await?;
    contains(&seen(leaf).await, "nobody we trust");
    let mut expired = params(&["old"]);
    expired.not_before = date_time_ymd(2000, 1, 1);
    expired.not_after = date_time_ymd(2001, 1, 1);
    contains(&seen(root.issue(&files, "old", expired)).await, "the certificate has expired, ");
    let mut for_servers = params(&["server"]);
    for_servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    contains(
        &seen(root.issue(&files, "server", for_servers)).await,
        "not meant for this side of a connection",
    );
    Ok(())
}

#[tokio::test]
async fn a_named_certificate_of_a_client_is_trusted_as_it_is() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let make = |name: &str, expired: bool, purpose: Option<ExtendedKeyUsagePurpose>| {
        let mut params = ca(params(&[name]));
        params.extended_key_usages = purpose.into_iter().collect();
        if expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        files.self_signed(name, params)
    };
    let good = make("good", false, None);
    let old = make("old", true, None);
    let wrong = make("wrong", false, Some(ExtendedKeyUsagePurpose::ServerAuth));
    let other = make("other", false, None);
    let named: Vec<Value> = [&good, &old, &wrong].map(|pair| pair.cert.clone()).into();
    let server = server(&with(own.config(), "client_ca", named))?;
    for (shown, problem) in [
        (&good, None),
        (&old, Some("has expired")),
        (&wrong, Some("not meant for this side")),
        (&other, Some("name this very certificate in `tls.client_ca`")),
    ] {
        let (seen, heard) = both_sides(&server, &showing(&own, shown, "1.3"), "localhost").await;
        match problem {
            None => assert!(seen?.is_some() && heard.is_ok()),
            Some(problem) => contains(&seen, problem),
        }
    }
    Ok(())
}

/// The certificate of a version that recipes without extensions make, and its key.
const OF_VERSION_1: (&str, &str) = (
    "\
-----BEGIN CERTIFICATE-----
MIIBJDCBywIUb4RPIVSak4kwxh9nEp7cGqr0bBEwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjAyMTgwNFoYDzk5NjYxMDI4MDIxODA0
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAT2XrlI4c25Ds8bQ9zPKYp2zSXnm6h9nQFCHtV9WY79RKamIjHMzYHvwhvDEN4q
0czmNFr6hz/Q+8YBV0QitL62MAoGCCqGSM49BAMCA0gAMEUCIQD2hQX7Lx7RRdJK
llzoo8dZRKIwOeE/Xrq0NnXg+MWPxgIgLu7RZCRvFjLqA8UlgQ2rhUweZtIDQis2
BcFv0lOwvKc=
-----END CERTIFICATE-----
",
    "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggGiyFIcnDGRwJtQW
bDWeLPwZx7AVpFAv4XNe4RpX9YihRANCAAT2XrlI4c25Ds8bQ9zPKYp2zSXnm6h9
nQFCHtV9WY79RKamIjHMzYHvwhvDEN4q0czmNFr6hz/Q+8YBV0QitL62
-----END PRIVATE KEY-----
",
);

/// What trusts `own` and shows this pair, whatever it is worth.
fn showing_unchecked(
    own: &str,
    (cert, key): (&str, &str),
) -> Result<TlsConnector, Box<dyn std::error::Error>> {
    let provider = Arc::new(ring::default_provider());
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(own)?)?;
    let key = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_slice(key.as_bytes())?)?;
    let shown = CertifiedKey::new(vec![CertificateDer::from_pem_slice(cert.as_bytes())?], key);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    Ok(TlsConnector::from(Arc::new(config)))
}

#[tokio::test]
async fn certificates_of_version_1_are_called_so() -> TestResult {
    let files = Files::new();
    let (own, old) =
        (files.self_signed("own", params(&["localhost"])), files.pair("old", OF_VERSION_1.0, OF_VERSION_1.1));
    let expected = "cannot be used: it is of version 1 of X.509";
    let problem = server(&old.config()).unwrap_err().to_string();
    assert!(problem.contains(expected), "{problem}");
    let trusting = server(&with(own.config(), "client_ca", own.cert.clone()))?;
    let (near, far) = duplex(16 * 1024);
    let name = ServerName::try_from("localhost")?;
    let connector = showing_unchecked(&files.path("own.crt"), OF_VERSION_1)?;
    let (accepted, _) = tokio::join!(trusting.accept(far), async {
        let mut stream = connector.connect(name, near).await?;
        stream.read_u8().await
    });
    refused(accepted.map(drop).map_err(|error| error.to_string()), expected);
    Ok(())
}

#[test]
fn mistakes_about_clients_say_what_would_be_right() {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let config = |key: &str, value: Value| with(own.config(), key, value);
    for (config, start) in [
        (
            config("mutual", "required".into()),
            "tls.client_ca: missing (files with the authorities of clients",
        ),
        (config("mutual", "requested".into()), "tls.client_ca: missing ("),
        (config("mutual", "maybe".into()), "tls.mutual: expected one of `required`, `requested`, `none`"),
        (config("client_ca", Vec::new().into()), "tls.client_ca: an empty list lets nobody in"),
        (config("client_ca", own.key.clone()), "tls.client_ca: there is no PEM certificate in"),
        (
            config("client_ca", vec![own.cert.clone(), "no".into()].into()),
            "tls.client_ca[1]: cannot read `no`",
        ),
        (
            with(config("client_ca", own.cert.clone()), "ca_certificates", own.cert.clone()),
            "tls.ca_certificates: means the same as `client_ca`; write one of them",
        ),
    ] {
        let error = server(&config).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}\n  should begin with\n{start}");
    }
    server(&config("mutual", "none".into())).unwrap();
    server(&config("ca_certificates", vec![own.cert.clone()].into())).unwrap();
}

#[tokio::test]
async fn pinned_keys_have_to_fit_besides() -> TestResult {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let own = authority.issue(&files, "own", params(&["localhost"]));
    let other = authority.issue(&files, "other", params(&["localhost"]));
    let pin = |pair: &Pair| {
        let der = crate::tls::pem::certificates(&crate::config::Entry::root(&pair.cert, "cert")).unwrap();
        Pin::of(&der[0]).unwrap().to_string()
    };
    let base64 = pin(&own).replacen("sha256/", "", 1);
    let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &base64)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let pinned = |pins: Vec<Value>| record([("cafile", authority.cert.clone()), ("pins", pins.into())]);
    for text in [pin(&own), base64.clone(), format!("sha256//{base64}"), hex.to_lowercase(), hex] {
        let client = client(pinned(vec![pin(&other).into(), text.clone().into()]))?;
        handshake(&own.server(), &client, "localhost").await.map_err(|error| format!("{text}: {error}"))?;
        refused(handshake(&own.server(), &client, "example.com").await, "is not for `example.com`");
    }
    let wrong = client(pinned(vec![pin(&other).into()]))?;
    let said =
        format!("failed: the key of the certificate is not among `tls.pins`; its pin is `{}`", pin(&own));
    refused(handshake(&own.server(), &wrong, "localhost").await, &said);
    // The key of the issuer does not stand for all that it issues.
    let issuer = Pair { cert: authority.cert.clone(), key: own.key.clone() };
    let of_issuer = client(pinned(vec![pin(&issuer).into()]))?;
    let chain = server(&with(own.config(), "chain", authority.cert.clone()))?;
    refused(handshake(&chain, &of_issuer, "localhost").await, &said);
    // A pin holds where nothing else is verified.
    let insecure = |pair: &Pair| {
        client(record([("insecure", true.into()), ("pins", vec![pin(pair).into()].into())])).unwrap()
    };
    handshake(&own.server(), &insecure(&own), "anything").await?;
    refused(handshake(&own.server(), &insecure(&other), "anything").await, &said);
    Ok(())
}

#[test]
fn mistakes_in_pins_say_what_belongs_there() {
    let pins =
        |pins: Value| client(record([("insecure", true.into()), ("pins", pins)])).unwrap_err().to_string();
    assert!(pins(Vec::new().into()).starts_with("config.tls.pins: an empty list trusts nobody"));
    for wrong in
        ["", "sha256/", "sha1/AAAA", &"g".repeat(64), &format!("+{}", "0".repeat(63)), &"A".repeat(44)]
    {
        let error = pins(vec![wrong.into()].into());
        assert!(
            error.starts_with("config.tls.pins[0]: expected the SHA-256 of a public key in base64"),
            "{error}"
        );
    }
    assert!(pins("x".into()).starts_with("config.tls.pins: expected the SHA-256 of a public key in base64"));
}

#[tokio::test]
async fn names_of_crossbar_mean_the_same() -> TestResult {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let middle = authority.below(&files, "middle");
    let own = middle.issue(&files, "own", params(&["example.com"]));
    let server = server(&record([
        ("certificate", own.cert.clone()),
        ("key", own.key.clone()),
        ("chain_certificates", vec![middle.cert.clone()].into()),
        ("ca_certificates", vec![authority.cert.clone()].into()),
    ]))?;
    let alice = authority.issue(&files, "alice", params(&["alice"]));
    let client = client(record([
        ("ca_certificates", vec![authority.cert.clone()].into()),
        ("hostname", "example.com".into()),
        ("certificate", alice.cert.clone()),
        ("key", alice.key.clone()),
    ]))?;
    let (seen, heard) = both_sides(&server, &client, "127.0.0.1").await;
    assert!(seen?.is_some());
    Ok(heard?)
}
