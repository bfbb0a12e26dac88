//! What is told of a message reads and writes the same whether it stands in the record or beside it.

use super::{compile, json};
use proptest::prelude::*;
use tremor_lang::{Context, Outcome};
use tremor_value::{AboutMessage, Meta, Payload, Under, Value};

const ABOUT: AboutMessage =
    AboutMessage { under: Under::WsServer, seq: 7, size: 1_000, frames: 2, compressed: true };

/// Metadata of an event of a connection, with the message beside the record.
fn beside() -> Meta {
    let base =
        r#"{"ws_server":{"path":"/p","conn":3,"params":{"seq":1},"list":[1,2]},"other":{"seq":2,"a":1}}"#;
    Meta::with_message(json(base), ABOUT)
}

/// The same with all in one record.
fn within() -> Meta {
    beside().into_value().into()
}

/// How a script ended, what the metadata are behind it, and what the state is.
fn answers(source: &str, mut meta: Meta) -> (String, String, String) {
    let script = compile(source).unwrap_or_else(|failure| panic!("{source}: {failure}"));
    let (mut event, mut state) = (Payload::from(json(r#"{"a":1}"#)), json(r#"{"k":"ws_server"}"#));
    let context = Context::new(0, None, Some(&super::TestHost));
    let end = match script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context) {
        Ok(Outcome::Emit { value, port }) => format!("{port:?} {value}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.report(&script.sources),
    };
    (end, meta.to_string(), state.to_string())
}

fn readings() -> impl Strategy<Value = String> {
    let paths = [
        "$",
        "$ws_server",
        "$ws_server.seq",
        "$ws_server.size",
        "$ws_server.frames",
        "$ws_server.compressed",
        "$ws_server.path",
        "$ws_server.none",
        "$ws_server.params.seq",
        "$ws_server.list[1]",
        "$ws_server.seq.none",
        "$ws_server.seq[0]",
        "$ws_server[\"seq\"]",
        "$ws_server[\"frames\"]",
        "$ws_server[state.k]",
        "$other",
        "$other.seq",
        "$other.a",
        "$x",
        "$x.seq",
        "1",
        "\"seq\"",
        "{\"seq\": 9}",
        "state",
    ];
    let path = prop::sample::select(paths.to_vec()).prop_map(str::to_owned);
    path.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone(),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l} + {r})")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l} == {r})")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("(merge {l} of {r} end)")),
            inner.clone().prop_map(|e| format!("(patch {e} of insert \"new\" => 1; erase \"seq\" end)")),
            inner.clone().prop_map(|e| format!("[{e}]")),
            inner.clone().prop_map(|e| format!("\"#{{{e}}}\"")),
            (inner.clone(), inner).prop_map(|(t, e)| format!(
                "(match {t} of case v = %{{present seq}} => v.seq case %{{seq == 7}} => 1 case _ => {e} end)"
            )),
        ]
    })
}

fn presences() -> impl Strategy<Value = String> {
    let paths =
        ["$ws_server", "$ws_server.seq", "$ws_server.none", "$ws_server.seq.x", "$other.seq", "$x.seq"];
    prop::sample::select(paths.to_vec()).prop_map(|path| format!("present {path}"))
}

fn statements() -> impl Strategy<Value = String> {
    let places = [
        "$x",
        "$x.seq",
        "$other",
        "$other.seq",
        "$ws_server",
        "$ws_server.seq",
        "$ws_server.size.deep",
        "$ws_server.path",
        "$ws_server.new.deep",
        "$ws_server[state.k]",
        "state.kept",
        "event",
    ];
    let place = prop::sample::select(places.to_vec());
    prop_oneof![
        (place.clone(), readings()).prop_map(|(place, value)| format!("let {place} = {value}")),
        (place.clone(), presences()).prop_map(|(place, value)| format!("let {place} = {value}")),
        (place.clone(), readings()).prop_map(|(p, value)| format!("let {p} = merge {p} of {value} end")),
        (place.clone(), readings()).prop_map(|(p, value)| format!("let {p} = {p} + {value}")),
        (place, readings())
            .prop_map(|(p, e)| format!("let {p} = patch {p} of erase \"seq\"; upsert \"u\" => {e} end")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scripts_see_no_difference(
        statements in prop::collection::vec(statements(), 0..5),
        last in prop_oneof![readings(), presences()],
    ) {
        let source = statements.into_iter().chain([last]).collect::<Vec<_>>().join("; ");
        // What is constant and wrong is refused.
        prop_assume!(compile(&source).is_ok());
        let meta = beside();
        // Somebody else holds the same, and notices nothing.
        let (before, of_other) = (answers(&source, meta.clone()), meta.to_string());
        prop_assert_eq!(&before, &answers(&source, within()), "{}", source);
        prop_assert_eq!(of_other, within().to_string());
        prop_assert_eq!(answers(&source, meta), before);
    }
}

#[test]
fn members_of_a_message_are_read_where_they_belong() {
    for (source, expected) in [
        ("$ws_server.seq", "7"),
        ("$ws_server.size", "1000"),
        ("$ws_server.frames", "2"),
        ("$ws_server.compressed", "true"),
        ("$ws_server.path", "\"/p\""),
        ("$ws_server.params.seq", "1"),
        ("$other.seq", "2"),
        ("present $ws_server.seq", "true"),
        ("present $ws_server.none", "false"),
        ("present $seq", "false"),
        ("let $ws_server.seq = $ws_server.seq + 1; $ws_server.seq", "8"),
        ("let $ws_server = {}; present $ws_server.seq", "false"),
    ] {
        assert_eq!(answers(source, beside()).0, format!("None {expected}"), "{source}");
    }
}

#[test]
fn only_who_asks_for_the_whole_has_it_built() {
    for source in [
        "$ws_server.seq",
        "$ws_server.path",
        "present $ws_server.frames",
        "let $x = $ws_server.size; $other.a",
        "let $other = merge $other of {\"b\": 1} end; $ws_server.params.seq",
    ] {
        let (mut event, mut meta, mut state) = (Payload::default(), beside(), Value::Null);
        let script = compile(source).unwrap();
        let context = Context::new(0, None, None);
        script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap();
        assert!(meta.told_under().is_some() && !meta.is_built(), "{source}");
    }
    let (mut event, mut meta, mut state) = (Payload::default(), beside(), Value::Null);
    let script = compile("let $y = $ws_server; 1").unwrap();
    script
        .program
        .run(&mut event, &mut meta, &mut state, &Value::Null, &Context::new(0, None, None))
        .unwrap();
    assert!(meta.is_built());
}
