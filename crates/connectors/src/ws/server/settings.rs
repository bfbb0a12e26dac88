//! The settings of a server that are of all its connections.

use crate::ws::{
    guards::{all_tls, asks_for_certificates, listed},
    header_list,
    options::{Settings, Wire},
};
use std::{net::IpAddr, num::NonZeroU16, sync::Arc};
use tremor_connector::{
    config::{ConfigError, Entry, OneOrMany, Reader},
    url::{Rules, Url},
};
use tremor_value::{Record, Value};
use tremor_ws::{
    Authority, ExtraHeaders, HandshakeOptions, Network, OriginPattern, OriginRules, Protocols, RejectOptions,
    Role, Trust, cover, is_in, is_token,
};

/// What the protocol of a server is told; `defaults` where `settings` say nothing.
pub(super) fn wire(settings: &mut Settings<'_>, defaults: &Wire) -> Result<Wire, ConfigError> {
    let mut wire = Wire::read(settings, Role::Server, defaults)?;
    let options = &mut wire.options;
    options.require_masked_client_frames =
        settings.flag("require_masked_client_frames", options.require_masked_client_frames, Some(false))?;
    options.mask_server_frames =
        settings.flag("mask_server_frames", options.mask_server_frames, Some(true))?;
    Ok(wire)
}

/// What requests have to be like.
pub(super) fn handshake_options(settings: &mut Settings<'_>) -> Result<Demands, ConfigError> {
    let defaults = HandshakeOptions::default();
    let public = PublicUrl::read(settings)?;
    let external_port = external_port(settings, public.as_ref())?;
    let options = HandshakeOptions {
        max_target_bytes: settings.in_range(
            "max_target_size",
            defaults.max_target_bytes,
            1..=MAX_HEAD_BYTES,
        )?,
        max_header_bytes: settings.in_range(
            "max_header_size",
            defaults.max_header_bytes,
            128..=MAX_HEAD_BYTES,
        )?,
        max_headers: settings.in_range("max_headers", defaults.max_headers, 5..=10_000)?,
        allowed_hosts: allowed_hosts(settings, public.as_ref(), external_port)?,
        external_port,
        secure: false,
        origins: origins(settings)?,
        enable_rfc6455: settings.or("enable_rfc6455", defaults.enable_rfc6455)?,
        enable_hybi10: settings.or("enable_hybi10", defaults.enable_hybi10)?,
    };
    if !options.enable_rfc6455 && !options.enable_hybi10 {
        let problem = "without it no version of the protocol is left (see `enable_hybi10`)";
        return Err(settings.conflict("enable_rfc6455", problem));
    }
    Ok(Demands { options, public_is_secure: public.map(|public| public.secure) })
}

/// The most that anybody may let a part of a request have.
const MAX_HEAD_BYTES: usize = 16 << 20;

/// What requests have to be like, on whichever way they come.
pub(super) struct Demands {
    options: HandshakeOptions,
    /// Whether clients come over TLS, if that is known for all.
    public_is_secure: Option<bool>,
}

impl Demands {
    /// Of connections that are encrypted, or not.
    pub(super) fn of_connections(&self, are_encrypted: bool) -> Arc<HandshakeOptions> {
        let secure = self.public_is_secure.unwrap_or(are_encrypted);
        Arc::new(HandshakeOptions { secure, ..self.options.clone() })
    }
}

/// `public_url`: where clients believe to be, which is a proxy in front of us.
struct PublicUrl {
    secure: bool,
    host: Authority,
    port: u16,
}

impl PublicUrl {
    const RULES: Rules<'static> = Rules { schemes: &["ws", "wss", "http", "https"], ..Rules::WEBSOCKET };

