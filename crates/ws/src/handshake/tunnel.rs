//! A tunnel through an HTTP proxy. Source: RFC 9110, section 9.3.6; `spec/websocket.md` 12.3.

use super::client::{ClientError, LIMITS, MAX_INTERIM, parse_head, refusal_of};
use super::headers::{Headers, is_value, write_header};
use super::scan::Scanner;
use bytes::BytesMut;

/// Asks an HTTP proxy for a tunnel: write [`request`](Self::request), then feed the answer.
#[derive(Debug)]
pub struct TunnelHandshake {
    request: Vec<u8>,
    scanner: Scanner,
    /// Answers that said nothing yet.
    interim: u32,
    refused: Option<(u16, Headers)>,
}

impl TunnelHandshake {
    /// A tunnel to `server`, a `host:port` with brackets around an IPv6 address. `authorization` is the value of
    /// `Proxy-Authorization`. `None` if these cannot stand in a request.
    pub fn new(server: &str, authorization: Option<&str>) -> Option<Self> {
        let is_plain = !server.is_empty() && server.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || !authorization.is_none_or(is_value) {
            return None;
        }
        let mut request = format!("CONNECT {server} HTTP/1.1\r\n").into_bytes();
        write_header("Host", server, &mut request);
        if let Some(authorization) = authorization {
            write_header("Proxy-Authorization", authorization, &mut request);
        }
        request.extend_from_slice(b"\r\n");
        Some(Self { request, scanner: Scanner::default(), interim: 0, refused: None })
    }

    /// The bytes to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Looks at what `input` holds: `true` once there is a tunnel; what is left in `input` came through it.
    ///
    /// Until then `input` keeps its bytes and only grows.
    ///
    /// # Errors
    /// When the proxy gives no tunnel.
    pub fn advance(&mut self, input: &mut BytesMut) -> Result<bool, ClientError> {
        while self.refused.is_none() {
            let Some(end) = self.scanner.scan(input, &LIMITS)? else { return Ok(false) };
            self.scanner = Scanner::default();
            let (status, headers) = parse_head(input.split_to(end.head).freeze(), end)?;
            match status {
                200..=299 => return Ok(true),
                100..=199 if self.interim < MAX_INTERIM => self.interim += 1,
                100..=199 => return Err(ClientError::Malformed),
                _ => self.refused = Some((status, headers)),
            }
        }
        match &self.refused {
            Some((status, headers)) => match refusal_of(*status, headers, input) {
                (refusal, true) => Err(ClientError::Status(Box::new(refusal))),
                (_, false) => Ok(false),
            },
            None => Ok(false),
        }
    }

    /// The error to report when the connection ends, or the time is over, before [`advance`](Self::advance) came to a
    /// result.
    pub fn cut_short(&self, input: &[u8]) -> ClientError {
        match &self.refused {
            Some((status, headers)) => ClientError::Status(Box::new(refusal_of(*status, headers, input).0)),
            None => ClientError::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: &str) -> Result<(bool, String), String> {
        let mut whole = TunnelHandshake::new("feed.example:80", None).unwrap();
        let mut input = BytesMut::from(answer);
        let expected = whole.advance(&mut input).map_err(|error| error.to_string());
        let left = String::from_utf8(input.to_vec()).unwrap();
        // Byte by byte it is the same.
        let mut slow = TunnelHandshake::new("feed.example:80", None).unwrap();
        let mut input = BytesMut::new();
        let mut found = Ok(false);
        for byte in answer.bytes() {
            input.extend_from_slice(&[byte]);
            if !matches!(found, Ok(true)) && found.is_ok() {
                found = slow.advance(&mut input).map_err(|error| error.to_string());
            }
        }
        assert_eq!(found, expected, "{answer}");
        expected.map(|done| (done, left))
    }

    #[test]
    fn a_tunnel_is_asked_for() {
        let asked = TunnelHandshake::new("[::1]:7000", Some("Basic x")).unwrap();
        let expected =
            "CONNECT [::1]:7000 HTTP/1.1\r\nHost: [::1]:7000\r\nProxy-Authorization: Basic x\r\n\r\n";
        assert_eq!(asked.request(), expected.as_bytes());
        assert!(TunnelHandshake::new("a b:1", None).is_none());
        assert!(TunnelHandshake::new("a:1", Some("x\r\ny: z")).is_none());
    }

    #[test]
    fn any_2xx_is_a_tunnel_and_nothing_else_is() {
        assert_eq!(answered("HTTP/1.1 200 OK\r\n\r\n\x16"), Ok((true, "\x16".to_owned())));
        assert_eq!(answered("HTTP/1.0 204 Fine\r\nContent-Length: 9\r\n\r\n"), Ok((true, String::new())));
        assert_eq!(answered("HTTP/1.1 200 OK\r\n"), Ok((false, "HTTP/1.1 200 OK\r\n".to_owned())));
        let interim = "HTTP/1.1 100 Go on\r\n\r\n";
        let late = |count| answered(&(interim.repeat(count) + "HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(late(8), Ok((true, String::new())));
        assert!(late(9).is_err());
        let refused = answered("HTTP/1.1 407 No\r\nContent-Length: 6\r\n\r\nwho\x07is").unwrap_err();
        assert_eq!(refused, "the server answered 407 and opens no WebSocket: who is");
        assert!(answered("SSH-2.0-server\r\n\r\n").is_err());
        let asked = TunnelHandshake::new("feed.example:80", None).unwrap();
        assert_eq!(asked.cut_short(b""), ClientError::Incomplete);
    }
}
