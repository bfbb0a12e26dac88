//! A schema registry that speaks the documented REST calls of both flavours.

use crate::ws::tls::Files;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tremor_value::{Record, Value};

/// A schema as it is kept.
#[derive(Clone)]
struct Kept {
    id: u64,
    subject: String,
    version: u64,
    format: &'static str,
    text: String,
    /// Name, subject, version.
    references: Vec<(String, String, u64)>,
}

#[derive(Default)]
struct State {
    kept: Vec<Kept>,
    /// All that was asked for: the target, and the credentials.
    asked: Vec<(String, String)>,
    /// Nothing is answered but 500.
    is_down: bool,
    /// Nothing is answered for now.
    is_held: watch::Sender<bool>,
    /// How long an answer takes.
    slow: Duration,
    /// Instead of any answer.
    nonsense: Option<String>,
    /// Instead of any answer, with its head; the last byte comes again and again if it never ends.
    raw: Option<(Vec<u8>, bool)>,
}

#[derive(Clone)]
pub(super) struct Registry {
    state: Arc<Mutex<State>>,
    pub(super) url: String,
}

impl Registry {
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One that is spoken to with TLS, as `localhost`.
    pub(super) async fn secure(files: &Files) -> Self {
        let chain = CertificateDer::from_pem_file(&files.cert).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![chain], key).unwrap()));
        let mut registry = Self::start_with(Some(acceptor)).await;
        registry.url = registry.url.replace("http://127.0.0.1", "https://localhost");
        registry
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let registry = Self { state: Arc::default(), url };
        let own = registry.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (own, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => own.serve(tcp).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                own.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        registry
    }

    /// Registers a schema under the next version of `subject`.
    pub(super) fn add(&self, id: u64, subject: &str, format: &'static str, text: &str) {
        self.add_with(id, subject, format, text, &[]);
    }

    pub(super) fn add_with(
        &self,
        id: u64,
        subject: &str,
        format: &'static str,
        text: &str,
        references: &[(&str, &str, u64)],
    ) {
        let mut state = self.state.lock().unwrap();
        let version = 1 + state.kept.iter().filter(|kept| kept.subject == subject).count() as u64;
        let references = references
            .iter()
            .map(|(name, subject, version)| ((*name).to_owned(), (*subject).to_owned(), *version));
        let (subject, text, references) = (subject.to_owned(), text.to_owned(), references.collect());
        state.kept.push(Kept { id, subject, version, format, text, references });
    }

    pub(super) fn down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    pub(super) fn hold(&self, is_held: bool) {
        self.state.lock().unwrap().is_held.send_replace(is_held);
    }

    pub(super) fn slow(&self, slow: Duration) {
        self.state.lock().unwrap().slow = slow;
    }

    pub(super) fn nonsense(&self, nonsense: &str) {
        self.state.lock().unwrap().nonsense = Some(nonsense.to_owned());
    }

    pub(super) fn sense(&self) {
        self.state.lock().unwrap().nonsense = None;
    }

    /// This is the answer to everything from now on, head and all.
    pub(super) fn raw(&self, raw: &[u8], is_endless: bool) {
        self.state.lock().unwrap().raw = Some((raw.to_vec(), is_endless));
    }

    /// The targets that were asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.iter().map(|(target, _)| target.clone()).collect()
    }

    pub(super) fn credentials(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.iter().map(|(_, credentials)| credentials.clone()).collect()
    }

    async fn serve(&self, mut tcp: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = tcp.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let credentials = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("authorization: ").map(str::to_owned));
        let (answer, slow) = {
            let mut state = self.state.lock().unwrap();
            state.asked.push((target.clone(), credentials.unwrap_or_default()));
            let answer = match &state.nonsense {
                _ if state.is_down => Err(500),
                Some(nonsense) => Ok(nonsense.clone()),
                None => state.answer(&target),
            };
            (answer, state.slow)
        };
        let raw = self.state.lock().unwrap().raw.clone();
        if let Some((raw, is_endless)) = raw {
            let more = vec![*raw.last().unwrap(); 1 << 16];
            let mut sent = tcp.write_all(&raw).await;
            while is_endless && sent.is_ok() {
                sent = tcp.write_all(&more).await;
            }
            return;
        }
        let mut held = self.state.lock().unwrap().is_held.subscribe();
        held.wait_for(|is_held| !is_held).await.unwrap();
        tokio::time::sleep(slow).await;
        let (status, body) = match answer {
            Ok(body) => (200, body),
            Err(status) => (status, r#"{"error_code": 40401, "message": "no"}"#.to_owned()),
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        tcp.write_all(answer.as_bytes()).await.ok();
        tcp.shutdown().await.ok();
    }
}

