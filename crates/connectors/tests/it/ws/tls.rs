//! Encrypted connections with a self-signed certificate, as a user makes one.

use super::{
    client_opening::start,
    control::member,
    guards,
    peers::{PATIENT, Port, Ws, echo, mixed_sizes_come_back, next_text, of_server, text},
};
use crate::harness::{Linked, Seen, Subject, definition, json, within};
use async_tungstenite::tokio::{accept_async, client_async};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tremor_event::{Event, EventId};
use tremor_value::Value;

/// Number of the input port of a server for commands.
const CONTROL: usize = 2;

pub(super) struct Files {
    _folder: TempDir,
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    /// Takes TLS as an independent server.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_file(&self.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A certificate that is marked as a CA, as `openssl req -x509` makes it.
pub(super) fn files() -> Files {
    let folder = TempDir::new().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key_pair = KeyPair::generate().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, params.self_signed(&key_pair).unwrap().pem()).unwrap();
    fs::write(&key, key_pair.serialize_pem()).unwrap();
    Files { _folder: folder, cert, key }
}

pub(super) async fn secure_server(files: &Files) -> (Subject, Port) {
    let port = Port::reserve();
    let config = format!(
        r#"{{"url": "wss://{}", "tls": {{"cert": "{}", "key": "{}"}}{PATIENT}}}"#,
        port.address(),
        files.cert.display(),
        files.key.display()
    );
    (Subject::started(&definition("ws_server", &config, r#""json""#, "")).await, port)
}

#[tokio::test]
async fn of_several_places_each_is_plain_or_encrypted_as_it_says() {
    let files = files();
    let own = format!(r#""tls": {{"cert": "{}", "key": "{}"}}"#, files.cert.display(), files.key.display());
    let ports = [Port::reserve(), Port::reserve(), Port::reserve()];
    let tcp = format!(r#""type": "tcp", "interface": "127.0.0.1", "port": {}"#, ports[2].number);
    let (plain, encrypted) = (ports[0].address(), ports[1].address());
    for (config, has_tls) in [
        (format!(r#"{{"listen": ["ws://{plain}", "{encrypted}", {{{tcp}}}], {own}}}"#), [false, true, true]),
        (format!(r#"{{"listen": ["{plain}", "ws://{encrypted}", {{{tcp}, {own}}}]}}"#), [false, false, true]),
    ] {
        let mut subject = Subject::started(&definition("ws_server", &config, r#""json""#, "")).await;
        for (port, has_tls) in ports.iter().zip(has_tls) {
            let scheme = if has_tls { "wss" } else { "ws" };
            let tls = format!(r#", "tls": {{"cafile": "{}", "domain": "localhost"}}"#, files.cert.display());
            let tls = if has_tls { tls } else { String::new() };
            let config = format!(r#"{{"url": "{scheme}://{}"{tls}}}"#, port.address());
            let mut client = Subject::started(&definition("ws_client", &config, r#""json""#, "")).await;
            client.give("1").await;
            let event = subject.next_event().await;
            assert_eq!(of_server(&event).get("tls"), Some(&Value::from(has_tls)));
            let http = if has_tls { "https" } else { "http" };
            assert_eq!(of_server(&event).get("scheme"), Some(&Value::from(http)));
            within(client.handle.stop()).await;
        }
        within(subject.handle.stop()).await;
    }
}

#[tokio::test]
async fn tls_that_nobody_uses_is_refused() {
    let files = files();
    let own = format!(r#""tls": {{"cert": "{}", "key": "{}"}}"#, files.cert.display(), files.key.display());
    for place in [r#""listen": ["ws://127.0.0.1:1"]"#, r#""url": "ws://127.0.0.1:1""#] {
        let config = format!("{{{place}, {own}}}");
        let refused = Subject::new(&definition("ws_server", &config, r#""json""#, ""), Linked::Fully);
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains("config.tls: has no effect"), "{refused}");
    }
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
    let acceptor = files.acceptor();
    let url = format!(
        r#"{{"url": "wss://{}", "tls": {{"cafile": "{}", "domain": "localhost"}}}}"#,
        port.address(),
        files.cert.display()
    );
    let mut subject = Subject::new(&definition("ws_client", &url, r#""json""#, ""), Linked::Fully).unwrap();
    let started = start(&subject);
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

/// TLS as an independent client speaks it, which trusts those whom `root` has issued.
async fn tls_to(port: &Port, root: CertificateDer<'static>) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    within(connector.connect(name, port.tcp().await)).await.unwrap()
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
    let tls = tls_to(&port, cert.der().clone()).await;
    let mut ws = within(client_async("wss://localhost/", tls)).await.unwrap().0;
    for number in 0..100 {
        ws.send(text(number)).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(next_text(&mut ws).await, number.to_string());
    }
    mixed_sizes_come_back(ws).await;
}

/// Who issues certificates, and where its own is.
pub(super) struct Authority {
    folder: TempDir,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (folder, key) = (TempDir::new().unwrap(), KeyPair::generate().unwrap());
        fs::write(folder.path().join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, params, key }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes `<file>.crt` and `<file>.key`, for `name`; gives the members `cert` and `key`.
    pub(super) fn issue(&self, file: &str, name: &str) -> String {
        self.issue_until(file, name, None)
    }

    /// The same, valid up to that second since 1970.
    fn issue_until(&self, file: &str, name: &str, end_s: Option<u64>) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if let Some(end_s) = end_s {
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end_s);
        }
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        fs::write(self.path(&format!("{file}.crt")), cert.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        format!(r#""cert": "{0}.crt", "key": "{0}.key""#, self.path(file))
    }

    /// What a certificate is known by: `B6:E9:...`.
    fn sha1(&self, file: &str) -> String {
        let der = CertificateDer::from_pem_file(self.path(&format!("{file}.crt"))).unwrap();
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &der);
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// A server whose `tls` has these members.
    async fn server(&self, tls: &str) -> (Subject, Port) {
        let port = Port::reserve();
        let config = format!(r#"{{"url": "wss://{}", "tls": {{{tls}}}}}"#, port.address());
        (Subject::started(&definition("ws_server", &config, r#""json""#, "")).await, port)
    }

    /// A client that trusts this authority, and whose `tls` has these members, too; not started.
    fn client(&self, port: &Port, tls: &str) -> Subject {
        let (ca, address) = (self.path("ca.crt"), port.address());
        let config = format!(r#"{{"url": "wss://{address}", "tls": {{"cafile": "{ca}", {tls}}}}}"#);
        Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully).unwrap()
    }

    /// Why such a client cannot be started.
    async fn refusal(&self, port: &Port, tls: &str) -> String {
        within(self.client(port, tls).handle.start()).await.unwrap_err()
    }
}

#[tokio::test]
async fn the_certificate_of_a_client_is_in_the_metadata() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    let (mut subject, port) =
        authority.server(&format!(r#"{own}, "client_ca": "{}""#, authority.path("ca.crt"))).await;
    let refused = authority.refusal(&port, r#""domain": "localhost""#).await;
    assert!(refused.contains("it wants a certificate of ours (see `tls.cert` and `tls.key`)"), "{refused}");

    let alice = authority.issue("alice", "alice.example");
    let mut client = authority.client(&port, &format!(r#"{alice}, "domain": "localhost""#));
    within(client.handle.start()).await.unwrap();
    client.give("1").await;
    let event = subject.next_event().await;
    let told = of_server(&event).get("tls_peer").unwrap().clone();
    let names: Vec<_> = told.as_record().unwrap().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["subject", "issuer", "serial", "sans", "fingerprint", "not_after"]);
    assert_eq!(told.get("sans").unwrap().to_string(), r#"["DNS:alice.example"]"#);
    assert_eq!(told.get("issuer").unwrap().as_str(), Some("CN=rcgen self signed cert"));

    let (mut subject, port) = authority
        .server(&format!(r#"{own}, "client_ca": "{}", "mutual": "requested""#, authority.path("ca.crt")))
        .await;
    let mut client = authority.client(&port, r#""domain": "localhost""#);
    within(client.handle.start()).await.unwrap();
    client.give("1").await;
    assert_eq!(of_server(&subject.next_event().await).get("tls_peer"), None);
}

#[tokio::test]
async fn keys_come_from_servers_that_are_trusted_as_configured() {
    let files = files();
    let acceptor = files.acceptor();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/keys.json", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
            let body = format!(r#"{{"keys":[{}]}}"#, guards::jwk("one"));
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            tls.write_all(answer.as_bytes()).await.unwrap();
            let _closed_or_not = tls.shutdown().await;
        }
    });
    let others = self::files();
    for (trusted, status) in [(&files, 101), (&others, 503)] {
        let tls = format!(r#""tls": {{"cafile": "{}", "domain": "localhost"}}"#, trusted.cert.display());
        let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}", {tls}}}}}"#);
        let (_subject, port) = guards::server(&guard, r#"{"staff": []}"#, "").await;
        assert_eq!(guards::status(&port, &guards::bearer(&guards::token("one", "{}"))).await, status);
    }
}

#[tokio::test]
async fn a_guard_knows_clients_by_their_certificates() {
    let authority = Authority::new();
    let alice = authority.issue("alice", "alice.example");
    // As Crossbar writes it, and another way.
    for entry in
        [format!(r#""certificate-sha1": "{}""#, authority.sha1("alice")), r#""host": "alice.example""#.into()]
    {
        knows_alice(&authority, &alice, &entry).await;
    }
}

#[tokio::test]
async fn whom_a_certificate_lets_in_stays_as_long_as_it_is_valid() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    for on_expiry in ["notify", "close"] {
        let end_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 4;
        let alice = authority.issue_until("alice", "alice.example", Some(end_s));
        let port = Port::reserve();
        let config = format!(
            r#", "tls": {{{own}, "client_ca": "{}"}}, "routes": [{{"guarded": {{"certs": []}}, "exit": "staff"}}],
            "guards": {{"certs": {{"type": "tls", "options": {{"certificates": [{{"host": "alice.example"}}]}}}}}},
            "on_expiry": "{on_expiry}""#,
            authority.path("ca.crt")
        );
        let config = format!(r#"{{"url": "wss://{}"{config}}}"#, port.address());
        let definition = definition("ws_server", &config, r#""json""#, "");
        let mut subject = Subject::started_with(&definition, Linked::With(&["staff", "control"])).await;
        let client = authority.client(&port, &format!(r#"{alice}, "domain": "localhost""#));
        within(client.handle.start()).await.unwrap();
        assert_eq!(member(&subject.next_told().await, "kind"), "opened".into());
        let told = subject.next_told().await;
        let expected = match on_expiry {
            "notify" => ("expired", "expires_at", Value::from(end_s * 1000)),
            _ => ("closed", "reason", "token expired".into()),
        };
        assert_eq!(member(&told, "kind"), expected.0.into());
        assert_eq!(member(&told, expected.1), expected.2);
    }
}

/// A guard lets Alice in by this entry of its `certificates`, and nobody else.
async fn knows_alice(authority: &Authority, alice: &str, entry: &str) {
    let own = authority.issue("own", "localhost");
    let guarded = format!(
        r#"{own}, "client_ca": "{}", "mutual": "requested"}}, "guards": {{"certs": {{"type": "tls", "options": {{
            "certificates": [{{{entry}, "identity": "alice", "roles": ["press"]}}]}}}}}},
            "routes": [{{"guarded": {{"certs": ["press"]}}, "exit": "out"}}], "no_match": {{"status": 404"#,
        authority.path("ca.crt")
    );
    let (mut subject, port) = authority.server(&guarded).await;
    let mut client = authority.client(&port, &format!(r#"{alice}, "domain": "localhost""#));
    within(client.handle.start()).await.unwrap();
    client.give("1").await;
    let shown = of_server(&subject.next_event().await);
    assert_eq!((shown.get("identity"), shown.get("guard")), (Some(&"alice".into()), Some(&"certs".into())));
    let bob = authority.issue("bob", "bob.example");
    for others in [format!(r#"{bob}, "domain": "localhost""#), r#""domain": "localhost""#.to_owned()] {
        let refused = authority.refusal(&port, &others).await;
        assert!(refused.contains("401"), "{refused}");
    }
}

#[tokio::test]
async fn names_and_keys_that_do_not_fit_are_refused_with_what_would() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    let (_subject, port) = authority.server(&format!(r#"{own}, "sni": ["localhost"]"#)).await;
    let refused = authority.refusal(&port, r#""domain": "elsewhere""#).await;
    assert!(
        refused.contains("(UnrecognisedName): it serves nothing under this name (see `tls.domain`)"),
        "{refused}"
    );
    let pinned = |pin: &str| format!(r#""hostname": "localhost", "pins": ["{pin}"]"#);
    let refused = authority.refusal(&port, &pinned(&"0".repeat(64))).await;
    let (_, pin) = refused.split_once("is not among `tls.pins`; its pin is `").unwrap();
    let client = authority.client(&port, &pinned(pin.split('`').next().unwrap()));
    within(client.handle.start()).await.unwrap();
}

#[test]
fn entries_of_certificates_that_say_nothing_are_refused_by_what_they_say() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    for (entry, message) in [
        (r#"{"certificate-sha1": "00"}"#, "certificates[0].certificate-sha1: is no SHA-1"),
        (r#"{"certificate-sha2": "00", "roles": []}"#, "certificates[0].certificate-sha2: unknown key"),
        (r#"{"identity": "x"}"#, "certificates[0].fingerprint: missing"),
    ] {
        let guard = format!(r#"{{"type": "tls", "options": {{"certificates": [{entry}]}}}}"#);
        let tls = format!(r#"{own}, "client_ca": "{}""#, authority.path("ca.crt"));
        let config = format!(
            r#"{{"url": "127.0.0.1:1", "tls": {{{tls}}}, "guards": {{"certs": {guard}}},
                "routes": [{{"exit": "a", "guarded": {{"certs": []}}}}]}}"#
        );
        let made = Subject::new(&definition("ws_server", &config, r#""json""#, ""), Linked::Fully);
        let error = made.err().unwrap().to_string();
        assert!(error.contains(message), "{error}\n  should contain\n{message}");
    }
}

#[test]
fn mistakes_in_tls_are_found_when_the_connector_is_made() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    for (tls, message) in [
        (r#""ciphers": ["RC4"]"#, "config.tls.ciphers[0]: there is no cipher `RC4` here"),
        (r#""mutual": "required""#, "config.tls.client_ca: missing ("),
        (r#""reload": "always""#, "config.tls.reload: expected one of `watch`, `control`"),
        (r#""crl": "x.pem""#, "config.tls.crl: unknown key"),
        (r#""strict_sny": true"#, "did you mean `strict_sni`?"),
    ] {
        let config = format!(r#"{{"url": "wss://127.0.0.1:1", "tls": {{{own}, {tls}}}}}"#);
        let made = Subject::new(&definition("ws_server", &config, r#""json""#, ""), Linked::Fully);
        let error = made.err().unwrap().to_string();
        assert!(error.contains(message), "{error}\n  should contain\n{message}");
    }
}

impl Authority {
    /// TLS as an independent client speaks it, which trusts this authority.
    pub(super) async fn tls_to(&self, port: &Port) -> TlsStream<TcpStream> {
        tls_to(port, CertificateDer::from_pem_file(self.path("ca.crt")).unwrap()).await
    }

    /// A client that has just sent a message and got it back, and the certificate that it was shown. It resumes no session, as
    /// then no certificate is shown.
    async fn connect(&self, port: &Port) -> (Ws<TlsStream<TcpStream>>, CertificateDer<'static>) {
        let tls = self.tls_to(port).await;
        let shown = tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        let mut ws = within(client_async("wss://localhost/", tls)).await.unwrap().0;
        round_trip_with(&mut ws, 7).await;
        (ws, shown)
    }

    fn in_file(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("own.crt")).unwrap()
    }

    /// Lets clients come until one is shown what is in the file now; up to then it is `before`.
    async fn is_shown_instead_of(&self, before: &CertificateDer<'_>, port: &Port) {
        let after = self.in_file();
        within(async {
            loop {
                let shown = self.connect(port).await.1;
                if shown == after {
                    break;
                }
                assert_eq!(shown, *before);
            }
        })
        .await;
    }
}

async fn round_trip_with(ws: &mut Ws<TlsStream<TcpStream>>, message: u32) {
    ws.send(text(message)).await.unwrap();
    assert_eq!(next_text(ws).await, message.to_string());
}

/// All the while clients come and go, and one stays.
#[tokio::test]
async fn certificates_are_replaced_under_traffic() {
    let authority = Authority::new();
    let tls = format!(r#"{}, "reload": "watch""#, authority.issue("own", "localhost"));
    let (subject, port) = authority.server(&tls).await;
    echo(subject, |_| {});
    let (mut stays, mut before) = authority.connect(&port).await;
    assert_eq!(before, authority.in_file());
    for round in 0..2 {
        if round == 1 {
            // One that cannot be used changes nothing, and does not keep good ones from being used.
            fs::write(authority.path("own.key"), "-----BEGIN NONSENSE").unwrap();
        }
        authority.issue("own", "localhost");
        authority.is_shown_instead_of(&before, &port).await;
        before = authority.in_file();
        round_trip_with(&mut stays, round).await;
    }
}

#[tokio::test]
async fn a_command_has_the_files_read_again() {
    let authority = Authority::new();
    let (subject, port) = authority.server(&authority.issue("own", "localhost")).await;
    let into = subject.way_in();
    echo(subject, |_| {});
    let (mut stays, before) = authority.connect(&port).await;
    authority.issue("own", "localhost");
    assert_eq!(authority.connect(&port).await.1, before, "nobody has said anything");
    let command = Event {
        id: EventId::new(1, 0, 0, 0),
        payload: json(r#"{"kind": "reload_tls"}"#).into(),
        meta: Value::record().into(),
        ingest_ns: 0,
        origin: None,
        is_batch: false,
        receipt: None,
    };
    within(into.deliver(CONTROL, command.into())).await;
    authority.is_shown_instead_of(&before, &port).await;
    round_trip_with(&mut stays, 1).await;
}
