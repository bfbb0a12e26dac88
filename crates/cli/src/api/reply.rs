//! From a request to the body and status of its answer.

use super::model::{ApiState, PatchError, Status};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    /// A media type that is known and never produced.
    Unproducible,
}

impl Format {
    /// What the last `Accept` header asks for; it is compared literally.
    pub(super) fn of(accept: Option<&str>) -> Self {
        match accept {
            Some("application/yaml") => Self::Yaml,
            Some("application/vnd.trickle" | "application/vnd.troy") => Self::Unproducible,
            _ => Self::Json,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        if self == Self::Yaml { "application/yaml" } else { "application/json" }
    }
}

/// Status and body; an empty body has no content type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: StatusCode,
    pub(super) body: Option<(Format, Vec<u8>)>,
    /// For the log: why the request failed.
    pub(super) error: Option<String>,
}

impl Reply {
    fn empty(code: StatusCode) -> Self {
        Self { code, body: None, error: Some(code.to_string()) }
    }

    fn ok(format: Format, value: &impl Serialize) -> Self {
        Self::with(StatusCode::OK, format, value)
    }

    fn with(code: StatusCode, format: Format, value: &impl Serialize) -> Self {
        let text = match format {
            Format::Json => serde_json::to_string(value).map_err(|error| error.to_string()),
            Format::Yaml => serde_saphyr::to_string(value).map_err(|error| error.to_string()),
            Format::Unproducible => Err("this media type cannot be produced".to_owned()),
        };
        match text {
            Ok(text) => Self { code, body: Some((format, text.into_bytes())), error: None },
            Err(error) => Self::internal(Format::Json, error),
        }
    }

    /// An error with a text for the client, which is also what the log gets.
    pub(super) fn error(code: StatusCode, format: Format, message: String) -> Self {
        let format = if format == Format::Unproducible { Format::Json } else { format };
        let body = ErrorBody { code: code.as_u16(), error: &message };
        let mut reply = Self::with(code, format, &body);
        reply.error = Some(message);
        reply
    }

    /// The client learns only that something went wrong; the log gets `cause`.
    fn internal(format: Format, cause: String) -> Self {
        let code = StatusCode::INTERNAL_SERVER_ERROR;
        let mut reply = Self::error(code, format, "Internal server error".to_owned());
        reply.error = Some(cause);
        reply
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    error: &'a str,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    debug: bool,
}

#[derive(Serialize)]
struct RuntimeStatus {
    all_running: bool,
    num_flows: usize,
    flows: BTreeMap<Status, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    status: Status,
}

/// A request that is already taken apart.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) format: Format,
    /// Whole body; empty for methods that have none.
    pub(super) body: &'a [u8],
}

/// Answers one request.
pub(super) async fn answer(state: &dyn ApiState, asked: &Asked<'_>) -> Reply {
    let Some(segments) = segments(asked.path) else { return Reply::empty(StatusCode::NOT_FOUND) };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (get, patch) = (*asked.method == Method::GET, *asked.method == Method::PATCH);
    match segments.as_slice() {
        ["v1", "version"] if get => {
            let version = Version { version: env!("CARGO_PKG_VERSION"), debug: cfg!(debug_assertions) };
            Reply::ok(asked.format, &version)
        }
        ["v1", "status"] if get => runtime_status(state, asked).await,
        ["v1", "flows"] if get => Reply::ok(asked.format, &state.flows().await),
        ["v1", "flows", flow] if get => match state.flow(flow).await {
            Some(flow) => Reply::ok(asked.format, &flow),
            None => no_flow(asked, flow),
        },
        ["v1", "flows", flow] if patch => patch_flow(state, asked, flow).await,
        ["v1", "flows", flow, "connectors"] if get => match state.connectors(flow).await {
            Some(connectors) => Reply::ok(asked.format, &connectors),
            None => no_flow(asked, flow),
        },
        ["v1", "flows", flow, "connectors", connector] if get => {
            let Some(connectors) = state.connectors(flow).await else { return no_flow(asked, flow) };
            match connectors.iter().find(|candidate| candidate.alias == *connector) {
                Some(connector) => Reply::ok(asked.format, connector),
                None => no_connector(asked, flow, connector),
            }
        }
        ["v1", "flows", flow, "connectors", connector] if patch => {
            patch_connector(state, asked, flow, connector).await
        }
        ["v1", "version" | "status" | "flows"]
        | ["v1", "flows", _]
        | ["v1", "flows", _, "connectors"]
        | ["v1", "flows", _, "connectors", _] => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
        _ => Reply::empty(StatusCode::NOT_FOUND),
    }
}

