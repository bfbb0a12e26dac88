//! Ways through a proxy (`spec/websocket.md` 12.3).

mod bypass;
mod socks;

use super::{credentials, place::Place};
use crate::ws::{options::Settings, read_more};
use bypass::Bypass;
use bytes::BytesMut;
use socks::Names;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tremor_connector::{
    config::{ConfigError, Entry, OneOrMany, Reader, Secret},
    duplex::Stream,
    socket::Target,
    tls::{ClientTls, ClientTlsSetting, TlsKeys},
    url::{Rules, Url},
};
use tremor_ws::{ClientError, TunnelHandshake};

const RULES: Rules<'static> =
    Rules { default_scheme: "http", schemes: &["http", "https", "socks5", "socks5h"], default_host: "" };

/// How a proxy is spoken to.
#[derive(Debug)]
enum Kind {
    Http,
    Https(ClientTls),
    Socks(Names),
}

/// One proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    kind: Kind,
    scheme: String,
    host: String,
    port: u16,
    login: Option<(Secret<String>, Secret<String>)>,
}

/// Which proxy, if any, leads to a server.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    plain: Option<Proxy>,
    secure: Option<Proxy>,
    /// `plain` stands for both.
    is_same: bool,
    bypass: Bypass,
}

impl Proxies {
    /// Reads `proxy` and `no_proxy`.
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let said = settings.entry("proxy")?;
        let around = settings.entry("no_proxy")?;
        let Some(entry) = said else {
            return match around {
                Some(around) => Err(around.conflict("has no effect without `proxy`")),
                None => Ok(Self::default()),
            };
        };
        if entry.value().as_str() == Some("env") {
            let around = match around {
                None => None,
                Some(around) => Some(listed(&around)?),
            };
            return Self::of_environment(|name| std::env::var(name).ok(), around)
                .map_err(|problem| entry.invalid(problem));
        }
        let bypass = match around {
            None => Bypass::default(),
            Some(around) => listed(&around)?,
        };
        Ok(Self { plain: Some(Proxy::from_entry(&entry)?), secure: None, is_same: true, bypass })
    }

    /// What the usual variables say; `around` is what the configuration says instead of `NO_PROXY`.
    fn of_environment(
        variable: impl Fn(&str) -> Option<String>,
        around: Option<Bypass>,
    ) -> Result<Self, String> {
        let find = |name: &str| {
            let names = [name.to_owned(), name.to_ascii_uppercase()];
            let found = names.into_iter().find_map(|name| Some((variable(&name)?, name)));
            found.filter(|(text, _)| !text.trim().is_empty())
        };
        let proxy = |name: &str| {
            let Some((text, name)) = find(name).or_else(|| find("all_proxy")) else { return Ok(None) };
            let told = |problem: String| format!("the environment variable `{name}`: {problem}");
            let url = Url::parse(&text, &RULES).map_err(|error| told(error.to_string()))?;
            Proxy::of(&url, None).map(Some).map_err(told)
        };
        let bypass = match around {
            Some(around) => around,
            None => {
                let text = find("no_proxy").map(|(text, _)| text).unwrap_or_default();
                Bypass::parse(text.split([',', ' '])).map_err(|bad| format!("`NO_PROXY`: {bad}"))?
            }
        };
        Ok(Self { plain: proxy("http_proxy")?, secure: proxy("https_proxy")?, is_same: false, bypass })
    }

    /// The proxy on the way to `place`.
    pub(super) fn before(&self, place: &Place) -> Option<&Proxy> {
        let proxy = if place.secure && !self.is_same { &self.secure } else { &self.plain };
        proxy.as_ref().filter(|_| !self.bypass.holds(&place.host, place.port))
    }

    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        self.plain.is_some() || self.secure.is_some()
    }
}

fn listed(entry: &Entry<'_>) -> Result<Bypass, ConfigError> {
    let OneOrMany(list) = entry.read::<OneOrMany<String>>()?;
    Bypass::parse(list.iter().flat_map(|text| text.split(','))).map_err(|bad| entry.invalid(bad))
}

