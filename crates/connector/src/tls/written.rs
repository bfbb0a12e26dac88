//! What the `tls` record of a server says (`spec/websocket.md` 14.1), before any file is read.

use rustls::SupportedCipherSuite;

use super::{TlsKeys, Versions, alpn, ciphers, either};
use crate::config::{ConfigError, Entry, OneOrMany, Reader};

/// Names that Zilla has for some of this (`spec/websocket.md` 20).
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "keys",
        "is written as `cert` and `key`, or as `certs` for several: files instead of entries of a vault",
    ),
    ("signers", "is written as `cert` and `key`: files instead of entries of a vault"),
    ("trust", "is written as `client_ca`: files instead of entries of a vault"),
    ("trustcacerts", "is not for a server: `client_ca` names whose clients are let in"),
    ("version", "is written as `min_version` and `max_version`"),
];

/// A certificate and what belongs to it.
pub(super) struct Pair<'a> {
    pub(super) cert: Entry<'a>,
    pub(super) key: Entry<'a>,
    pub(super) chain: Vec<Entry<'a>>,
    /// Who is shown it; the names in the certificate if nothing is said.
    pub(super) names: Option<Vec<Entry<'a>>>,
}

/// Files with those whose clients are let in.
pub(super) struct Clients<'a> {
    pub(super) setting: Entry<'a>,
    pub(super) files: Vec<Entry<'a>>,
    /// A client that shows no certificate is not let in.
    pub(super) required: bool,
}