    fn read(settings: &mut Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(entry) = settings.config.entry("public_url") else { return Ok(None) };
        let url = Url::from_entry(&entry, &Self::RULES)?;
        if !url.scheme_is_written() {
            return Err(entry.invalid(format!(
                "has no scheme, which says whether clients come with TLS: write `wss://{0}` or `ws://{0}`",
                url.authority(0)
            )));
        }
        if url.userinfo().is_some() {
            return Err(entry.invalid("name and password have no meaning in the address of a server"));
        }
        if url.port() == Some(0) {
            return Err(entry.invalid("has port 0, which nobody can connect to"));
        }
        if url.has_path() {
            settings.warn(&format!(
                "the path of `public_url` is ignored: it is `{}` that requests are compared with",
                url.authority(0)
            ));
        }
        let secure = matches!(url.scheme(), "wss" | "https");
        let host = tremor_ws::host_header(&url.host().to_string(), if secure { 443 } else { 80 }, secure);
        let host =
            Authority::parse(&host).ok_or_else(|| entry.invalid("the host is none that `Host` can name"))?;
        Ok(Some(Self { secure, host, port: url.port_or(if secure { 443 } else { 80 }) }))
    }
}

fn allowed_hosts(
    settings: &mut Settings<'_>,
    public: Option<&PublicUrl>,
    external_port: Option<u16>,
) -> Result<Vec<Authority>, ConfigError> {
    let Some(entry) = settings.entry("allowed_hosts")? else {
        return Ok(public.map(|public| public.host.clone()).into_iter().collect());
    };
    let OneOrMany(hosts) = entry.read::<OneOrMany<Entry<'_>>>()?;
    if hosts.is_empty() {
        return Err(entry.invalid("an empty list admits nobody; leave it out to admit every host"));
    }
    let parse = |host: &Entry<'_>| {
        let text: &str = host.read()?;
        if text.contains('*') {
            let problem =
                "hosts are named one by one: `*` has no meaning here (it has in `routes[].when.authority`)";
            return Err(host.invalid(problem));
        }
        let parsed = Authority::parse(text)
            .ok_or_else(|| host.invalid(format!("`{text}` is no `host` or `host:port`")))?;
        match (parsed.port(), external_port) {
            (Some(0), _) => Err(host.invalid("has port 0, which no request names")),
            (Some(port), Some(external)) if port != external => {
                let whose = if public.is_some() { "that of `public_url`" } else { "`external_port`" };
                Err(host.conflict(format!(
                    "has port {port}, but requests are for {external} ({whose}): none could match; write `{}` alone",
                    parsed.host()
                )))
            }
            _ => Ok(parsed),
        }
    };
    hosts.iter().map(parse).collect()
}

fn external_port(
    settings: &mut Settings<'_>,
    public: Option<&PublicUrl>,
) -> Result<Option<u16>, ConfigError> {
    let said = settings.optional::<NonZeroU16>("external_port")?.map(NonZeroU16::get);
    match (said, public) {
        (Some(port), Some(public)) if port != public.port => {
            let problem =
                format!("is {port}, but the port of `public_url` is {}; write one of them", public.port);
            Err(settings.config.conflict("external_port", problem))
        }
        (said, public) => Ok(said.or(public.map(|public| public.port))),
    }
}

/// Which pages may open connections (`spec/websocket.md` 4).
fn origins(settings: &mut Settings<'_>) -> Result<OriginRules, ConfigError> {
    let allowed = settings.optional::<OneOrMany<Entry<'_>>>("allowed_origins")?;
    let parse = |entry: &Entry<'_>| {
        OriginPattern::parse(entry.read()?).map_err(|error| entry.invalid(error.to_string()))
    };
    let allowed = allowed.map(|allowed| allowed.0.iter().map(parse).collect()).transpose()?;
    let allow_null: Option<bool> = settings.optional("allow_null_origin")?;
    let rules = OriginRules {
        allowed,
        same_origin: settings.or("same_origin", false)?,
        allow_null: allow_null.unwrap_or(true),
        require: settings.or("require_origin", false)?,
    };
    if rules.admit_all() && rules.same_origin {
        settings.warn("`same_origin` has no effect, since `allowed_origins` has `*` in it");
    }
    let admits_none = rules.allowed.as_ref().is_some_and(Vec::is_empty) && !rules.same_origin;
    if admits_none && rules.require && allow_null == Some(false) {
        let problem = "an empty list admits no page, and `require_origin` nobody else: nobody could connect";
        return Err(settings.config.conflict("allowed_origins", problem));
    }
    if admits_none {
        let but = if rules.allow_null {
            "but those whose `Origin` is `null`"
        } else {
            "only who sends no `Origin`"
        };
        settings.warn(&format!("`allowed_origins` is an empty list: no page can connect, {but}"));
    }
    if !rules.admit_all() && allow_null.is_none() {
        settings.warn(
            "`Origin: null` is accepted although origins are restricted, and any page can send it from a frame; say what is \
             meant with `allow_null_origin`",
        );
    }
    if rules.admit_all() && browsers_bring_credentials(settings.config.members()) {
        let so = match rules.allowed {
            Some(_) => "with `allowed_origins` of `*`",
            None => "without `allowed_origins`",
        };
        settings.warn(&format!(
            "browsers add cookies and client certificates on their own, so {so} any page can open a connection in the name of \
             its visitor; name the origins that may"
        ));
    }
    Ok(rules)
}

