//! Connections and HTTP: everything that does not depend on what is asked.

use super::{
    model::ApiState,
    reply::{Asked, Format, Reply, answer},
    visits::{Visit, Visits},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Limit for the head of a request, also while a kept-alive connection is idle.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Limit for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Longest body; that of a status change has some twenty bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bound for the head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Pause after a failed accept, which fails again at once when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API on `listener` until `stop` is ready; open connections end then, too.
///
/// A connection that misbehaves harms nobody else: heads and bodies have time and size limits, and failures to accept
/// are logged and survived, and connections that ask for nothing give way to others.
pub async fn serve(listener: TcpListener, state: Arc<dyn ApiState>, stop: impl Future<Output = ()>) {
    let mut visits = Visits::default();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    visits.add(|visit| connection(stream, visit, Arc::clone(&state))).await;
                }
                Err(error) => {
                    tracing::warn!(target: "tremor", "[API] Cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop => {}
    }
    visits.end().await;
}

async fn connection(stream: TcpStream, visit: Visit, state: Arc<dyn ApiState>) {
    let service = service_fn(move |request| {
        let (state, visit) = (Arc::clone(&state), visit.clone());
        async move { Ok::<_, Infallible>(respond(&*state, &visit, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(target: "tremor", "[API] Connection ended: {error}");
    }
}

async fn respond(state: &dyn ApiState, visit: &Visit, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let accept = head.headers.get_all(ACCEPT).iter().next_back().and_then(|value| value.to_str().ok());
    let format = Format::of(accept);
    let body = read(body).await;
    let _until_it_is_answered = visit.answering();
    let reply = match body {
        Ok(body) => {
            let asked = Asked { method: &head.method, path: head.uri.path(), format, body: &body };
            answer(state, &asked).await
        }
        Err((code, message)) => Reply::error(code, format, message),
    };
    if let Some(error) = &reply.error {
        let path = head.uri.path().escape_debug();
        let (method, code) = (&head.method, reply.code.as_u16());
        if reply.code.is_server_error() {
            tracing::error!(target: "tremor", "[API {method} {path}] {code}: {error}");
        } else {
            tracing::info!(target: "tremor", "[API {method} {path}] {code}: {error}");
        }
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = reply.code;
    if let Some((format, bytes)) = reply.body {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        *response.body_mut() = Full::from(bytes);
    }
    response
}

async fn read(body: Incoming) -> Result<Bytes, (StatusCode, String)> {
    let too_long =
        || (StatusCode::PAYLOAD_TOO_LARGE, format!("The body is longer than {MAX_BODY_BYTES} bytes"));
    // An announced length is judged at once, without waiting for the bytes.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_long());
    }
    match timeout(BODY_TIME, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => Err((StatusCode::BAD_REQUEST, format!("The body cannot be read: {error}"))),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time".to_owned())),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