async fn runtime_status(state: &dyn ApiState, asked: &Asked<'_>) -> Reply {
    let flows = state.flows().await;
    let mut counts = BTreeMap::new();
    for flow in &flows {
        *counts.entry(flow.status).or_insert(0) += 1;
    }
    let healthy = |status: Status| matches!(status, Status::Running | Status::Paused | Status::Initializing);
    let code = match flows.iter().all(|flow| healthy(flow.status)) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let all_running = flows.iter().all(|flow| flow.status == Status::Running);
    let body = RuntimeStatus { all_running, num_flows: flows.len(), flows: counts };
    Reply::with(code, asked.format, &body)
}

async fn patch_flow(state: &dyn ApiState, asked: &Asked<'_>, flow: &str) -> Reply {
    let status = match wanted_status(asked) {
        Ok(status) => status,
        Err(reply) => return reply,
    };
    match state.set_flow_status(flow, status).await {
        Ok(flow) => Reply::ok(asked.format, &flow),
        Err(PatchError::NotFound) => no_flow(asked, flow),
        Err(PatchError::Forbidden { from }) => {
            bad_request(asked, format!("Cannot patch status of flow {flow} from {from} to {status}"))
        }
        Err(PatchError::Internal(cause)) => Reply::internal(asked.format, cause),
    }
}

async fn patch_connector(state: &dyn ApiState, asked: &Asked<'_>, flow: &str, connector: &str) -> Reply {
    let status = match wanted_status(asked) {
        Ok(status) => status,
        Err(reply) => return reply,
    };
    match state.set_connector_status(flow, connector, status).await {
        Ok(connector) => Reply::ok(asked.format, &connector),
        Err(PatchError::NotFound) if state.flow(flow).await.is_none() => no_flow(asked, flow),
        Err(PatchError::NotFound) => no_connector(asked, flow, connector),
        Err(PatchError::Forbidden { from }) => bad_request(
            asked,
            format!("Cannot patch status of connector {connector} in flow {flow} from {from} to {status}"),
        ),
        Err(PatchError::Internal(cause)) => Reply::internal(asked.format, cause),
    }
}

/// The state that the body of a PATCH asks for.
fn wanted_status(asked: &Asked<'_>) -> Result<Status, Reply> {
    serde_json::from_slice(asked.body)
        .map(|Patch { status }| status)
        .map_err(|error| bad_request(asked, format!("The body is not a status change: {error}")))
}

fn bad_request(asked: &Asked<'_>, message: String) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, asked.format, message)
}

fn no_flow(asked: &Asked<'_>, flow: &str) -> Reply {
    Reply::error(StatusCode::NOT_FOUND, asked.format, format!("Flow {flow} not found"))
}

fn no_connector(asked: &Asked<'_>, flow: &str, connector: &str) -> Reply {
    let message = format!("Connector {connector} not found in Flow {flow}");
    Reply::error(StatusCode::NOT_FOUND, asked.format, message)
}

/// The decoded segments of a path; `None` if it is none of ours.
fn segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/')?.split('/').map(percent_decoded).collect()
}

/// Replaces `%41` and the like; `None` if that is no UTF-8 or not well-formed.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded() {
        assert_eq!(segments("/v1/a%20b%2Fc").unwrap(), ["v1", "a b/c"]);
        assert_eq!(segments("/").unwrap(), [""]);
        for bad in ["", "*", "/%", "/%4", "/%zz", "/%ff", "/%+1"] {
            assert_eq!(segments(bad), None, "{bad}");
        }
    }

    #[test]
    fn accept_is_compared_literally() {
        assert_eq!(Format::of(None), Format::Json);
        assert_eq!(Format::of(Some("*/*")), Format::Json);
        assert_eq!(Format::of(Some("application/yaml")), Format::Yaml);
        assert_eq!(Format::of(Some("application/yaml; q=1")), Format::Json);
        assert_eq!(Format::of(Some("application/vnd.troy")), Format::Unproducible);
    }
}
