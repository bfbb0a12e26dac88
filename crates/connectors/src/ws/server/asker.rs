//! Who asks for a connection, and how that is answered over one version of HTTP or the other.

use super::{begun, http2::Exchange, opening::within, refusing::RETRY_AFTER_S};
use crate::ws::read_more;
use bytes::BytesMut;
use futures_util::future::OptionFuture;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, timeout_at},
};
use tremor_connector::{duplex::Stream, tls::explain};
use tremor_ws::{
    Accept, Answer, HandshakeOptions, Head, Reject, Request, ServerHandshake, accept, accept_http2,
};

/// How long a refused peer may take to read the answer.
const LINGER: Duration = Duration::from_secs(1);
/// What is read of a client that does not wait for the answer.
const MOST_AHEAD_BYTES: usize = 16 * 1024;

/// Who asks.
pub(super) enum Asker {
    /// By a connection of its own, of which `input` was read.
    Http1 { stream: Box<dyn Stream>, input: BytesMut },
    /// By a stream of an HTTP/2 connection.
    Http2(Box<Exchange>),
}

/// Why there is no request.
pub(super) enum Failure {
    Refused(Reject),
    /// Who had begun to ask has gone; in words for the log.
    Gone(String),
    /// Nothing was asked for; in words for the log.
    Silent(String),
}

impl Asker {
    /// One of whom nothing was read.
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self::Http1 { stream: Box::new(stream), input: BytesMut::new() }
    }

    /// The method by which WebSockets are asked for.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Http1 { .. } => "GET",
            Self::Http2(_) => "CONNECT",
        }
    }

    /// What is asked for. Who is in the middle of that when no more connections are taken hears so; without `draining`
    /// that is no matter.
    pub(super) async fn head(
        &mut self,
        options: &Arc<HandshakeOptions>,
        deadline: Option<Instant>,
        draining: Option<watch::Receiver<bool>>,
    ) -> Result<Head, Failure> {
        let (stream, input) = match self {
            Self::Http1 { stream, input } => (stream, input),
            Self::Http2(exchange) => return exchange.head(options).map_err(Failure::Refused),
        };
        let mut handshake = ServerHandshake::new(options.clone());
        let drains = OptionFuture::from(draining.map(begun));
        let head = tokio::select! {
            biased;
            head = within(deadline, read_head(&mut handshake, stream, input)) => head,
            Some(()) = drains => {
                if handshake.has_begun() {
                    return Err(Failure::Refused(Reject::unavailable(RETRY_AFTER_S)));
                }
                // Nothing has been asked for yet: whoever asks in time hears the same.
                within(deadline, read_head(&mut handshake, stream, input)).await
            }
        };
        match head {
            Some(head) => head,
            None if handshake.has_begun() => Err(Failure::Refused(Reject::timeout())),
            None => Err(Failure::Silent("no request in time".to_owned())),
        }
    }

    /// Completes when nobody is there any more who could be answered. What comes meanwhile is for the connection; behind much
    /// of that nobody looks any more.
    pub(super) async fn gone(&mut self) {
        match self {
            Self::Http1 { stream, input } => {
                while input.len() < MOST_AHEAD_BYTES {
                    if !matches!(read_more(stream, input).await, Ok(true)) {
                        return;
                    }
                }
                pending::<()>().await;
            }
            Self::Http2(exchange) => exchange.gone().await,
        }
    }

    /// The last words to somebody who gets no connection. With a `place`, a task of its own has it and gives the peer the time
    /// to read them.
    pub(super) async fn say(self, answer: &Answer, place: Option<OwnedSemaphorePermit>) {
        let (mut stream, bytes) = match self {
            Self::Http1 { stream, .. } => (stream, answer.to_bytes()),
            Self::Http2(exchange) => return exchange.say(answer),
        };
        let deadline = Instant::now() + LINGER;
        let said = async {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        };
        // Whether it was read or not, the connection is over.
        let Ok(Ok(())) = timeout_at(deadline, said).await else { return };
        let read = async move {
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        };
        match place {
            None => {
                let _over = timeout_at(deadline, read).await;
            }
            Some(place) => {
                tokio::spawn(async move {
                    let _over = timeout_at(deadline, read).await;
                    drop(place);
                });
            }
        }
    }

    /// Opens the WebSocket; gives its byte stream, and what came of it already.
    ///
    /// # Errors
    /// In words for the log.
    pub(super) async fn grant(
        self,
        request: &Request,
        agreed: &Accept<'_>,
        deadline: Option<Instant>,
    ) -> Result<(Box<dyn Stream>, BytesMut), String> {
        let (mut stream, input) = match self {
            Self::Http1 { stream, input } => (stream, input),
            Self::Http2(exchange) => {
                let fields = accept_http2(request, agreed).map_err(|error| error.to_string())?;
                return Ok((Box::new(exchange.grant(&fields)?), BytesMut::new()));
            }
        };
        let answer = accept(request, agreed).map_err(|error| error.to_string())?;
        let answered = within(deadline, async {
            stream.write_all(&answer).await?;
            stream.flush().await
        });
        answered.await.ok_or("the peer does not read the answer")?.map_err(|error| error.to_string())?;
        Ok((stream, input))
    }
}

async fn read_head(
    handshake: &mut ServerHandshake,
    stream: &mut Box<dyn Stream>,
    input: &mut BytesMut,
) -> Result<Head, Failure> {
    loop {
        if let Some(head) = handshake.advance_head(input).map_err(Failure::Refused)? {
            return Ok(head);
        }
        let cause = match read_more(stream, input).await {
            Ok(true) => continue,
            Ok(false) => "the peer went away during the handshake".to_owned(),
            Err(error) => explain(&error),
        };
        // Browsers connect in advance, and others do so to see whether somebody listens.
        return Err(if handshake.has_begun() { Failure::Gone(cause) } else { Failure::Silent(cause) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn of_one_who_does_not_wait_for_the_answer_little_is_read() {
        let (mut client, server) = tokio::io::duplex(64 * MOST_AHEAD_BYTES);
        let mut asker = Asker::new(server);
        client.write_all(&vec![b'x'; 64 * MOST_AHEAD_BYTES]).await.unwrap();
        drop(client);
        assert_eq!(asker.gone().now_or_never(), None, "who has said that much may still be there");
        let Asker::Http1 { input, .. } = &asker else { panic!("not by HTTP/1.1") };
        assert!((MOST_AHEAD_BYTES..2 * MOST_AHEAD_BYTES).contains(&input.len()), "{}", input.len());
    }
}
