//! `origin` (`spec/stdlib.md` 4.2).

use std::fmt::Write;
use tremor_lang::{Context, Native, Origin};
use tremor_value::{Record, Value};

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::contextual("origin", "scheme", 0, |context, _| Ok(of(context, |origin| origin.scheme.into()))),
    Native::contextual("origin", "host", 0, |context, _| Ok(of(context, |origin| origin.host.into()))),
    Native::contextual("origin", "port", 0, |context, _| Ok(of(context, port))),
    Native::contextual("origin", "path", 0, |context, _| Ok(of(context, path))),
    Native::contextual("origin", "as_uri_string", 0, |context, _| Ok(of(context, uri))),
    Native::contextual("origin", "as_uri_record", 0, |context, _| Ok(of(context, record))),
];

/// Null for an event that has no origin.
fn of(context: &Context<'_>, part: fn(&Origin<'_>) -> Value) -> Value {
    context.origin.as_ref().map_or(Value::Null, part)
}

fn port(origin: &Origin<'_>) -> Value {
    origin.port.map_or(Value::Null, |port| Value::from(u64::from(port)))
}

fn path(origin: &Origin<'_>) -> Value {
    origin.path.iter().map(|segment| Value::from(segment.as_str())).collect::<Vec<_>>().into()
}

fn uri(origin: &Origin<'_>) -> Value {
    let mut uri = format!("{}://{}", origin.scheme, origin.host);
    if let Some(port) = origin.port {
        let _ = write!(uri, ":{port}");
    }
    for segment in origin.path {
        uri.push('/');
        uri.push_str(segment);
    }
    uri.into()
}

fn record(origin: &Origin<'_>) -> Value {
    let members: Record = [
        ("scheme", Value::from(origin.scheme)),
        ("host", Value::from(origin.host)),
        ("port", port(origin)),
        ("path", path(origin)),
    ]
    .into_iter()
    .collect();
    members.into()
}
