//! Real handshakes in memory, with certificates made here.

mod clients;
mod files;
mod peers;
mod servers;

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tremor_value::{Record, Value};

use super::{ClientTls, ClientTlsSetting, PeerCertificate, ServerTls, TlsKeys, explain, explain::names};
use crate::config::{ConfigError, Entry, Reader};

pub(in crate::tls) type TestResult = Result<(), Box<dyn std::error::Error>>;

pub(in crate::tls) fn record<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().collect::<Record>().into()
}

/// A folder of PEM files.
pub(in crate::tls) struct Files(TempDir);

impl Files {
    pub(in crate::tls) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(in crate::tls) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(in crate::tls) fn write(&self, name: &str, text: &str) -> Value {
        fs::write(self.path(name), text).unwrap();
        self.path(name).into()
    }

    /// Writes a self-signed certificate and its key as `<name>.crt` and `<name>.key`.
    pub(in crate::tls) fn self_signed(&self, name: &str, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        self.pair(name, &cert.pem(), &key.serialize_pem())
    }

    fn pair(&self, name: &str, cert: &str, key: &str) -> Pair {
        Pair { cert: self.write(&format!("{name}.crt"), cert), key: self.write(&format!("{name}.key"), key) }
    }
}

pub(in crate::tls) struct Pair {
    pub(in crate::tls) cert: Value,
    pub(in crate::tls) key: Value,
}

impl Pair {
    pub(in crate::tls) fn config(&self) -> Value {
        record([("cert", self.cert.clone()), ("key", self.key.clone())])
    }

    pub(in crate::tls) fn server(&self) -> ServerTls {
        server(&self.config()).unwrap()
    }

    /// A client that names this certificate.
    pub(in crate::tls) fn client(&self) -> ClientTls {
        client(record([("cafile", self.cert.clone())])).unwrap()
    }
}

/// Issues certificates.
pub(in crate::tls) struct Authority {
    pub(in crate::tls) cert: Value,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    /// Its certificate is in `<name>.crt`.
    pub(in crate::tls) fn new(files: &Files, name: &str) -> Self {
        let (params, key) = (common_name(name), KeyPair::generate().unwrap());
        let cert = files.write(&format!("{name}.crt"), &params.self_signed(&key).unwrap().pem());
        Self { cert, params, key }
    }

    /// An authority that this one has issued.
    pub(in crate::tls) fn below(&self, files: &Files, name: &str) -> Self {
        let (params, key) = (common_name(name), KeyPair::generate().unwrap());
        let cert = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Self { cert: files.write(&format!("{name}.crt"), &cert.pem()), params, key }
    }

    /// Writes `<name>.crt` and `<name>.key`.
    pub(in crate::tls) fn issue(&self, files: &Files, name: &str, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        files.pair(name, &cert.pem(), &key.serialize_pem())
    }
}

pub(in crate::tls) fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// As `openssl req -x509` marks it.
pub(in crate::tls) fn ca(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(in crate::tls) fn common_name(name: &str) -> CertificateParams {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    ca(params)
}

pub(in crate::tls) fn server(config: &Value) -> Result<ServerTls, ConfigError> {
    ServerTls::from_config(Entry::root(config, "tls").read()?, TlsKeys::WebSocket)
}

fn setting(tls: Value, keys: TlsKeys) -> Result<ClientTlsSetting, ConfigError> {
    let config = record([("tls", tls)]);
    let mut reader = Reader::new(&config, "config")?;
    let setting = ClientTlsSetting::from_config(&mut reader, keys)?;
    reader.finish()?;
    Ok(setting)
}

pub(in crate::tls) fn client(tls: Value) -> Result<ClientTls, ConfigError> {
    Ok(setting(tls, TlsKeys::WebSocket)?.enabled().unwrap())
}

/// `config` with one more member, or another value of one.
pub(in crate::tls) fn with(mut config: Value, key: &str, value: impl Into<Value>) -> Value {
    config.as_record_mut().unwrap().insert(key, value.into());
    config
}

/// What both sides say of a handshake and a byte each way.
pub(in crate::tls) async fn both_sides(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
) -> (Result<Option<PeerCertificate>, String>, Result<(), String>) {
    let (near, far) = duplex(16 * 1024);
    let serve = async {
        let mut stream = server.accept(far).await.map_err(|error| error.to_string())?;
        let byte = stream.read_u8().await.map_err(|error| explain(&error))?;
        stream.write_u8(byte).await.map_err(|error| explain(&error))?;
        stream.flush().await.map_err(|error| explain(&error))?;
        Ok(stream.client_certificate())
    };
    let ask = async {
        let mut stream = client.connect(host, near).await.map_err(|error| error.to_string())?;
        stream.write_u8(7).await.map_err(|error| explain(&error))?;
        stream.flush().await.map_err(|error| explain(&error))?;
        stream.read_u8().await.map(drop).map_err(|error| explain(&error))
    };
    tokio::join!(serve, ask)
}

/// A handshake and a byte each way; what the client says if it fails.
pub(in crate::tls) async fn handshake(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
) -> Result<(), String> {
    let (near, far) = duplex(16 * 1024);
    let serve = async {
        let mut stream = server.accept(far).await.map_err(|error| error.to_string())?;
        let byte = stream.read_u8().await.map_err(|error| error.to_string())?;
        stream.write_u8(byte + 1).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())
    };
    let ask = async {
        let mut stream = client.connect(host, near).await.map_err(|error| error.to_string())?;
        stream.write_u8(7).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        stream.read_u8().await.map_err(|error| error.to_string())
    };
    let (served, asked) = tokio::join!(serve, ask);
    assert_eq!(asked?, 8);
    served
}

