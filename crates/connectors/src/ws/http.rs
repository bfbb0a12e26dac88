//! Asking an HTTP server for one document.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};
use tremor_connector::{
    duplex::Stream,
    tls::ClientTls,
    url::{Host, Rules, Url},
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What a URL of documents may look like.
const RULES: Rules<'_> = Rules { default_scheme: "https", schemes: &["http", "https"], default_host: "" };

/// Where documents are.
pub(super) struct Place {
    pub(super) url: Url,
    /// Of the connector that asks.
    alias: String,
    tls: Option<ClientTls>,
    /// What is sent as `Authorization`.
    authorization: Option<header::HeaderValue>,
}

impl Place {
    /// `tls` says whom to trust, if not those whom the system trusts. `alias` is the connector that asks.
    ///
    /// # Errors
    /// In words.
    pub(super) fn new(text: &str, tls: Option<ClientTls>, alias: &str) -> Result<Self, String> {
        let url = Url::parse(text, &RULES).map_err(|error| error.to_string())?;
        if !url.scheme_is_written() {
            return Err(format!("has no scheme; write `https://{}`", url.authority(443)));
        }
        if url.fragment().is_some() {
            return Err("has a fragment, which is never sent; for the sign `#` itself write `%23`".into());
        }
        if url.userinfo().is_some() {
            return Err("name and password in the URL are not supported".into());
        }
        let tls = match url.scheme() {
            "https" => Some(tls.map_or_else(ClientTls::system, Ok)?),
            _ => None,
        };
        Ok(Self { url, alias: alias.to_owned(), tls, authorization: None })
    }

    /// The same with credentials.
    ///
    /// # Errors
    /// They cannot be sent in a header.
    pub(super) fn authorized(self, authorization: &str) -> Result<Self, String> {
        let value = header::HeaderValue::from_str(authorization);
        let mut value = value.map_err(|_| "has characters that no header can have".to_owned())?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self })
    }

    /// Scheme and authority, for messages.
    pub(super) fn start(&self) -> String {
        let (scheme, port) = if self.tls.is_some() { ("https", 443) } else { ("http", 80) };
        format!("{scheme}://{}", self.url.authority(port))
    }

    /// Whether whoever is in between can read and change what is sent.
    pub(super) fn is_open(&self) -> bool {
        self.tls.is_none()
            && match self.url.host() {
                Host::Name(name) => name != "localhost",
                Host::Ip(ip) => !ip.is_loopback(),
            }
    }

    /// Status and body of the answer to a GET of `target`, a path with what belongs behind it. Redirections are not
    /// followed: documents are where the configuration says.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn get(
        &self,
        target: &str,
        accept: &'static str,
        max_bytes: usize,
    ) -> Result<(u16, Bytes), String> {
        let answer = timeout(LIMIT, self.ask(target, accept, max_bytes)).await;
        answer.map_err(|_| "it did not answer in time".to_owned()).flatten()
    }

    async fn ask(
        &self,
        target: &str,
        accept: &'static str,
        max_bytes: usize,
    ) -> Result<(u16, Bytes), String> {
        let host = self.url.host().to_string();
        let default_port = if self.tls.is_some() { 443 } else { 80 };
        let tcp = TcpStream::connect((host.as_str(), self.url.port_or(default_port))).await;
        let tcp = tcp.map_err(|error| error.to_string())?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let tls = tls.renewed(&self.alias).await;
                Box::new(tls.connect(&host, tcp).await.map_err(|error| error.to_string())?)
            }
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let driver = Driver(tokio::spawn(connection).abort_handle());
        let mut request = Request::get(target)
            .header(header::HOST, self.url.authority(default_port))
            .header(header::ACCEPT, accept)
            .header(header::CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), max_bytes).collect().await;
        drop(driver);
        let body = body.map_err(|_| format!("the answer ends early or has more than {max_bytes} bytes"))?;
        Ok((status, body.to_bytes()))
    }
}

/// The task behind an HTTP connection; ends with this.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