impl Proxy {
    fn from_entry(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        if entry.value().as_record().is_none() {
            let url = Self::address(&entry.clone().hidden())?;
            return Self::of(&url, None).map_err(|problem| entry.invalid(problem));
        }
        let mut reader: Reader<'_> = entry.clone().hidden().read()?;
        let Some(address) = reader.entry("url") else {
            return Err(reader.missing("url", r#"a string such as "http://127.0.0.1:3128""#));
        };
        let url = Self::address(&address)?;
        let tls = ClientTlsSetting::from_config(&mut reader, TlsKeys::WebSocket)?;
        if url.scheme() != "https" && !matches!(tls, ClientTlsSetting::Absent) {
            return Err(reader.conflict("tls", "belongs to a proxy that is spoken to with `https`"));
        }
        if matches!(tls, ClientTlsSetting::Off) {
            return Err(reader.conflict("tls", "is false, but the scheme of the proxy is `https`"));
        }
        let proxy = Self::of(&url, tls.enabled()).map_err(|problem| reader.invalid("url", problem))?;
        reader.finish()?;
        Ok(proxy)
    }

    /// The address in `entry`. What the environment says needs no scheme: everybody writes it without.
    fn address(entry: &Entry<'_>) -> Result<Url, ConfigError> {
        let url = Url::from_entry(entry, &RULES)?;
        let problem = "has no scheme, which says how the proxy is spoken to: `http://`, `https://`, `socks5://` or `socks5h://`";
        if url.scheme_is_written() { Ok(url) } else { Err(entry.invalid(problem)) }
    }

    fn of(url: &Url, tls: Option<ClientTls>) -> Result<Self, String> {
        let (kind, port) = match url.scheme() {
            "https" => {
                let tls = match tls {
                    Some(tls) => tls,
                    None => ClientTls::system()?,
                };
                (Kind::Https(tls), 443)
            }
            "socks5" => (Kind::Socks(Names::AreResolvedHere), 1080),
            "socks5h" => (Kind::Socks(Names::AreResolvedThere), 1080),
            _ => (Kind::Http, 80),
        };
        if url.has_path() {
            return Err("a proxy has no path".to_owned());
        }
        let login = url.userinfo().map(|userinfo| {
            let password = userinfo.password.clone().unwrap_or_else(|| Secret::new(String::new()));
            (userinfo.user.clone(), password)
        });
        if let (Kind::Socks(_), Some((user, password))) = (&kind, &login)
            && [user, password].iter().any(|text| !(1..=255).contains(&text.reveal().len()))
        {
            return Err("name and password for SOCKS have 1 to 255 bytes each".to_owned());
        }
        Ok(Self {
            kind,
            scheme: url.scheme().to_owned(),
            host: url.host().target().to_string(),
            port: url.port_or(port),
            login,
        })
    }

    /// What to connect to.
    pub(super) fn server(&self) -> Target {
        Target { host: self.host.clone(), port: self.port }
    }

    /// For messages: without name and password.
    pub(super) fn shown(&self) -> String {
        format!("{}://{}", self.scheme, self.server())
    }

    /// Makes of a connection to the proxy one to `place`. The time limit is the caller's business: [`Asking::cut_short`]
    /// of `asking` says what had come until then.
    ///
    /// # Errors
    /// In words, which do not name the proxy.
    pub(super) async fn pass(
        &self,
        mut tcp: TcpStream,
        place: &Place,
        (alias, asking): (&str, &mut Asking),
    ) -> Result<Box<dyn Stream>, String> {
        match &self.kind {
            Kind::Http => {
                self.tunnel(&mut tcp, place, asking).await?;
                Ok(Box::new(tcp))
            }
            Kind::Https(tls) => {
                let tls = tls.renewed(alias).await;
                let mut stream = tls.connect(&self.host, tcp).await.map_err(|error| error.to_string())?;
                self.tunnel(&mut stream, place, asking).await?;
                Ok(Box::new(stream))
            }
            Kind::Socks(names) => {
                let login = self
                    .login
                    .as_ref()
                    .map(|(user, password)| (user.reveal().as_str(), password.reveal().as_str()));
                socks::connect(&mut tcp, *names, &place.host, place.port, login).await?;
                Ok(Box::new(tcp))
            }
        }
    }

    async fn tunnel(
        &self,
        stream: &mut impl Stream,
        place: &Place,
        Asking { handshake, input }: &mut Asking,
    ) -> Result<(), String> {
        let basic = |(user, password): &(Secret<String>, Secret<String>)| {
            credentials::basic(user.reveal(), password.reveal())
        };
        let authorization = self.login.as_ref().map(basic);
        let fresh = TunnelHandshake::new(&place.server().to_string(), authorization.as_deref());
        let handshake = handshake.insert(fresh.ok_or("it cannot be asked for this server")?);
        let told = |error: std::io::Error| error.to_string();
        stream.write_all(handshake.request()).await.map_err(told)?;
        stream.flush().await.map_err(told)?;
        loop {
            if handshake.advance(input).map_err(refused)? {
                // Whoever is at the other end does not speak first.
                return if input.is_empty() {
                    Ok(())
                } else {
                    Err("it said more than it was asked".to_owned())
                };
            }
            if !read_more(stream, input).await.map_err(told)? {
                return Err(refused(handshake.cut_short(input)));
            }
        }
    }
}

/// A proxy that is asked for a tunnel, and what of its answer has come.
#[derive(Default)]
pub(super) struct Asking {
    handshake: Option<TunnelHandshake>,
    input: BytesMut,
}

impl Asking {
    /// The time is over: why there is no tunnel, if that is known.
    pub(super) fn cut_short(&self) -> Option<String> {
        match self.handshake.as_ref()?.cut_short(&self.input) {
            refusal @ ClientError::Status(_) => Some(refused(refusal)),
            _ => None,
        }
    }
}

fn refused(error: ClientError) -> String {
    match error {
        ClientError::Status(refusal) if refusal.status == 407 => {
            format!("it wants other credentials: {}", refusal.words())
        }
        ClientError::Status(refusal) => refusal.words(),
        ClientError::TooLarge => "its answer has too many or too long headers".to_owned(),
        ClientError::Incomplete => "the connection ended before its answer was complete".to_owned(),
        _ => "its answer is not valid HTTP/1.1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        let url = Url::parse(text, &Rules::WEBSOCKET).unwrap();
        Place::of(&url, url.scheme() == "wss")
    }

    fn found(variables: &[(&str, &str)], text: &str) -> Result<Option<String>, String> {
        let look =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let proxies = Proxies::of_environment(look, None)?;
        Ok(proxies.before(&place(text)).map(Proxy::shown))
    }

    #[test]
    fn one_proxy_of_the_configuration_is_for_all() {
        let proxy = Proxy::of(&Url::parse("http://p", &RULES).unwrap(), None).unwrap();
        let proxies = Proxies { plain: Some(proxy), secure: None, is_same: true, bypass: Bypass::default() };
        for text in ["ws://far.example", "wss://far.example"] {
            assert_eq!(proxies.before(&place(text)).map(Proxy::shown).as_deref(), Some("http://p:80"));
        }
    }

    #[test]
    fn the_usual_variables_are_read() {
        let all =
            [("http_proxy", "p:3128"), ("HTTPS_PROXY", "http://s:1"), ("no_proxy", "near.example, .lan")];
        assert_eq!(found(&all, "ws://far.example").unwrap().as_deref(), Some("http://p:3128"));
        assert_eq!(found(&all, "wss://far.example").unwrap().as_deref(), Some("http://s:1"));
        assert_eq!(found(&all, "ws://near.example").unwrap(), None);
        assert_eq!(found(&all, "ws://a.lan").unwrap(), None);
        let rest = [("all_proxy", "socks5h://name:pw@q")];
        assert_eq!(found(&rest, "wss://far.example").unwrap().as_deref(), Some("socks5h://q:1080"));
        assert_eq!(found(&[("http_proxy", "")], "ws://far.example").unwrap(), None);
        let wrong = found(&[("http_proxy", "ftp://name:pw@p")], "ws://far.example").unwrap_err();
        assert!(wrong.contains("http_proxy") && !wrong.contains("pw"), "{wrong}");
    }
}