#[track_caller]
pub(in crate::tls) fn refused(outcome: Result<(), String>, part: &str) {
    let text = outcome.expect_err("the handshake should have failed");
    assert!(text.contains(part), "{text}\n  should contain\n{part}");
}

#[tokio::test]
async fn a_self_signed_certificate_works_when_named() -> TestResult {
    let files = Files::new();
    for (name, params) in
        [("plain", params(&["localhost", "127.0.0.1"])), ("ca", ca(params(&["localhost", "127.0.0.1"])))]
    {
        let pair = files.self_signed(name, params);
        for host in ["localhost", "LOCALHOST", "127.0.0.1"] {
            handshake(&pair.server(), &pair.client(), host).await?;
        }
        refused(
            handshake(&pair.server(), &pair.client(), "example.com").await,
            "TLS handshake with `example.com` failed: the certificate is not for `example.com`, \
             only for `localhost`, `127.0.0.1` (see `tls.domain`)",
        );
        refused(handshake(&pair.server(), &pair.client(), "127.0.0.2").await, "is not for `127.0.0.2`");
    }
    Ok(())
}

#[tokio::test]
async fn both_protocol_versions_verify_the_signature() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["localhost"])));
    for version in ["1.2", "1.3"] {
        let tls = record([
            ("cafile", pair.cert.clone()),
            ("min_version", version.into()),
            ("max_version", version.into()),
        ]);
        handshake(&pair.server(), &client(tls)?, "localhost").await?;
    }
    Ok(())
}

/// More clients than a server would keep sessions of come back, each with what it remembers.
#[tokio::test]
async fn sessions_are_resumed_however_many_there_are() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["localhost"])));
    let server = pair.server();
    let clients: Vec<ClientTls> = (0..300).map(|_| pair.client()).collect();
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        for client in &clients {
            let (near, far) = duplex(16 * 1024);
            let serve = async {
                let mut stream = server.accept(far).await?;
                stream.write_u8(1).await?;
                Ok::<_, Box<dyn std::error::Error>>(stream.flush().await?)
            };
            let connector = tokio_rustls::TlsConnector::from(client.config().clone());
            let ask = async {
                let mut stream = connector.connect("localhost".try_into()?, near).await?;
                stream.read_u8().await?;
                Ok::<_, Box<dyn std::error::Error>>(stream.get_ref().1.handshake_kind())
            };
            let (served, asked) = tokio::join!(serve, ask);
            served?;
            assert_eq!(asked?, Some(kind));
        }
    }
    Ok(())
}

