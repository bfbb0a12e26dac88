//! Encrypted connections with a self-signed certificate, as a user makes one.

use super::peers::{Port, echo, mixed_sizes_come_back, next_text, text};
use crate::harness::{Linked, Seen, Subject, definition, within};
use async_tungstenite::tokio::{accept_async, client_async};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::{fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tremor_value::Value;

struct Files {
    _folder: TempDir,
    cert: PathBuf,
    key: PathBuf,
}

/// A certificate that is marked as a CA, as `openssl req -x509` makes it.
fn files() -> Files {
    let folder = TempDir::new().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key_pair = KeyPair::generate().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, params.self_signed(&key_pair).unwrap().pem()).unwrap();
    fs::write(&key, key_pair.serialize_pem()).unwrap();
    Files { _folder: folder, cert, key }
}

async fn secure_server(files: &Files) -> (Subject, Port) {
    let port = Port::reserve();
    let config = format!(
        r#"{{"url": "wss://{}", "tls": {{"cert": "{}", "key": "{}"}}}}"#,
        port.address(),
        files.cert.display(),
        files.key.display()
    );
    (Subject::started(&definition("ws_server", &config, r#""json""#, "")).await, port)
}

#[tokio::test]
async fn garbage_in_the_place_of_tls_harms_nobody_else() {
    let files = files();
    let (subject, port) = secure_server(&files).await;
    echo(subject, |_| {});
    let mut garbage = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b""] {
        let mut tcp = port.tcp().await;
        tcp.write_all(bytes).await.unwrap();
        garbage.push(tcp);
    }
    let config = format!(
        r#"{{"url": "wss://{}/x?y", "tls": {{"cafile": "{}", "domain": "localhost"}}}}"#,
        port.address(),
        files.cert.display()
    );
    let mut client = Subject::started(&definition("ws_client", &config, r#""json""#, "")).await;
    for number in 0..100 {
        client.give(&number.to_string()).await;
    }
    for number in 0..100 {
        assert_eq!(client.next_value().await, number.to_string());
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_with_the_cause() {
    let files = files();
    let (_subject, port) = secure_server(&files).await;
    let config = format!(
        r#"{{"url": "wss://{}", "tls": {{"cafile": "{}", "domain": "elsewhere"}}}}"#,
        port.address(),
        files.cert.display()
    );
    let definition = definition("ws_client", &config, r#""json""#, "");
    let client = Subject::new(&definition, Linked::Fully).unwrap();
    let failure = within(client.handle.start()).await.unwrap_err();
    assert!(failure.contains("not for `elsewhere`"), "{failure}");
    assert!(failure.contains(&port.address()), "{failure}");
}

#[tokio::test]
async fn an_independent_server_takes_our_client() {
    let files = files();
    let port = Port::reserve();
    let listener = port.listen();
    let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let url = format!(
        r#"{{"url": "wss://{}", "tls": {{"cafile": "{}", "domain": "localhost"}}}}"#,
        port.address(),
        files.cert.display()
    );
    let mut subject = Subject::new(&definition("ws_client", &url, r#""json""#, ""), Linked::Fully).unwrap();
    let handle = subject.handle.clone();
    let started = tokio::spawn(async move { handle.start().await });
    let tcp = within(listener.accept()).await.unwrap().0;
    let mut ws = within(accept_async(within(acceptor.accept(tcp)).await.unwrap())).await.unwrap();
    within(started).await.unwrap().unwrap();
    subject.open();
    let long = "x".repeat(300_000);
    ws.send(text(format!("\"{long}\""))).await.unwrap();
    let event = subject.next_event().await;
    assert_eq!(event.payload.value().as_str(), Some(long.as_str()));
    subject.deliver(0, event).await;
    assert_eq!(next_text(&mut ws).await, format!("\"{long}\""));
    // It goes without a goodbye, of WebSocket or of TLS.
    drop(ws);
    let Seen::Event("err", told) = subject.next().await else { panic!("no `closed` on err") };
    let told = told.payload.value().get("error").and_then(Value::as_str).map(str::to_owned);
    assert_eq!(told.as_deref(), Some("the peer ended the connection without a goodbye"));
}

#[tokio::test]
async fn our_server_takes_an_independent_client() {
    let folder = TempDir::new().unwrap();
    let key_pair = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key_pair).unwrap();
    let (cert_file, key) = (folder.path().join("c"), folder.path().join("k"));
    fs::write(&cert_file, cert.pem()).unwrap();
    fs::write(&key, key_pair.serialize_pem()).unwrap();
    let files = Files { _folder: folder, cert: cert_file, key };
    let (subject, port) = secure_server(&files).await;
    echo(subject, |_| {});
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let tls = within(connector.connect(name, port.tcp().await)).await.unwrap();
    let mut ws = within(client_async("wss://localhost/", tls)).await.unwrap().0;
    for number in 0..100 {
        ws.send(text(number)).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(next_text(&mut ws).await, number.to_string());
    }
    mixed_sizes_come_back(ws).await;
}
