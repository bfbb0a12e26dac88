//! Files of a client's TLS that change while it is at work.

use super::{client_opening::start, peers::Port, tls::Authority};
use crate::harness::{Linked, Subject, definition, json, within};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{fs, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tremor_codec::testing::Log;
use tremor_connector::Definition;

fn certificate(authority: &Authority, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(authority.path(&format!("{name}.crt"))).unwrap()
}

/// Takes TLS as an independent server that shows `name`, and wants a certificate of this authority.
fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate(authority, "ca")).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{name}.key"))).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![certificate(authority, name)], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What the client of the next connection shows; that is all it gets.
async fn shown_by_the_next(listener: &TcpListener, acceptor: &TlsAcceptor) -> CertificateDer<'static> {
    let (tcp, _) = within(listener.accept()).await.unwrap();
    let tls = within(acceptor.accept(tcp)).await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_client_shows_the_certificate_that_is_in_the_file_when_it_connects() {
    let (told, _listening) = Log::listen();
    let authority = Authority::new();
    authority.issue("server", "localhost");
    let own = authority.issue("own", "alice.example");
    let acceptor = acceptor(&authority, "server");
    let port = Port::reserve();
    let listener = port.listen();
    let (ca, address) = (authority.path("ca.crt"), port.address());
    let config =
        format!(r#"{{"url": "wss://{address}", "tls": {{"cafile": "{ca}", "domain": "localhost", {own}}}}}"#);
    let soon = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;
    let definition =
        Definition { reconnect: Some(json(soon)), ..definition("ws_client", &config, r#""json""#, "") };
    let client = Subject::new(&definition, Linked::Fully).unwrap();
    let _starting = start(&client);
    let before = certificate(&authority, "own");
    assert_eq!(shown_by_the_next(&listener, &acceptor).await, before);
    let broken = "cannot be used as they are now, so what was read before stays in use: config.tls.key: ";
    fs::write(authority.path("own.key"), "-----BEGIN NONSENSE").unwrap();
    while !told.text().contains(broken) {
        assert_eq!(shown_by_the_next(&listener, &acceptor).await, before);
    }
    for _ in 0..3 {
        assert_eq!(shown_by_the_next(&listener, &acceptor).await, before);
    }
    assert_eq!(told.text().matches(broken).count(), 1, "{}", told.text());
    authority.issue("own", "bob.example");
    let after = certificate(&authority, "own");
    while shown_by_the_next(&listener, &acceptor).await != after {}
    assert!(told.text().contains("new connections use the files of `tls` as they are now"));
}