/// Somebody presents the named certificate without having its key.
#[tokio::test]
async fn a_named_certificate_needs_its_key() -> TestResult {
    use rustls::{
        ServerConfig, crypto::ring::sign::any_supported_type, server::ResolvesServerCert, sign::CertifiedKey,
    };

    #[derive(Debug)]
    struct Thief(std::sync::Arc<CertifiedKey>);
    impl ResolvesServerCert for Thief {
        fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<std::sync::Arc<CertifiedKey>> {
            Some(std::sync::Arc::clone(&self.0))
        }
    }

    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["localhost"])));
    let certificates = super::pem::certificates(&Entry::root(&pair.cert, "cert"))?;
    let other = KeyPair::generate()?;
    let key = any_supported_type(&rustls::pki_types::PrivateKeyDer::Pkcs8(other.serialize_der().into()))?;
    let stolen = std::sync::Arc::new(CertifiedKey::new(certificates, key));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_cert_resolver(std::sync::Arc::new(Thief(std::sync::Arc::clone(&stolen))));
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let insecure = client(record([("insecure", true.into())]))?;
        for client in [pair.client(), insecure] {
            let (near, far) = duplex(16 * 1024);
            let (_, connected) = tokio::join!(acceptor.accept(far), client.connect("localhost", near));
            let text = connected.expect_err("a thief was believed").to_string();
            assert!(text.contains("BadSignature") || text.contains("bad signature"), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_common_name_counts_only_without_alternative_names() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("name", common_name("localhost"));
    handshake(&pair.server(), &pair.client(), "localhost").await?;
    refused(
        handshake(&pair.server(), &pair.client(), "example.com").await,
        "the certificate is not for `example.com`, only for `localhost` (see `tls.domain`)",
    );
    let address = files.self_signed("address", common_name("127.0.0.1"));
    handshake(&address.server(), &address.client(), "127.0.0.1").await?;
    refused(handshake(&address.server(), &address.client(), "127.0.0.2").await, "is not for `127.0.0.2`");

    let mut both = params(&["example.com"]);
    both.distinguished_name.push(DnType::CommonName, "localhost");
    let both = files.self_signed("both", ca(both));
    handshake(&both.server(), &both.client(), "example.com").await?;
    refused(handshake(&both.server(), &both.client(), "localhost").await, "is not for `localhost`");
    Ok(())
}

#[test]
fn wildcards_in_common_names_stand_for_one_label() {
    let covers = |common_name: &str, wanted: &'static str| {
        super::verify::covers(common_name, &rustls::pki_types::ServerName::try_from(wanted).unwrap())
    };
    assert!(covers("*.example.com", "a.example.com"));
    assert!(covers("*.Example.com", "A.eXample.com"));
    assert!(!covers("*.example.com", "example.com"));
    assert!(!covers("*.example.com", "a.b.example.com"));
    assert!(!covers("*.com", "example.com"));
    assert!(!covers("*", "localhost"));
    assert!(!covers("a*.example.com", "ab.example.com"));
    assert!(!covers("", "localhost"));
    assert!(covers("::1", "::1"));
}

#[tokio::test]
async fn expired_and_future_certificates_are_refused() -> TestResult {
    let files = Files::new();
    for (name, with_name) in [("san", true), ("cn", false)] {
        let make = || if with_name { ca(params(&["localhost"])) } else { common_name("localhost") };
        let mut expired = make();
        expired.not_before = date_time_ymd(2000, 1, 1);
        expired.not_after = date_time_ymd(2001, 1, 1);
        let expired = files.self_signed(&format!("{name}-expired"), expired);
        refused(
            handshake(&expired.server(), &expired.client(), "localhost").await,
            "the certificate has expired",
        );
        let mut future = make();
        future.not_before = date_time_ymd(4000, 1, 1);
        future.not_after = date_time_ymd(4001, 1, 1);
        let future = files.self_signed(&format!("{name}-future"), future);
        refused(handshake(&future.server(), &future.client(), "localhost").await, "not valid yet");
    }
    Ok(())
}