/// The names that clients may ask for.
pub(super) enum Admission<'a> {
    /// All.
    Any,
    /// Those that the certificates are for; the entry is what says so.
    Known(Entry<'a>),
    /// These.
    Listed(Entry<'a>),
}

/// All of it.
pub(super) struct Written<'a> {
    /// At least one.
    pub(super) pairs: Vec<Pair<'a>>,
    pub(super) clients: Option<Clients<'a>>,
    pub(super) versions: Versions,
    pub(super) suites: Option<(Entry<'a>, Vec<SupportedCipherSuite>)>,
    pub(super) protocols: Vec<Vec<u8>>,
    pub(super) admission: Admission<'a>,
    pub(super) watches: bool,
    pub(super) hazards: Vec<String>,
}

impl<'a> Written<'a> {
    /// Reads the record.
    pub(super) fn read(mut tls: Reader<'a>, keys: TlsKeys) -> Result<Self, ConfigError> {
        let mut written = Self {
            pairs: Vec::new(),
            clients: None,
            versions: Versions::default(),
            suites: None,
            protocols: Vec::new(),
            admission: Admission::Any,
            watches: false,
            hazards: Vec::new(),
        };
        match keys {
            TlsKeys::Common => written.pairs.push(Pair {
                cert: tls.required_like("cert", "path of a PEM certificate")?,
                key: tls.required_like("key", "path of the PEM private key of `cert`")?,
                chain: Vec::new(),
                names: None,
            }),
            TlsKeys::WebSocket | TlsKeys::WebSocketOrHttp2 => {
                tls.refuse(ELSEWHERE)?;
                written.read_more(&mut tls, keys)?;
            }
        }
        tls.finish()?;
        Ok(written)
    }

    fn read_more(&mut self, tls: &mut Reader<'a>, keys: TlsKeys) -> Result<(), ConfigError> {
        self.pairs = pairs(tls)?;
        self.versions = Versions::from_config(tls)?;
        if let Some(suites) = ciphers::from_config(tls, &mut self.versions, &mut self.hazards)? {
            self.suites = tls.entry("ciphers").map(|entry| (entry, suites));
        }
        self.protocols = alpn(tls, keys.protocols(&["http/1.1"]))?;
        let hazard = keys.hazard(&self.protocols).or_else(|| keys.lack(&self.protocols));
        self.hazards.extend(hazard.map(str::to_owned));
        if tls.optional::<std::path::PathBuf>("dhparam")?.is_some() {
            let hazard = "`tls.dhparam` has no effect: finite-field key exchange is never used";
            self.hazards.push(hazard.to_owned());
        }
        self.watches = tls.word("reload", &[("watch", true), ("control", false)])?.unwrap_or(false);
        self.clients = self.clients(tls)?;
        self.admission = self.admission(tls)?;
        Ok(())
    }

    fn clients(&mut self, tls: &mut Reader<'a>) -> Result<Option<Clients<'a>>, ConfigError> {
        let words = [("required", Some(true)), ("requested", Some(false)), ("none", None)];
        let mutual = tls.word("mutual", &words)?;
        let Some(setting) = either(tls, "client_ca", "ca_certificates")? else {
            return match mutual.flatten() {
                None => Ok(None),
                Some(_) => Err(tls.missing(
                    "client_ca",
                    "files with the authorities of clients, since `mutual` asks for certificates",
                )),
            };
        };
        let OneOrMany(files) = setting.read()?;
        if files.is_empty() {
            return Err(
                setting.invalid("an empty list lets nobody in; leave it out to ask for no certificate")
            );
        }
        let required = match mutual {
            None => true,
            Some(Some(required)) => required,
            Some(None) => {
                self.hazards.push("`tls.client_ca` has no effect, since `tls.mutual` is `none`".to_owned());
                return Ok(None);
            }
        };
        Ok(Some(Clients { setting, files, required }))
    }

    fn admission(&mut self, tls: &mut Reader<'a>) -> Result<Admission<'a>, ConfigError> {
        let strict_sni = tls.entry("strict_sni");
        let strict = strict_sni.as_ref().map(Entry::read::<bool>).transpose()?;
        let sni = tls.entry("sni");
        if let Some(sni) = &sni
            && sni.read::<OneOrMany<Entry<'_>>>()?.0.is_empty()
        {
            return Err(sni.invalid("an empty list admits nobody; leave it out to admit every name"));
        }
        Ok(match (sni, strict, strict_sni) {
            (Some(_), Some(false), _) => {
                let hazard = "`tls.sni` has no effect with `strict_sni` off: whoever asks for another name is served, too";
                self.hazards.push(hazard.to_owned());
                Admission::Any
            }
            (Some(sni), ..) => Admission::Listed(sni),
            (None, Some(true), Some(strict_sni)) => Admission::Known(strict_sni),
            (None, ..) => Admission::Any,
        })
    }
}

/// `cert`, `key` and `chain`, or a list of such records in `certs`.
fn pairs<'a>(tls: &mut Reader<'a>) -> Result<Vec<Pair<'a>>, ConfigError> {
    let Some(certs) = tls.entry("certs") else { return Ok(vec![pair(tls)?]) };
    for key in ["cert", "certificate", "key", "chain", "chain_certificates"] {
        if tls.entry(key).is_some() {
            return Err(tls.invalid(
                key,
                "belongs into an entry of `certs`, whose first one is shown to everybody whom no other is for",
            ));
        }
    }
    let mut pairs = Vec::new();
    for mut entry in certs.read::<Vec<Reader<'_>>>()? {
        let names: Option<OneOrMany<Entry<'_>>> = entry.optional("names")?;
        let names = names.map(|OneOrMany(names)| names);
        pairs.push(Pair { names, ..pair(&mut entry)? });
        entry.finish()?;
    }
    if pairs.is_empty() {
        return Err(certs.invalid("needs at least one entry"));
    }
    Ok(pairs)
}

fn pair<'a>(tls: &mut Reader<'a>) -> Result<Pair<'a>, ConfigError> {
    let cert = match either(tls, "cert", "certificate")? {
        Some(cert) => cert,
        None => tls.required_like("cert", "path of a PEM certificate")?,
    };
    let key = tls.required_like("key", "path of the PEM private key of `cert`")?;
    let chain = either(tls, "chain", "chain_certificates")?;
    let chain = chain.map(|chain| chain.read()).transpose()?;
    let OneOrMany(chain) = chain.unwrap_or(OneOrMany(Vec::new()));
    Ok(Pair { cert, key, chain, names: None })
}
