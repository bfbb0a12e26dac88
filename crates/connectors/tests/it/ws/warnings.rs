//! What is accepted and hardly meant is told when a server is made.

use super::peers::{Port, server_definition};
use crate::harness::{Linked, Subject};
use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::with_default,
};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Visit for Told {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{value:?}").unwrap();
    }
}

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is told of a server with `more` members in its configuration.
fn told(more: &str) -> String {
    let told = Told::default();
    let definition = server_definition(&Port::reserve(), more);
    with_default(told.clone(), || Subject::new(&definition, Linked::Fully).map(drop)).unwrap();
    let told = told.0.lock().unwrap();
    told.clone()
}

const ALL: &str = r#"{"exit": "a"}"#;
const ONE: &str = r#"{"exit": "b", "when": {"path": "/b"}}"#;

#[tokio::test]
async fn what_has_no_effect_is_told() {
    for (more, expected) in [
        (
            format!(r#", "routes": [{ALL}, {ONE}]"#),
            "`routes[0]` takes all who come: the routes behind it are",
        ),
        (format!(r#", "routes": [{ONE}, {ALL}], "exit": "c""#), "`routes[1]` takes all who come: `exit` is"),
        (
            format!(r#", "routes": [{ONE}], "no_match": {{"body": "x"}}, "error_bodies": false"#),
            "`no_match.body` has no effect",
        ),
        (r#", "max_connections_per_identity": 1"#.into(), "`max_connections_per_identity` has no effect"),
        (r#", "subprotocol_preference": "server""#.into(), "no effect without `subprotocols`"),
        (r#", "auto_ping_size": 20"#.into(), "`auto_ping_size` has no effect without `auto_ping_interval`"),
        (
            r#", "auto_ping_restart_on_any_traffic": false"#.into(),
            "`auto_ping_restart_on_any_traffic` has no effect without",
        ),
        (r#", "cookie": {"same_site": "None"}"#.into(), "the cookie is `Secure`, so browsers drop it"),
        (r#", "cookie": {"secure": true}"#.into(), "the cookie is `Secure`, so browsers drop it"),
        (
            r#", "compression": {"deflate": {"request_max_window_bits": 8}}"#.into(),
            "`request_max_window_bits` is 8",
        ),
    ] {
        let told = told(&more);
        assert_eq!(told.matches(expected).count(), 1, "{more}\n{told}");
    }
}

#[tokio::test]
async fn what_has_an_effect_is_not() {
    for more in [
        format!(r#", "routes": [{ONE}, {ALL}]"#),
        format!(r#", "routes": [{ONE}], "no_match": {{"body": "x"}}"#),
        r#", "subprotocols": ["a"], "subprotocol_preference": "server""#.into(),
        r#", "auto_ping_interval": 10000, "auto_ping_size": 20"#.into(),
        r#", "cookie": {"same_site": "None"}, "public_url": "wss://a.example""#.into(),
        r#", "cookie": {}"#.into(),
        r#", "compression": {"deflate": {"request_max_window_bits": 9}}"#.into(),
    ] {
        assert_eq!(told(&more), "", "{more}");
    }
}