/// Whether the configuration takes credentials that a browser sends without being asked by the page.
fn browsers_bring_credentials(config: &Record) -> bool {
    let is_said = |value: &Value, path: &[&str]| {
        let found = path.iter().try_fold(value, |value, name| value.get(name));
        found.is_some_and(|value| !value.is_null())
    };
    let guards = config.get("guards").and_then(Value::as_record).into_iter().flat_map(Record::iter);
    guards.map(|(_, guard)| guard).any(|guard| is_said(guard, &["credentials", "cookies"]))
        || config.get("credentials").is_some_and(|credentials| is_said(credentials, &["cookies"]))
        || config.get("cookie").and_then(|cookie| cookie.get("bind_identity")).and_then(Value::as_bool)
            == Some(true)
        || all_tls(config).any(asks_for_certificates)
}

/// Whose word is taken for who the client is (`spec/websocket.md` 2.3).
pub(super) fn trust(settings: &mut Settings<'_>) -> Result<Trust, ConfigError> {
    let networks = networks(&mut settings.config, "trusted_proxies")?;
    let hops: Option<usize> = settings.config.optional("trust_xff")?;
    if let Some(hops) = hops.filter(|hops| *hops > MANY_PROXIES) {
        settings.warn(&format!(
            "`trust_xff` is {hops}: with fewer proxies than that in front, clients can write what they like into the list that is believed; say how many there are"
        ));
    }
    match (networks, hops.filter(|hops| *hops > 0)) {
        (Some(_), Some(_)) => Err(settings
            .config
            .invalid("trust_xff", "is another way to say `trusted_proxies`; write one of them")),
        (Some(networks), None) if !networks.is_empty() => Ok(Trust::Networks(networks)),
        (None, Some(hops)) => Ok(Trust::Hops(hops)),
        (_, None) => Ok(Trust::Nobody),
    }
}

/// More proxies one behind the other than anybody has.
const MANY_PROXIES: usize = 10;

/// Addresses and ranges of them.
pub(super) fn networks(
    config: &mut Reader<'_>,
    key: &'static str,
) -> Result<Option<Vec<Network>>, ConfigError> {
    let Some(entries) = config.optional::<OneOrMany<Entry<'_>>>(key)? else { return Ok(None) };
    let parse =
        |entry: &Entry<'_>| Network::parse(entry.read()?).map_err(|error| entry.invalid(error.to_string()));
    entries.0.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

/// Who may connect at all (`spec/websocket.md` 20).
pub(super) struct Admits {
    allowed: Option<Vec<Network>>,
    denied: Vec<Network>,
}

impl Admits {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let allowed = networks(&mut settings.config, "allow_from")?;
        if allowed.as_ref().is_some_and(Vec::is_empty) {
            let problem = "an empty list admits nobody; leave it out to admit every address";
            return Err(settings.config.invalid("allow_from", problem));
        }
        let denied = networks(&mut settings.config, "deny_from")?.unwrap_or_default();
        // Who comes by a unix socket has no address.
        let some = allowed.as_deref().unwrap_or(&Network::ALL);
        if !has_unix(settings.config.members()) && some.iter().all(|network| cover(&denied, *network)) {
            let problem = match allowed {
                Some(_) => "has all of `allow_from` in it: nobody could connect",
                None => "has every address in it: nobody could connect",
            };
            return Err(settings.config.conflict("deny_from", problem));
        }
        Ok(Self { allowed, denied })
    }

    /// Whether a peer may connect from `address`: it is on the one list, if there is one, and not on the other.
    pub(super) fn lets(&self, address: IpAddr) -> bool {
        !is_in(&self.denied, address) && self.allowed.as_ref().is_none_or(|allowed| is_in(allowed, address))
    }
}