#[tokio::test]
async fn certificates_for_clients_only_are_refused() -> TestResult {
    let files = Files::new();
    let mut params = params(&["localhost"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let pair = files.self_signed("client", params);
    refused(handshake(&pair.server(), &pair.client(), "localhost").await, "cannot be used");
    Ok(())
}

#[tokio::test]
async fn certificates_that_are_not_named_need_a_known_issuer() -> TestResult {
    let files = Files::new();
    let root_key = KeyPair::generate()?;
    let root_params = common_name("root");
    let root = root_params.self_signed(&root_key)?;
    let issuer = Issuer::from_params(&root_params, &root_key);
    let issue = |name: &str, params: CertificateParams| -> Result<Pair, Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        Ok(files.pair(name, &params.signed_by(&key, &issuer)?.pem(), &key.serialize_pem()))
    };
    let leaf = issue("leaf", params(&["localhost"]))?;
    let marked = issue("marked", ca(params(&["localhost"])))?;
    let unnamed = issue("unnamed", {
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params
    })?;
    let other = files.self_signed("other", ca(params(&["localhost"])));
    // The right root may be the second certificate of the file, or in the second file.
    let root_file = files.write("root.crt", &root.pem());
    let both = fs::read_to_string(files.path("other.crt"))? + &root.pem();
    let both = client(record([("cafile", files.write("both.crt", &both))]))?;
    let list = client(record([("cafile", vec![other.cert.clone(), root_file.clone()].into())]))?;
    for trusting in [&both, &list] {
        handshake(&leaf.server(), trusting, "localhost").await?;
        handshake(&other.server(), trusting, "localhost").await?;
        refused(handshake(&leaf.server(), trusting, "example.com").await, "is not for `example.com`");
    }
    refused(
        handshake(&leaf.server(), &other.client(), "localhost").await,
        "nobody we trust has issued the certificate",
    );
    // One that we trust has the name of the issuer, and another kind of key.
    let namesake_key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let namesake = files.write("namesake.crt", &ca(common_name("root")).self_signed(&namesake_key)?.pem());
    refused(
        handshake(&leaf.server(), &client(record([("cafile", namesake)]))?, "localhost").await,
        "nobody we trust has issued the certificate",
    );
    // Only a named certificate may be marked as a CA, or have its name in the subject alone.
    refused(handshake(&marked.server(), &list, "localhost").await, "the certificate is marked as a CA");
    handshake(&marked.server(), &marked.client(), "localhost").await?;
    refused(handshake(&unnamed.server(), &list, "localhost").await, "is not for `localhost`");
    Ok(())
}

#[tokio::test]
async fn servers_send_their_chain() -> TestResult {
    let files = Files::new();
    let root_key = KeyPair::generate()?;
    let root_params = common_name("root");
    let root = files.write("root.crt", &root_params.self_signed(&root_key)?.pem());
    let middle_key = KeyPair::generate()?;
    let middle_params = common_name("middle");
    let middle = middle_params.signed_by(&middle_key, &Issuer::from_params(&root_params, &root_key))?;
    let leaf_key = KeyPair::generate()?;
    let leaf =
        params(&["localhost"]).signed_by(&leaf_key, &Issuer::from_params(&middle_params, &middle_key))?;
    let pair = files.pair("leaf", &leaf.pem(), &leaf_key.serialize_pem());
    let client = client(record([("cafile", root)]))?;
    refused(handshake(&pair.server(), &client, "localhost").await, "nobody we trust");
    let chain = record([
        ("cert", pair.cert),
        ("key", pair.key.clone()),
        ("chain", vec![files.write("middle.crt", &middle.pem())].into()),
    ]);
    handshake(&server(&chain)?, &client, "localhost").await?;
    // The chain may also stand in the file of the certificate.
    let whole = files.write("whole.crt", &(leaf.pem() + &middle.pem()));
    handshake(&server(&record([("cert", whole), ("key", pair.key)]))?, &client, "localhost").await?;
    Ok(())
}

#[tokio::test]
async fn domain_replaces_the_host_and_names_are_sent() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["example.com", "127.0.0.1"])));
    let sent = |client: ClientTls, host: &'static str| {
        let server = pair.server();
        async move {
            let (near, far) = duplex(16 * 1024);
            let (accepted, connected) = tokio::join!(server.accept(far), client.connect(host, near));
            connected.map_err(|error| error.to_string())?;
            let accepted = accepted.map_err(|error| error.to_string())?;
            Ok::<_, String>(accepted.get_ref().get_ref().1.server_name().map(str::to_owned))
        }
    };
    let domain = client(record([("cafile", pair.cert.clone()), ("domain", "example.com".into())]))?;
    assert_eq!(sent(domain, "0.0.0.0").await?, Some("example.com".into()));
    assert_eq!(sent(pair.client(), "example.com").await?, Some("example.com".into()));
    assert_eq!(sent(pair.client(), "127.0.0.1").await?, None, "addresses are never sent");
    refused(sent(pair.client(), "a b").await.map(drop), "`a b` is no name that a certificate can have");
    Ok(())
}

#[tokio::test]
async fn insecure_accepts_any_certificate() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["example.com"])));
    let insecure = client(record([("insecure", true.into())]))?;
    handshake(&pair.server(), &insecure, "localhost").await?;
    assert!(setting(record([("insecure", true.into())]), TlsKeys::Common).is_err(), "websockets only");
    Ok(())
}

