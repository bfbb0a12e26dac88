//! Deployments.

use super::{Embedded, compiler_with, functions, library, reports};
use tremor_lang::{Compiled, Deployment, EndpointKind, Failure};

fn with_connectors() -> Embedded {
    library()
        .with("tremor/connectors.tremor", "define connector console from stdio with codec = \"string\" end;")
        .with(
            "tremor/pipelines.tremor",
            "define pipeline passthrough pipeline select event from in into out end;",
        )
        .with(
            "parts/io.troy",
            "const SIZE = 65536;
             define connector lines_in from file
             args path
             with
               codec = {\"name\": \"json\"},
               preprocessors = [{\"name\": \"separate\", \"config\": {\"max_length\": SIZE}}],
               config = {\"path\": args.path, \"mode\": \"read\"}
             end;",
        )
}

fn compile(source: &str) -> Result<Compiled<Deployment>, Failure> {
    compiler_with(with_connectors()).compile_deployment("test.troy", source)
}

#[track_caller]
fn deployment(source: &str) -> Compiled<Deployment> {
    compile(source).unwrap_or_else(|failure| panic!("{failure}"))
}

#[track_caller]
fn complaints(source: &str) -> Vec<String> {
    compile(source).err().map(|failure| reports(&failure)).unwrap_or_default()
}

/// A flow with this body, deployed.
fn flow(body: &str) -> String {
    format!("define flow f flow {body} end; deploy flow f;")
}

const TALLY: &str = r##"
define flow tally
args every, label = "t"
flow
  use tremor::connectors;
  define connector clock from metronome
  args ns
  with config = {"interval": args.ns} end;
  define pipeline count
  args label
  pipeline
    select {"#{args.label}": event.count} from in into out;
  end;
  create connector clock with ns = args.every * 1000000 end;
  create connector console from connectors::console;
  create pipeline count with label = "#{args.label}-count" end;
  connect /connector/clock to /pipeline/count;
  connect /pipeline/count to /connector/console;
end;
"##;

#[test]
fn arguments_go_down_level_by_level() {
    let source = format!(
        "{TALLY} deploy flow fast from tally with every = 100, label = \"f\" end; deploy flow slow from tally with every = 1000 end;"
    );
    let deployment = deployment(&source);
    assert_eq!(deployment.warnings, []);
    let [fast, slow] = deployment.program.flows.as_slice() else { panic!("two flows") };
    assert_eq!((fast.alias.name.as_str(), slow.alias.name.as_str()), ("fast", "slow"));
    let clock = &fast.connectors[0];
    assert_eq!((clock.name.name.as_str(), clock.kind.name.as_str()), ("clock", "metronome"));
    assert_eq!(clock.settings.config.as_ref().unwrap().value.to_string(), r#"{"interval":100000000}"#);
    assert!(clock.settings.codec.is_none());
    let console = &fast.connectors[1];
    assert_eq!(console.settings.codec.as_ref().unwrap().value.to_string(), "\"string\"");
    assert_eq!(fast.pipelines[0].args.to_string(), r#"{"label":"f-count"}"#);
    assert_eq!(slow.pipelines[0].args.to_string(), r#"{"label":"t-count"}"#);
    let link = &fast.links[0];
    assert_eq!((link.from.kind, link.from.port.name.as_str()), (EndpointKind::Connector, "out"));
    assert_eq!((link.to.instance.name.as_str(), link.to.port.name.as_str()), ("count", "in"));
}

#[test]
fn a_missing_argument_is_marked_in_the_definition() {
    assert_eq!(complaints(&format!("{TALLY} deploy flow slow from tally;")), ["E-Q6 at every"]);
    let body =
        "define connector c from file args path with config = {\"path\": args.path} end; create connector c;";
    assert_eq!(complaints(&flow(body)), ["E-Q6 at path"]);
}

#[test]
fn definitions_from_modules_bring_their_own_scope() {
    let source = flow("use parts::io; create connector src from io::lines_in with path = \"a.log\" end;");
    let deployment = deployment(&source);
    let settings = &deployment.program.flows[0].connectors[0].settings;
    assert_eq!(
        settings.preprocessors.as_ref().unwrap().value.to_string(),
        r#"[{"name":"separate","config":{"max_length":65536}}]"#
    );
    let wrong = flow("use parts::io; create connector src from io::lines_in with size = 1 end;");
    let failure = compile(&wrong).unwrap_err();
    assert_eq!(reports(&failure), ["E-Q7 at size"]);
    assert_eq!(failure.diagnostics[0].hint.as_deref(), Some("The declared arguments are `path`"));
}

#[test]
fn mistakes_are_found_before_anything_starts() {
    let console = "define connector c from stdio with codec = \"string\" end; create connector c;";
    let pipeline = "define pipeline p pipeline select event from in into out end; create pipeline p;";
    let cases: &[(String, &[&str])] = &[
        (flow("define connector c from x with codek = 1 end; create connector c;"), &["E-D1 at codek"]),
        (flow("create connector c;"), &["E-Q2 at c"]),
        (flow("create connector c from d;"), &["E-Q2 at c"]),
        ("deploy flow f;".to_owned(), &["E-Q2 at f"]),
        (format!("{TALLY} deploy flow tally with every = 1, nope = 2 end"), &["E-Q7 at nope"]),
        (
            flow("define connector c from x with codec = args.nope end; create connector c;"),
            &["E-Q7 at nope"],
        ),
        (flow("define connector c from x with codec = event end; create connector c;"), &["E-C1 at event"]),
        (flow("define connector c from x with codec = nope end; create connector c;"), &["E-C1 at nope"]),
        (flow(&format!("{console} connect /connector/d to /pipeline/p; {pipeline}")), &["E-D3 at d"]),
        (flow(&format!("{console} {pipeline} connect /connector/c to /pipeline/q")), &["E-D3 at q"]),
        (flow(&format!("{console} {pipeline} connect /connector/c to /pipeline/p/nope")), &["E-Q17 at nope"]),
        (flow(&format!("{console} {pipeline} connect /pipeline/p/in to /connector/c")), &["E-Q17 at in"]),
        (
            flow(
                "define pipeline p args a pipeline select args.b from in into out end; create pipeline p with a = 1 end;",
            ),
            &["E-Q7 at b"],
        ),
        (
            flow("define pipeline p pipeline select nope from in into out end; create pipeline p;"),
            &["E-P0 at nope"],
        ),
        (
            flow("define connector c from x; define connector c from y; create connector c;"),
            &["E-M3 at define connector c from y"],
        ),
        (
            flow("define connector c from x args a = event with codec = args.a end; create connector c;"),
            &["E-C1 at event"],
        ),
        (
            flow(
                "define connector c from x args a with config = {\"n\": args.a + 1} end; create connector c with a = \"x\" end;",
            ),
            &["E-O1 at args.a + 1"],
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(complaints(source), *expected, "{source}");
    }
}

#[test]
fn several_mistakes_are_reported_in_one_go() {
    let found = complaints(&flow(
        "create connector a; create pipeline b; define connector c from x with codek = 1 end; create connector c;",
    ));
    assert_eq!(found, ["E-Q2 at a", "E-Q2 at b", "E-D1 at codek"]);
}

#[test]
fn unused_definitions_and_repeated_instances_are_worth_a_warning() {
    let source = flow(
        "define connector a from x; define connector b from y with codec = 1 end;
         create connector a; create connector a from b; define pipeline p pipeline select event from in into out end;",
    );
    let deployment = deployment(&source);
    let codes: Vec<_> = deployment.warnings.iter().map(|warning| warning.code.id).collect();
    assert_eq!(codes, ["W-8", "W-9"]);
    let connectors = &deployment.program.flows[0].connectors;
    assert_eq!(connectors.len(), 1);
    assert_eq!(connectors[0].kind.name, "y", "the later one wins");
}

#[test]
fn a_key_that_stands_twice_is_worth_a_warning() {
    let source = flow(
        r#"define connector a from x args x = 1 with codec = "json", config = {"k": {"in": 1, "in": 2}, "k": args.x, "l": 1}, codec = "string" end;
         create connector a with x = 1, x = 2 end;"#,
    );
    let deployment = deployment(&source);
    let told = deployment.warnings.iter().map(|told| {
        let key = told.inner.unwrap();
        (told.code.id, told.message.as_str(), &source[key.start as usize..key.end as usize])
    });
    let message = "This key stands here before; the later one counts";
    let expected = [r#""in""#, r#""k""#, "codec", "x"].map(|key| ("W-12", message, key));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let config = &deployment.program.flows[0].connectors[0].settings.config;
    assert_eq!(config.as_ref().unwrap().value.to_string(), r#"{"k":2,"l":1}"#);
}

#[test]
fn library_flows_can_be_started_by_name() {
    let deployment = deployment(
        "define flow main args a = 1 flow define connector c from x args b with config = args.b end; create connector c with b = args.a end; end;",
    );
    assert!(deployment.program.flows.is_empty());
    let flow = deployment.program.instantiate("main", &deployment.sources).unwrap();
    assert_eq!(flow.connectors[0].settings.config.as_ref().unwrap().value.to_string(), "1");
    let failure = deployment.program.instantiate("mian", &deployment.sources).unwrap_err();
    assert_eq!(failure[0].hint.as_deref(), Some("Did you mean `main`?"));
}

#[test]
fn troy_modules_and_flows_in_modules_work() {
    let library = with_connectors()
        .with("lib/flows.troy", "define flow ingest args n = 2 flow use troy::connectors; create connector c from connectors::console; end;");
    let compiler = tremor_lang::Compiler::new(std::sync::Arc::new(library), std::sync::Arc::new(functions()));
    let source = "use lib::flows; deploy flow a from flows::ingest;";
    let deployment = compiler.compile_deployment("t", source).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(deployment.program.flows[0].connectors[0].kind.name, "stdio");
}

/// The whole text of `spec/language-deploy.md` 13.1 is [`TALLY`] with an operator in its pipeline.
#[test]
fn the_example_with_an_operator_compiles() {
    let source = TALLY.replace(
        "select {\"#{args.label}\": event.count} from in into out;",
        "define operator n from generic::counter;
         create operator n;
         select event from in into n;
         select {\"#{args.label}\": event.count} from n into out;",
    );
    assert_ne!(source, TALLY);
    let source = format!(
        "{source} deploy flow fast from tally with every = 100, label = \"f\" end; deploy flow slow from tally with every = 1000 end;"
    );
    assert_eq!(complaints(&source), [""; 0]);
}

/// `spec/language-deploy.md` 13.3 as a whole program.
const ERROR_PORTS: &str = r#"
define flow main
flow
  use tremor::connectors;
  use parts::io;
  define connector stderr from stdio with codec = "json" end;
  define pipeline work
  from in, failed
  pipeline
    select event from in into out;
    select event from failed into err;
  end;
  define pipeline replies pipeline select event from in into out end;
  create connector src from io::lines_in with path = "in.json" end;
  create connector sink from connectors::console;
  create connector stderr_out from stderr;
  create pipeline work;
  create pipeline replies;
  connect /connector/src        to /pipeline/work;
  connect /connector/src/err    to /pipeline/work/failed;     # codec errors of the source
  connect /pipeline/work        to /connector/sink;
  connect /pipeline/work/err    to /connector/stderr_out;     # what the pipeline sent to err
  connect /connector/sink/out   to /pipeline/replies;         # only if the sink also has a source part
  connect /pipeline/replies     to /connector/stderr_out;
end;
deploy flow main;
"#;

#[test]
fn error_ports_are_linked_by_name() {
    let deployment = deployment(ERROR_PORTS);
    assert_eq!(deployment.warnings, []);
    let link = |link: &tremor_lang::Link| {
        let end = |end: &tremor_lang::Endpoint| format!("{}/{}", end.instance.name, end.port.name);
        format!("{} -> {}", end(&link.from), end(&link.to))
    };
    let links: Vec<_> = deployment.program.flows[0].links.iter().map(link).collect();
    assert_eq!(
        links,
        [
            "src/out -> work/in",
            "src/err -> work/failed",
            "work/out -> sink/in",
            "work/err -> stderr_out/in",
            "sink/out -> replies/in",
            "replies/out -> stderr_out/in",
        ]
    );
    let wrong =
        ERROR_PORTS.replace("from in, failed", "").replace("from failed into err", "from in into err");
    assert_eq!(complaints(&wrong), ["E-Q17 at failed"]);
}