/// Whether a unix socket is listened on.
fn has_unix(config: &Record) -> bool {
    let is_unix = |place: &Value| place.get("type").and_then(Value::as_str) == Some("unix");
    listed(config).iter().chain(config.get("endpoint")).any(is_unix)
}

/// What requests are answered with.
pub(super) struct Answers {
    pub(super) headers: ExtraHeaders,
    pub(super) reject: RejectOptions,
    /// `reject`: who comes when there is no room is dropped without an answer.
    pub(super) drops: bool,
}

impl Answers {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let shows_version = settings.or("show_server_version", false)?;
        let mut headers = match settings.optional::<Reader<'_>>("response_headers")? {
            Some(reader) => header_list(&reader, ExtraHeaders::for_response)?,
            None => Vec::new(),
        };
        let own = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("server"));
        let server = match own {
            Some((_, value)) if shows_version => {
                settings.warn("`show_server_version` shows the `Server` that `response_headers` has");
                Some(value.clone())
            }
            None if shows_version => {
                headers.push(("Server".to_owned(), SERVER.to_owned()));
                Some(SERVER.to_owned())
            }
            _ => None,
        };
        let headers = ExtraHeaders::for_response(headers)
            .map_err(|error| settings.config.conflict("response_headers", error.to_string()))?;
        let error_bodies = settings.or("error_bodies", true)?;
        let no_match = settings.config.members().get("no_match");
        if !error_bodies && no_match.is_some_and(|said| said.get("body").is_some()) {
            settings.warn("`no_match.body` has no effect, since `error_bodies` is false");
        }
        let drops = settings.word("reject", &[("answer", false), ("drop", true)])?.unwrap_or(false);
        Ok(Self { headers, reject: RejectOptions { error_bodies, server }, drops })
    }
}

/// The subprotocols that are spoken; `defaults` where `settings` say nothing.
pub(super) fn protocols(settings: &mut Settings<'_>, defaults: &Protocols) -> Result<Protocols, ConfigError> {
    let words = [("client", false), ("server", true)];
    let list = settings.optional::<OneOrMany<Entry<'_>>>("subprotocols")?;
    let list = list.map(|list| token_list(&list.0)).transpose()?;
    Ok(Protocols {
        list: list.unwrap_or_else(|| defaults.list.clone()),
        prefers_own: settings.word("subprotocol_preference", &words)?.unwrap_or(defaults.prefers_own),
        required: settings.or("require_websocket_subprotocol", defaults.required)?,
    })
}

/// Tokens, as requests have them, each of them once.
pub(in crate::ws) fn token_list(entries: &[Entry<'_>]) -> Result<Vec<String>, ConfigError> {
    let mut tokens = Vec::new();
    for entry in entries {
        let text: String = entry.read()?;
        if !is_token(text.as_bytes()) {
            let problem =
                format!("`{text}` is no subprotocol: they are tokens, without spaces and separators");
            return Err(entry.invalid(problem));
        }
        if tokens.contains(&text) {
            return Err(entry.invalid(format!("`{text}` is there twice")));
        }
        tokens.push(text);
    }
    Ok(tokens)
}

/// What `Server` says where it is shown.
const SERVER: &str = concat!("tremor/", env!("CARGO_PKG_VERSION"));
