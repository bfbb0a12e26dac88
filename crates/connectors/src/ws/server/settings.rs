//! The settings of a server.

use crate::ws::{header_list, options::Settings};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tremor_connector::config::{ConfigError, OneOrMany, Reader};
use tremor_ws::{Authority, ExtraHeaders, HandshakeOptions, Reject, RejectOptions};

/// What requests have to be like.
pub(super) fn handshake_options(
    settings: &mut Settings<'_>,
    secure: bool,
) -> Result<HandshakeOptions, ConfigError> {
    let defaults = HandshakeOptions::default();
    let mut allowed_hosts = Vec::new();
    if let Some(entry) = settings.entry("allowed_hosts")? {
        for host in entry.read::<Vec<String>>()? {
            let authority = Authority::parse(&host);
            allowed_hosts.push(
                authority.ok_or_else(|| entry.invalid(format!("`{host}` is no `host` or `host:port`")))?,
            );
        }
        if allowed_hosts.is_empty() {
            return Err(entry.invalid("an empty list admits nobody; leave it out to admit every host"));
        }
    }
    let options = HandshakeOptions {
        max_target_bytes: settings.or("max_target_size", defaults.max_target_bytes)?,
        max_header_bytes: settings.or("max_header_size", defaults.max_header_bytes)?,
        max_headers: settings.or("max_headers", defaults.max_headers)?,
        allowed_hosts,
        external_port: settings.optional("external_port")?,
        secure,
        enable_rfc6455: settings.or("enable_rfc6455", defaults.enable_rfc6455)?,
        enable_hybi10: settings.or("enable_hybi10", defaults.enable_hybi10)?,
    };
    if !options.enable_rfc6455 && !options.enable_hybi10 {
        let problem = "without it no version of the protocol is left (see `enable_hybi10`)";
        return Err(settings.config.invalid("enable_rfc6455", problem));
    }
    Ok(options)
}

/// What requests are answered with.
pub(super) struct Answers {
    protocols: Vec<String>,
    /// Among several that fit, our order decides and not the client's.
    prefers_own: bool,
    require_protocol: bool,
    pub(super) headers: ExtraHeaders,
    pub(super) reject: RejectOptions,
}

impl Answers {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let server = settings.or("show_server_version", false)?.then(|| SERVER.to_owned());
        let mut headers = match settings.optional::<Reader<'_>>("response_headers")? {
            Some(reader) => header_list(&reader)?,
            None => Vec::new(),
        };
        if let Some(server) = &server {
            headers.push(("Server".to_owned(), server.clone()));
        }
        let headers = ExtraHeaders::for_response(headers)
            .map_err(|error| settings.config.invalid("response_headers", error.to_string()))?;
        let protocols = settings.or("subprotocols", OneOrMany(Vec::new()))?.0;
        let require_protocol = settings.or("require_websocket_subprotocol", false)?;
        if require_protocol && protocols.is_empty() {
            let problem = "needs `subprotocols`, or nobody could connect";
            return Err(settings.config.invalid("require_websocket_subprotocol", problem));
        }
        let words = [("client", false), ("server", true)];
        let prefers_own = settings.word("subprotocol_preference", &words)?.unwrap_or(false);
        let error_bodies = settings.or("error_bodies", true)?;
        let reject = RejectOptions { error_bodies, server };
        Ok(Self { protocols, prefers_own, require_protocol, headers, reject })
    }

    /// The subprotocol for a request with these offers (`spec/websocket.md` 5).
    pub(super) fn protocol(&self, offers: &[String]) -> Result<Option<&str>, Reject> {
        let own = self.protocols.iter();
        let chosen = if self.prefers_own {
            own.clone().find(|own| offers.contains(own))
        } else {
            offers.iter().find_map(|offer| own.clone().find(|own| *own == offer))
        };
        if chosen.is_none() && self.require_protocol {
            let reason = format!("a subprotocol is needed: {}", self.protocols.join(", "));
            return Err(Reject::new(400, "subprotocol", reason));
        }
        Ok(chosen.map(String::as_str))
    }
}

/// What `Server` says where it is shown.
const SERVER: &str = concat!("tremor/", env!("CARGO_PKG_VERSION"));

/// What is admitted at once.
pub(super) struct Caps {
    pub(super) connections: Arc<Semaphore>,
    pub(super) handshakes: Arc<Semaphore>,
}

/// A semaphore of `most` permits, 0 meaning as many as there can be.
pub(super) fn cap(most: usize) -> Arc<Semaphore> {
    let permits = if most == 0 { Semaphore::MAX_PERMITS } else { most.min(Semaphore::MAX_PERMITS) };
    Arc::new(Semaphore::new(permits))
}