impl State {
    fn answer(&self, target: &str) -> Result<String, u16> {
        let path = target.split('?').next().unwrap();
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let by_id = |id: &str| self.kept.iter().find(|kept| kept.id.to_string() == id).ok_or(404_u16);
        let by_subject = |subject: &str, version: &str| {
            let mut of_subject = self.kept.iter().filter(|kept| kept.subject == subject);
            let found = match version {
                "latest" => of_subject.next_back(),
                version => of_subject.find(|kept| kept.version.to_string() == version),
            };
            found.ok_or(404_u16)
        };
        let meta = |kept: &Kept| {
            record([
                ("id", kept.subject.as_str().into()),
                ("type", kept.format.into()),
                ("globalId", kept.id.into()),
                ("contentId", (kept.id + 1000).into()),
                ("version", kept.version.to_string().into()),
            ])
            .to_string()
        };
        Ok(match segments.as_slice() {
            ["schemas", "ids", id] => of_confluent(by_id(id)?, false),
            ["subjects", subject, "versions", version] => of_confluent(by_subject(subject, version)?, true),
            ["apis", "registry", "v2", "ids", kind, id, rest @ ..] => {
                let number: u64 = id.parse().map_err(|_| 404_u16)?;
                let number =
                    if *kind == "contentIds" { number.checked_sub(1000).ok_or(404_u16)? } else { number };
                let kept = by_id(&number.to_string())?;
                match rest {
                    [] => kept.text.clone(),
                    // There are registries that know no such place.
                    ["references"] if kept.references.is_empty() => return Err(404),
                    ["references"] => Value::from(
                        kept.references
                            .iter()
                            .map(|(name, artifact, version)| {
                                record([
                                    ("groupId", group_of(artifact).into()),
                                    ("artifactId", artifact.as_str().into()),
                                    ("version", version.to_string().into()),
                                    ("name", name.as_str().into()),
                                ])
                            })
                            .collect::<Vec<_>>(),
                    )
                    .to_string(),
                    _ => return Err(404),
                }
            }
            ["apis", "registry", "v2", "groups", group, "artifacts", artifact, ..]
                if *group != group_of(artifact) =>
            {
                return Err(404);
            }
            ["apis", "registry", "v2", "groups", _, "artifacts", artifact, "meta"] => {
                meta(by_subject(artifact, "latest")?)
            }
            ["apis", "registry", "v2", "groups", _, "artifacts", artifact, "versions", version, "meta"] => {
                meta(by_subject(artifact, version)?)
            }
            _ => return Err(404),
        })
    }
}

fn group_of(artifact: &str) -> &'static str {
    if artifact.starts_with("lab-") { "lab" } else { "plant" }
}

fn of_confluent(kept: &Kept, with_id: bool) -> String {
    let mut members = BTreeMap::from([("schema", Value::from(kept.text.as_str()))]);
    if kept.format != "AVRO" {
        members.insert("schemaType", kept.format.into());
    }
    if with_id {
        members.insert("id", kept.id.into());
        members.insert("subject", kept.subject.as_str().into());
        members.insert("version", kept.version.into());
    }
    let references = kept.references.iter().map(|(name, subject, version)| {
        record([
            ("name", name.as_str().into()),
            ("subject", subject.as_str().into()),
            ("version", (*version).into()),
        ])
    });
    let references: Vec<_> = references.collect();
    if !references.is_empty() {
        members.insert("references", references.into());
    }
    Value::from(members.into_iter().collect::<Record>()).to_string()
}

fn record<const N: usize>(members: [(&'static str, Value); N]) -> Value {
    Record::from_iter(members).into()
}

fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits: Vec<u8> = rest.by_ref().take(2).collect();
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}
