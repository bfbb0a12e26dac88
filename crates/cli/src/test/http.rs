//! The one HTTP request that tests make: is this URL fine yet?

use http_body_util::Empty;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A URL that can be asked.
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
}

impl Target {
    /// # Errors
    /// If the text is not an `http` URL with a host.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("`{url}` cannot be asked: `http-ok` takes URLs that begin with `http://`"));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("`{url}` names no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(80);
        Ok(Self { uri, host, port })
    }

    /// `true` if GET gives a 2xx status. Every failure on the way counts as "not yet".
    pub(super) async fn is_ok(&self) -> bool {
        self.get().await.unwrap_or(false)
    }

    async fn get(&self) -> Option<bool> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(header::HOST, self.uri.authority()?.as_str())
            .header(header::CONNECTION, "close")
            .body(Empty::<bytes::Bytes>::new())
            .ok()?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await;
        driver.abort();
        Some(response.ok()?.status().is_success())
    }
}
