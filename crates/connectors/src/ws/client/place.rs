//! What is connected to, and what is asked for there.

use std::net::IpAddr;
use tremor_connector::{
    socket::Target,
    url::{Rules, Url, UrlError},
};
use tremor_value::shown;
use tremor_ws::host_header;

/// The rules of the addresses that servers redirect to.
const LOCATION: Rules<'static> =
    Rules { default_scheme: "ws", schemes: &["ws", "wss", "http", "https"], default_host: "" };

/// A server and a resource there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// It is spoken to with TLS.
    pub(super) secure: bool,
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) target: String,
}

/// Why a server's redirect is not followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Astray {
    #[error("without saying where to")]
    Nowhere,
    #[error("to what is no address of a WebSocket")]
    NoPlace,
    #[error("from TLS to a connection without, which is never followed")]
    Unencrypted,
}

impl Place {
    /// What `url` says, where `secure` is known already.
    pub(super) fn of(url: &Url, secure: bool) -> Self {
        Self {
            secure,
            host: url.host().target().to_string(),
            port: url.port_or(if secure { 443 } else { 80 }),
            target: url.path_and_query().to_owned(),
        }
    }

    /// The same server: what is meant for the one is meant for the other.
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// The value of `Host`.
    pub(super) fn host_header(&self) -> String {
        host_header(&self.host, self.port, self.secure)
    }

    /// For messages: host and port, nothing that could be a secret.
    pub(super) fn server(&self) -> Target {
        Target { host: self.host.clone(), port: self.port }
    }

    /// Nobody has to write the port.
    pub(super) fn has_default_port(&self) -> bool {
        self.port == if self.secure { 443 } else { 80 }
    }

    /// Whether the server is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// For messages: the address without the query, in which there may be secrets.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{scheme}://{}{}", self.host_header(), shown(path))
    }

    /// The same server, another resource.
    fn beside(&self, target: &str) -> Result<Self, UrlError> {
        let text = format!("ws://{}{target}", self.host_header());
        let target = Url::parse(&text, &LOCATION)?.path_and_query().to_owned();
        Ok(Self { target, ..self.clone() })
    }

    /// The same server, and the resource that somebody names by its path, maybe with a query.
    ///
    /// # Errors
    /// It cannot be asked for; in words.
    pub(super) fn at(&self, path: &str) -> Result<Self, String> {
        if let Some(problem) = path_problem(path) {
            return Err(problem.to_owned());
        }
        self.beside(path).map_err(|error| format!("cannot be asked for: {error}"))
    }

    /// Where a redirect with this `Location` leads. Source: RFC 3986, section 5.2; `spec/websocket.md` 8.
    ///
    /// # Errors
    /// It cannot be followed, or must not be.
    pub(super) fn redirected(&self, location: Option<&[u8]>) -> Result<Self, Astray> {
        let location = std::str::from_utf8(location.unwrap_or_default()).map_err(|_| Astray::NoPlace)?;
        let location = location.trim();
        if location.is_empty() {
            return Err(Astray::Nowhere);
        }
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.secure { "wss" } else { "ws" };
        let is_scheme =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let place = if let Some(rest) = location.strip_prefix("//") {
            Self::absolute(&format!("{scheme}://{rest}"))
        } else if location.starts_with('/') {
            self.beside(&without_dots(location)).ok()
        } else if location.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme)) {
            Self::absolute(location)
        } else {
            let path = self.target.split('?').next().unwrap_or_default();
            let base = if location.starts_with('?') || location.is_empty() {
                path
            } else {
                path.rfind('/').and_then(|slash| path.get(..=slash)).unwrap_or("/")
            };
            self.beside(&without_dots(&format!("{base}{location}"))).ok()
        };
        let place = place.ok_or(Astray::NoPlace)?;
        if self.secure && !place.secure { Err(Astray::Unencrypted) } else { Ok(place) }
    }

    fn absolute(text: &str) -> Option<Self> {
        let url = Url::parse(text, &LOCATION).ok()?;
        Some(Self::of(&url, matches!(url.scheme(), "wss" | "https")))
    }
}

/// What is wrong with a path, where that can be seen by itself.
pub(super) fn path_problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("does not begin with `/`");
    }
    // RFC 6455, section 3.
    path.contains('#')
        .then_some("has a fragment, which addresses of WebSockets cannot have; write `%23` for the sign `#`")
}

/// `target` without the segments `.` and `..` of its path.
fn without_dots(target: &str) -> String {
    let path_len = target.find('?').unwrap_or(target.len());
    let (path, query) = target.split_at(path_len);
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::absolute(text).unwrap()
    }

    #[test]
    fn redirects_lead_where_the_rfc_says() {
        let here = place("ws://feed.example:7000/a/b/c?q=1");
        for (location, expected) in [
            ("/x", "ws://feed.example:7000/x"),
            ("/x/../y?z=.././1", "ws://feed.example:7000/y?z=.././1"),
            ("d", "ws://feed.example:7000/a/b/d"),
            ("../d", "ws://feed.example:7000/a/d"),
            ("../../../../d/", "ws://feed.example:7000/d/"),
            ("./", "ws://feed.example:7000/a/b/"),
            ("..", "ws://feed.example:7000/a/"),
            ("?r=2", "ws://feed.example:7000/a/b/c?r=2"),
            ("#top", "ws://feed.example:7000/a/b/c"),
            ("//other.example/z", "ws://other.example/z"),
            ("http://Other.Example:80/z#f", "ws://other.example/z"),
            ("https://feed.example:7000/s", "wss://feed.example:7000/s"),
            ("wss://[::1]/", "wss://[::1]:443/"),
            ("/d\u{ed}a", "ws://feed.example:7000/d%C3%ADa"),
            ("ws://name:pw@feed.example:7000/", "ws://feed.example:7000/"),
        ] {
            assert_eq!(here.redirected(Some(location.as_bytes())), Ok(place(expected)), "{location}");
        }
    }

    #[test]
    fn redirects_that_lead_astray_are_told_apart() {
        let plain = place("ws://feed.example/");
        let secure = place("wss://feed.example/");
        assert_eq!(plain.redirected(None), Err(Astray::Nowhere));
        assert_eq!(plain.redirected(Some(b" ")), Err(Astray::Nowhere));
        for bad in ["ftp://feed.example/", "mailto:me", "ws://", "ws://a b/", "//", "ws://x:99999/"] {
            assert_eq!(plain.redirected(Some(bad.as_bytes())), Err(Astray::NoPlace), "{bad}");
        }
        assert_eq!(plain.redirected(Some(b"\xff")), Err(Astray::NoPlace));
        for down in ["ws://feed.example/", "http://other.example/"] {
            assert_eq!(secure.redirected(Some(down.as_bytes())), Err(Astray::Unencrypted), "{down}");
        }
        assert!(secure.redirected(Some(b"/x")).is_ok_and(|place| place.secure));
        assert!(plain.redirected(Some(b"wss://feed.example/")).is_ok());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let here = place("ws://feed.example/a");
        assert!(here.is_same_origin(&place("ws://FEED.example:80/b")));
        for other in ["wss://feed.example/a", "ws://feed.example:81/a", "ws://x.feed.example/a"] {
            assert!(!here.is_same_origin(&place(other)), "{other}");
        }
    }

    #[test]
    fn this_machine_has_many_names() {
        for (host, is_here) in [
            ("localhost", true),
            ("a.localhost", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(place(&format!("ws://{host}/")).is_loopback(), is_here, "{host}");
        }
    }
}
