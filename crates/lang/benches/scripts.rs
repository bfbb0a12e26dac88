//! What typical scripts cost per event, from JSON to JSON.
//!
//! `cargo bench -p tremor-lang` prints nanoseconds; `-- CASE` runs one case. Instruction counts are steadier:
//! `valgrind --tool=callgrind --toggle-collect='*measured*' target/release/deps/scripts-… CASE --once` counts those of
//! the script alone; divide by the number of events that `--once` prints. With `--tree` the events are built before.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints, and stops where it can not go on"
)]

use std::{
    fmt::Write as _,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use tremor_lang::{Compiler, Context, Embedded, FunctionError, Functions, Native, Outcome, Script};
use tremor_value::{
    Bytes, Meta, Payload, Value,
    json::{self, Parser},
};

/// A record as services log them, 630 bytes long.
const RECORD: &str = r#"{"id":4711,"at":1700000004711014133,"kind":"kind-13","level":"info","keep":true,"last":false,"host":{"name":"web-17.example.org","zone":"eu-west-2","cpu":37.251,"load":3.402},"request":{"method":"GET","path":"/shop/17/items","status":404,"latency_ms":1205.337,"bytes":183027,"cached":false,"agent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},"user":{"id":733007751851,"roles":["buyer","reviewer"],"balance":-17.255},"trace":{"id":"7e0b5eed00c0ffee","parent":null,"sampled":true},"message":"upstream closed connection after timeout retry in zone eu-west moved to replica while cache was warming done"}"#;

const WRITES: &str = r#"
    let event.source = "bench";
    let event.level = "notice";
    let event.revision = 7;
    let event.checked = true;
    let event.host.rack = "r12";
    let event.request.slow = event.request.latency_ms > 1000.0;
    let event.request.status = event.request.status + 1;
    let event.user.name = "nobody";
    let event.trace.sampled = false;
    event"#;

/// Events per measurement.
const EVENTS: u32 = 2_000;

/// How events come to the script.
#[derive(Clone, Copy)]
enum Form {
    Tree,
    Document,
}

/// One script; its name is what the command line takes.
struct Case {
    name: &'static str,
    source: String,
}

fn cases() -> Vec<Case> {
    let case = |name, source: &str| Case { name, source: source.to_owned() };
    vec![
        case("event", "event"),
        case("filter", r#"event.request.method == "GET" and event.keep"#),
        Case { name: "match_writes", source: match_writes() },
        Case { name: "match_meta", source: match_meta() },
        Case { name: "match_guards", source: match_guards() },
        case(
            "interpolate",
            r##""#{event.host.name}: #{event.request.method} #{event.request.path} gave #{event.request.status}""##,
        ),
        case(
            "record",
            r#"{"host": event.host.name, "user": event.user.id, "request": {"path": event.request.path, "slow": event.request.latency_ms > 1000.0}, "roles": event.user.roles}"#,
        ),
        case(
            "patterns",
            r#"match event of
                case %{ absent kind } => "none"
                case %{ level == "error", present message } => "bad"
                case %{ request ~= %{ status == 500 } } => "broken"
                case %{ request ~= %{ method == "GET", status >= 400 }, present user } => "wrong"
                case _ => "fine"
            end"#,
        ),
        Case { name: "extract", source: extractors() },
        case("for", r##"for event.request of case (k, v) when k != "agent" => {"#{k}": v} into {} end"##),
        case(
            "functions",
            r#"fn grade(n) of case (200) => "good" case (404) => "lost" case _ => "bad" end;
               fn twice(x) with let y = x * 2; y end;
               let event.grade = grade(event.request.status);
               let event.cost = twice(event.request.bytes) + core::array::len(event.user.roles);
               event"#,
        ),
        case(
            "patch",
            r#"patch event of insert "seen" => true; update "level" => "notice"; erase "message" end"#,
        ),
        case("merge", r#"merge event of {"request": {"slow": true}, "seen": 1} end"#),
        case(
            "presence",
            r#"present event.request.cached and absent event.error and present event.user.roles"#,
        ),
        case("whole", r#"{"wrapped": event}"#),
    ]
}

/// The script of `cargo xtask bench --case script`.
fn match_writes() -> String {
    let mut script = "let event.class = match event.kind of\n".to_owned();
    for kind in 0..20 {
        let _infallible = writeln!(script, "case \"kind-{kind:02}\" => {}", 100 + kind);
    }
    script + "case _ => 0 end;" + WRITES
}

fn match_meta() -> String {
    let mut script = "match event.kind of\n".to_owned();
    for kind in 0..20 {
        let _infallible =
            writeln!(script, "case \"kind-{kind:02}\" => let $class = \"class-{kind}\"; let $rate = {kind}");
    }
    script + "case _ => let $class = \"default\"; let $rate = 0 end; event"
}

fn match_guards() -> String {
    let mut script = "match event.kind of\n".to_owned();
    for kind in 0..20 {
        let _infallible = writeln!(
            script,
            "case \"kind-{kind:02}\" when event.request.status >= 500 => {kind}\ncase \"kind-{kind:02}\" => -{kind}"
        );
    }
    script + "case _ => 0 end"
}

/// Twenty arms of globs and regular expressions, of which the last but one matches and is taken apart.
fn extractors() -> String {
    let mut script = "match event.message of\n".to_owned();
    for arm in 0..6 {
        let _infallible = writeln!(
            script,
            "case ~ glob|downstream {arm}*| => {arm}\ncase ~ glob|*moved to primary-{arm}*| => {arm}\ncase ~ re|retry ({arm}\\|x{arm}+) times| => {arm}"
        );
    }
    script
        + r"case ~ glob|upstream [!c]*| => 18
            case x = ~ re|after (?<why>\\w+) retry in zone (?<zone>[-a-z]+)| => x
            case _ => 20 end"
}

fn compile(source: &str) -> Script {
    let len = |_: &Context<'_>, args: &[&Value]| {
        let len = args.first().and_then(|items| items.as_array()).ok_or(FunctionError::BadType)?.len();
        Ok(Value::from(u64::try_from(len).unwrap_or(u64::MAX)))
    };
    let functions = Functions::new([Native::pure("array", "len", 1, len)]);
    let compiler = Compiler::new(Arc::new(Embedded::new("lib")), Arc::new(functions));
    compiler.compile_script("bench.tremor", source).expect("the script compiles").program
}

/// Runs the script on one event. Not inlined, so that tools can find it.
#[inline(never)]
fn measured(script: &Script, event: &mut Payload, meta: &mut Meta) -> Outcome {
    let context = Context::new(0, None, None);
    script.run(event, meta, &mut Value::Null, &Value::Null, &context).expect("the script succeeds")
}

/// The time that `events` runs take, each from the text of the event to the text of what the script makes of it.
fn run(script: &Script, form: Form, events: u32) -> Duration {
    let mut parser = Parser::new();
    let text = Bytes::from_static(RECORD.as_bytes());
    let mut out = Vec::new();
    let start = Instant::now();
    for _ in 0..events {
        let mut event = match form {
            Form::Tree => Payload::from(parser.parse(black_box(&text)).expect("the record is JSON")),
            Form::Document => parser.document(black_box(text.clone())).expect("the record is JSON"),
        };
        let mut meta = Meta::record();
        out.clear();
        match measured(script, &mut event, &mut meta) {
            Outcome::Emit { value, .. } => json::write(&value, &mut out),
            Outcome::EmitEvent { .. } => event.write_json(&mut out),
            Outcome::Drop => {}
        }
        black_box((&out, meta));
    }
    start.elapsed()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    for case in cases() {
        if !wanted.is_empty() && !wanted.iter().any(|name| *name == case.name) {
            continue;
        }
        let script = compile(&case.source);
        if has("--once") {
            run(&script, if has("--tree") { Form::Tree } else { Form::Document }, EVENTS);
            println!("{}: {EVENTS} events", case.name);
            continue;
        }
        let best = |form| (0..20).map(|_| run(&script, form, EVENTS)).min().unwrap_or_default().as_nanos();
        let (tree, document) = (best(Form::Tree), best(Form::Document));
        let events = u128::from(EVENTS);
        println!(
            "{:>12}: {:>6} ns as a tree, {:>6} ns as a document",
            case.name,
            tree / events,
            document / events
        );
    }
}