#[tokio::test]
async fn versions_and_protocols_have_to_meet() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["localhost"])));
    let with = |key: &str, value: Value| {
        let base = record([("cert", pair.cert.clone()), ("key", pair.key.clone()), (key, value.clone())]);
        (server(&base), client(record([("cafile", pair.cert.clone()), (key, value)])))
    };
    let new_server = with("min_version", "1.3".into()).0?;
    let old_client = with("max_version", "1.2".into()).1?;
    refused(handshake(&new_server, &old_client, "localhost").await, "the peer refused it (ProtocolVersion)");
    // A server speaks http/1.1 unless told otherwise; a client that offers nothing is served.
    let h2_client = with("alpn", vec!["h2".into()].into()).1?;
    refused(handshake(&pair.server(), &h2_client, "localhost").await, "(NoApplicationProtocol)");
    let both_client = with("alpn", vec!["h2".into(), "http/1.1".into()].into()).1?;
    handshake(&pair.server(), &both_client, "localhost").await?;
    let error = with("alpn", vec!["".into()].into()).0.unwrap_err();
    assert_eq!(error.path_text(), "tls.alpn[0]");
    let error = client(record([("min_version", "1.3".into()), ("max_version", "1.2".into())])).unwrap_err();
    assert_eq!(error.to_string(), "config.tls.max_version: is below `min_version`");
    let error = client(record([("min_version", "1.1".into())])).unwrap_err();
    assert!(error.to_string().starts_with("config.tls.min_version: expected one of `1.2`, `1.3`"), "{error}");
    Ok(())
}

#[tokio::test]
async fn clients_show_their_certificate() -> TestResult {
    use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
    use std::sync::Arc;

    let files = Files::new();
    let pair = files.self_signed("server", ca(params(&["localhost"])));
    let own = files.self_signed("own", params(&["client"]));
    let mut roots = RootCertStore::empty();
    for certificate in super::pem::certificates(&Entry::root(&own.cert, "cert"))? {
        roots.add(certificate)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider()).build()?;
    let key = super::pem::private_key(&Entry::root(&pair.key, "key"))?;
    let config = ServerConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(super::pem::certificates(&Entry::root(&pair.cert, "cert"))?, key)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let showing = client(record([
        ("cafile", pair.cert.clone()),
        ("cert", own.cert.clone()),
        ("key", own.key.clone()),
    ]))?;
    let (near, far) = duplex(16 * 1024);
    let (accepted, _connected) = tokio::join!(acceptor.accept(far), showing.connect("localhost", near));
    assert_eq!(accepted?.get_ref().1.peer_certificates().map(<[_]>::len), Some(1));
    let (near, far) = duplex(16 * 1024);
    let anonymous = pair.client();
    let (accepted, _connected) = tokio::join!(acceptor.accept(far), anonymous.connect("localhost", near));
    assert!(accepted.is_err());
    Ok(())
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_named() -> TestResult {
    let files = Files::new();
    let pair = files.self_signed("ca", ca(params(&["localhost"])));
    let (mut near, far) = duplex(1024);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let error = pair.server().accept(far).await.unwrap_err().to_string();
    assert!(error.starts_with("TLS handshake failed: the peer does not speak TLS"), "{error}");
    let (near, far) = duplex(1024);
    drop(near);
    let error = pair.server().accept(far).await.unwrap_err().to_string();
    assert_eq!(error, "TLS handshake failed: the peer closed the connection");
    let (near, mut far) = duplex(1024);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
    let error = pair.client().connect("localhost", near).await.unwrap_err().to_string();
    assert!(
        error.starts_with("TLS handshake with `localhost` failed: the peer does not speak TLS"),
        "{error}"
    );
    Ok(())
}

#[test]
fn names_that_a_peer_chose_are_escaped_and_cut() {
    let long = format!("DnsName(\"{}\")", "x".repeat(100_000));
    let mut presented = vec!["DnsName(\"a\u{1b}[31m\n\")".to_owned(), long, "IpAddress(1.2.3.4)".to_owned()];
    presented.extend((0..1_000).map(|number| format!("n{number}")));
    let text = names(&presented);
    assert!(text.starts_with("`a\\u{1b}[31m\\n`, `xxx"), "{text}");
    assert!(text.ends_with("x`, `1.2.3.4`, `n0`, `n1` and 998 more") && text.len() < 200, "{text}");
}
