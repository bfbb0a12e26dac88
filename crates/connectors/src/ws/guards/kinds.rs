//! The types of guards and their `options` (`spec/websocket.md` 7.3).

use super::{
    Question,
    followed::{Content, Followed},
    jwt,
    keys::Keys,
};
use crate::ws::options::Settings;
use std::path::PathBuf;
use tremor_connector::config::{ConfigError, Entry, Key, OneOrMany, Problem, Reader};
use tremor_value::{Record, Value};
use tremor_ws::guard::{
    Certificates, Entry as Known, Holder, Kind, Latest, Match, ProxyIdentity, Stored, Tokens, User, Users,
    Wanted,
};
use tremor_ws::is_token;

/// Makes a guard of its `options`.
pub(super) type Read = for<'s, 'a> fn(Reader<'a>, &'s Settings<'_>) -> Result<Made, ConfigError>;

/// All types.
pub(super) const ALL: &[(&str, Read)] = &[
    ("jwt", jwt::read),
    ("basic", basic),
    ("bearer", tokens),
    ("apikey", tokens),
    ("identity", identity),
    ("tls", certificates),
    ("cookie", cookie),
    ("flow", flow),
];

pub(super) const NO_USERS: &str = "there are no users, so nobody could connect";

/// What is told if that is so.
pub(super) const DIFFERENT_TIMES: &str =
    "hashes of users take different times, which tells who is there; make all of one kind and cost";

/// What the options of a guard make.
pub(super) struct Made {
    pub(super) kind: Kind,
    /// What it needs to find in `credentials`.
    pub(super) wanted: Option<Wanted>,
    pub(super) realm: Option<String>,
    pub(super) keys: Option<Keys>,
    pub(super) users: Option<Followed<Users>>,
    pub(super) question: Option<Question>,
}

impl Made {
    /// One that finds what it needs without credentials.
    fn without_credentials(kind: Kind) -> Self {
        Self { kind, wanted: None, realm: None, keys: None, users: None, question: None }
    }
}

/// What is told where `error` was found in `config`, all keys of which have been asked for: if something is missing, what
/// stands in its place says more.
pub(super) fn instead_of(error: ConfigError, config: Reader<'_>) -> ConfigError {
    match error.problem {
        Problem::Missing { .. } => config.finish().err().unwrap_or(error),
        _ => error,
    }
}

/// `realm`, which stands in quotes in a header.
pub(super) fn realm(options: &mut Reader<'_>) -> Result<Option<String>, ConfigError> {
    let realm: Option<String> = options.optional("realm")?;
    if realm.as_ref().is_some_and(|realm| realm.chars().any(char::is_control)) {
        return Err(options.invalid("realm", "can have no control characters"));
    }
    Ok(realm)
}

fn basic(mut options: Reader<'_>, settings: &Settings<'_>) -> Result<Made, ConfigError> {
    let realm = realm(&mut options)?;
    options.hide("users");
    let file: Option<PathBuf> = options.optional("file")?;
    let mut followed = None;
    let users: Latest<Users> = match (options.record("users")?, file) {
        (Some(_), Some(_)) => return Err(options.invalid("file", "stands beside `users`; write one of them")),
        (None, None) => {
            let missing = options.missing("users", r#"a record of users, or `file`"#);
            return Err(instead_of(missing, options));
        }
        (Some(listed), None) => {
            let mut users = Users::default();
            for (name, entry) in listed.entries() {
                let user = user(entry.read()?, settings)?;
                users.add(name, user).map_err(|error| entry.invalid(error.to_string()))?;
            }
            if users.is_empty() {
                return Err(options.invalid("users", NO_USERS));
            }
            users.into()
        }
        (None, Some(path)) => {
            let users = Followed::read(path).map_err(|error| options.invalid("file", error))?;
            followed.insert(users).latest().clone()
        }
    };
    for hazard in users.get().hazards() {
        settings.warn(&format!("{}: {hazard}", options.path_text()));
    }
    options.finish()?;
    let wanted = Some(Wanted::Login);
    Ok(Made { kind: Kind::Basic(users), wanted, realm, keys: None, users: followed, question: None })
}

fn user(mut config: Reader<'_>, settings: &Settings<'_>) -> Result<User, ConfigError> {
    config.hide("password");
    config.hide("hash");
    let password: Option<&str> = config.optional("password")?;
    let password = match (password, config.entry("hash")) {
        (Some(password), None) => {
            if password.is_empty() {
                let user = config.path_text();
                settings.warn(&format!("{user}.password: is empty, so whoever knows the name is let in"));
            }
            Stored::plain(password)
        }
        (None, Some(hash)) => Stored::hash(hash.read()?).map_err(|error| hash.invalid(error.to_string()))?,
        (None, None) => return Err(config.missing("password", "a string, or `hash`")),
        (Some(_), Some(hash)) => return Err(hash.invalid("stands beside `password`; write one of them")),
    };
    let roles = roles(&mut config)?;
    config.finish()?;
    Ok(User { password, roles })
}

fn holder(entry: &Entry<'_>) -> Result<Holder, ConfigError> {
    let mut config: Reader<'_> = entry.read()?;
    let (identity, roles) = (config.optional("identity")?, roles(&mut config)?);
    config.finish()?;
    Ok(Holder { identity, roles })
}

/// What somebody may do.
fn roles(config: &mut Reader<'_>) -> Result<Vec<String>, ConfigError> {
    Ok(config.optional("roles")?.map_or_else(Vec::new, |OneOrMany(roles)| roles))
}

fn tokens(mut options: Reader<'_>, _: &Settings<'_>) -> Result<Made, ConfigError> {
    let realm = realm(&mut options)?;
    options.hide("tokens");
    let Some(listed) = options.record("tokens")? else {
        let missing = options.missing("tokens", "a record from tokens to `identity` and `roles`");
        return Err(instead_of(missing, options));
    };
    let mut tokens = Tokens::default();
    for (token, entry) in listed.entries() {
        // The keys of this record are secrets themselves: errors count instead of quoting them.
        let at = entry.path().len() - 1;
        let uncover = |mut error: ConfigError| {
            let number = listed.members().keys().position(|key| key == token);
            if let (Some(key), Some(number)) = (error.path.get_mut(at), number) {
                *key = Key::Index(number);
            }
            error
        };
        let holder = holder(&entry).map_err(uncover)?;
        tokens.add(token, holder).map_err(|error| uncover(entry.invalid(error.to_string())))?;
    }
    if tokens.is_empty() {
        return Err(options.invalid("tokens", "there are no tokens, so nobody could connect"));
    }
    options.finish()?;
    Ok(Made {
        kind: Kind::Tokens(tokens),
        wanted: Some(Wanted::Token),
        realm,
        keys: None,
        users: None,
        question: None,
    })
}

fn identity(mut options: Reader<'_>, settings: &Settings<'_>) -> Result<Made, ConfigError> {
    if settings.config.members().get("trusted_proxies").is_none_or(|trusted| trusted.is_null()) {
        return Err(settings
            .config
            .missing("trusted_proxies", "the proxies that a guard `identity` believes"));
    }
    let roles_header = options.optional("roles_header")?;
    let header = match options.required("header") {
        Ok(header) => header,
        Err(error) => return Err(instead_of(error, options)),
    };
    let proxy = ProxyIdentity { header, roles_header };
    for (key, header) in [("header", Some(&proxy.header)), ("roles_header", proxy.roles_header.as_ref())] {
        let Some(header) = header else { continue };
        if !is_token(header.as_bytes()) {
            return Err(
                options.invalid(key, format!("{header:?} is no name of a header, so no request has it"))
            );
        }
        if OF_ALL.iter().any(|name| header.eq_ignore_ascii_case(name)) {
            let problem = format!(
                "`{header}` is in every request, whoever it comes from; name the one that the proxy adds"
            );
            return Err(options.invalid(key, problem));
        }
    }
    if proxy.roles_header.as_ref().is_some_and(|roles| roles.eq_ignore_ascii_case(&proxy.header)) {
        return Err(options.conflict("roles_header", "is `header`: a name would be taken for roles"));
    }
    options.finish()?;
    Ok(Made::without_credentials(Kind::Identity(proxy)))
}

/// Headers that opening handshakes have, and that say nothing of who somebody is.
const OF_ALL: [&str; 5] = ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"];

fn certificates(mut options: Reader<'_>, settings: &Settings<'_>) -> Result<Made, ConfigError> {
    let config = settings.config.members();
    if all_tls(config).next().is_none() {
        return Err(settings.config.missing("tls", "a record, since a guard `tls` looks at certificates"));
    }
    if !all_tls(config).any(asks_for_certificates) {
        let is_off = |tls: &Value| tls.get("mutual").and_then(Value::as_str) == Some("none");
        let problem = match all_tls(config).any(is_off) {
            true => {
                "has `mutual` of `none`, so nobody is asked for the certificates that a guard `tls` looks at"
            }
            false => {
                "needs `client_ca`, since a guard `tls` looks at certificates of clients, which nobody is asked for"
            }
        };
        return Err(settings.config.conflict("tls", problem));
    }
    let mut certificates = Certificates::default();
    for entry in options.or::<Vec<Reader<'_>>>("certificates", Vec::new())? {
        certificates.add(certificate(entry)?);
    }
    if let Some(subjects) = options.record("subjects")? {
        for (pattern, roles) in subjects.entries() {
            let subject = Match::Subject(pattern.to_string());
            let OneOrMany(roles) = roles.read()?;
            certificates.add(Known { subject, identity: None, roles });
        }
    }
    if certificates.is_empty() {
        let missing = options.missing("subjects", "a record from subjects to roles, or `certificates`");
        return Err(instead_of(missing, options));
    }
    options.finish()?;
    Ok(Made::without_credentials(Kind::Certificates(certificates)))
}

fn cookie(options: Reader<'_>, settings: &Settings<'_>) -> Result<Made, ConfigError> {
    options.finish()?;
    let cookie = settings.config.members().get("cookie");
    match cookie.and_then(|cookie| cookie.get("bind_identity")).and_then(Value::as_bool) {
        Some(true) => {}
        _ if cookie.is_none_or(Value::is_null) => {
            let wanted = "a record with `bind_identity`, since a guard `cookie` knows people by theirs";
            return Err(settings.config.missing("cookie", wanted));
        }
        _ => {
            let problem =
                "needs `bind_identity`, or cookies stand for nobody whom a guard `cookie` could know";
            return Err(settings.config.conflict("cookie", problem));
        }
    }
    Ok(Made::without_credentials(Kind::Cookie))
}

fn flow(mut options: Reader<'_>, _: &Settings<'_>) -> Result<Made, ConfigError> {
    let question = match Question::read(&mut options) {
        Ok(question) => Some(question),
        Err(error) => {
            options.know("timeout");
            return Err(instead_of(error, options));
        }
    };
    options.finish()?;
    Ok(Made { question, ..Made::without_credentials(Kind::Flow) })
}

/// All settings of TLS in the configuration of a server: its own, and those of its endpoints.
pub(in crate::ws) fn all_tls(config: &Record) -> impl Iterator<Item = &Value> {
    let endpoints = config.get("endpoint").into_iter().chain(listed(config));
    let all = config.get("tls").into_iter().chain(endpoints.filter_map(|endpoint| endpoint.get("tls")));
    all.filter(|tls| !tls.is_null())
}

/// What `listen` in the configuration of a server names.
pub(in crate::ws) fn listed(config: &Record) -> &[Value] {
    config.get("listen").map_or(&[], |listen| listen.as_array().unwrap_or(std::slice::from_ref(listen)))
}

/// Whether clients are asked for certificates.
pub(in crate::ws) fn asks_for_certificates(tls: &Value) -> bool {
    let is_said = |key| tls.get(key).is_some_and(|value| !value.is_null());
    let mutual = tls.get("mutual").and_then(Value::as_str);
    (is_said("client_ca") || is_said("ca_certificates")) && mutual != Some("none")
}

/// One of `certificates`: what it is about, and who that is.
fn certificate(mut config: Reader<'_>) -> Result<Known, ConfigError> {
    let mut found: Option<Match> = None;
    type Make = fn(&Entry<'_>, String) -> Result<Match, ConfigError>;
    let ways: [(&'static str, Make); 6] = [
        // Crossbar's name.
        ("certificate-sha1", |entry, text| {
            let problem = "is no SHA-1 of a certificate: 40 hexadecimal digits";
            let found = Match::fingerprint(&text).filter(|found| matches!(found, Match::Sha1(_)));
            found.ok_or_else(|| entry.invalid(problem))
        }),
        ("fingerprint", |entry, text| {
            let problem = "is no fingerprint: 64 (SHA-256) or 40 (SHA-1) hexadecimal digits";
            Match::fingerprint(&text).ok_or_else(|| entry.invalid(problem))
        }),
        ("subject", |_, text| Ok(Match::Subject(text))),
        ("host", |_, text| Ok(Match::Host(text))),
        ("email", |_, text| Ok(Match::Email(text))),
        ("uri", |_, text| Ok(Match::Uri(text))),
    ];
    for (key, make) in ways {
        let Some(entry) = config.entry(key) else { continue };
        if found.is_some() {
            let problem = "only one of `fingerprint`, `subject`, `host`, `email` and `uri` may stand here";
            return Err(entry.invalid(problem));
        }
        found = Some(make(&entry, entry.read()?)?);
    }
    let Some(subject) = found else {
        let missing = config.missing("fingerprint", "a string, or `subject`, `host`, `email` or `uri`");
        config.know("identity");
        config.know("roles");
        return Err(instead_of(missing, config));
    };
    let known = Known { subject, identity: config.optional("identity")?, roles: roles(&mut config)? };
    config.finish()?;
    Ok(known)
}
