//! What a proxy says of a connection in front of everything else (`spec/websocket.md` 2.2).

use super::settings::networks;
use crate::ws::options::Settings;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt};
use tremor_connector::config::ConfigError;
use tremor_value::{Record, Value};
use tremor_ws::{Network, ProxyDetails, ProxyHeader, ProxyStep, ProxyVersion, is_in, proxy_header};

/// `proxy_protocol` is on.
pub(super) struct Proxies {
    /// The version that is taken; otherwise any.
    only: Option<ProxyVersion>,
    /// `proxy_protocol_from`: who may send it.
    from: Option<Vec<Network>>,
}

impl Proxies {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let words = [
            ("off", None),
            ("v1", Some(Some(ProxyVersion::V1))),
            ("v2", Some(Some(ProxyVersion::V2))),
            ("any", Some(None)),
        ];
        let spoken = settings.config.word("proxy_protocol", &words)?.flatten();
        let from = networks(&mut settings.config, "proxy_protocol_from")?;
        match (spoken, from) {
            (None, Some(_)) => {
                let problem = "has no effect without `proxy_protocol`";
                Err(settings.config.conflict("proxy_protocol_from", problem))
            }
            (None, None) => Ok(None),
            (Some(_), Some(from)) if from.is_empty() => {
                let problem = "an empty list lets nobody send the header, without which nobody can connect";
                Err(settings.config.invalid("proxy_protocol_from", problem))
            }
            (Some(only), from) => {
                if from.is_none() {
                    settings.warn(
                        "with `proxy_protocol` and without `proxy_protocol_from` whoever can connect can claim any address",
                    );
                }
                Ok(Some(Self { only, from }))
            }
        }
    }

    /// Reads the header, and not a byte of what is behind it. A peer without an address is on this machine; whoever may
    /// open the socket may send the header.
    ///
    /// # Errors
    /// Why the connection is to be dropped, which needs no answer.
    pub(super) async fn header(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        peer: Option<IpAddr>,
    ) -> Result<ProxyHeader, String> {
        if let (Some(from), Some(peer)) = (&self.from, peer)
            && !is_in(from, peer)
        {
            return Err("it is none of those that may send a header of the PROXY protocol".to_owned());
        }
        let mut input = Vec::new();
        loop {
            match proxy_header(&input, self.only).map_err(|error| error.to_string())? {
                ProxyStep::Done(header) => return Ok(*header),
                ProxyStep::More(more) => {
                    let begun = input.len();
                    input.resize(begun + more, 0);
                    let fresh = input.get_mut(begun..).unwrap_or_default();
                    stream
                        .read_exact(fresh)
                        .await
                        .map_err(|_| "it went away in front of its header".to_owned())?;
                }
            }
        }
    }
}

/// What metadata tell of it, if there is anything.
pub(super) fn shown(details: &ProxyDetails) -> Option<Record> {
    if details.is_empty() {
        return None;
    }
    let mut shown = Record::default();
    let bytes = |bytes: &Vec<u8>| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        // Nobody could read it as text.
        Err(_) => Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    };
    let text = |text: &String| Value::from(text.as_str());
    let ProxyDetails { alpn, authority, unique_id, namespace, tls } = details;
    let mut put = |name: &'static str, value: Option<Value>| value.map(|value| shown.insert(name, value));
    put("alpn", alpn.as_ref().map(bytes));
    put("authority", authority.as_ref().map(text));
    put("unique_id", unique_id.as_ref().map(bytes));
    put("namespace", namespace.as_ref().map(text));
    if let Some(tls) = tls {
        let mut inner = Record::from_iter([("verified", Value::from(tls.verified))]);
        for (name, said) in
            [("version", &tls.version), ("cipher", &tls.cipher), ("common_name", &tls.common_name)]
        {
            if let Some(said) = said {
                inner.insert(name, said.as_str());
            }
        }
        put("tls", Some(inner.into()));
    }
    Some(shown)
}
