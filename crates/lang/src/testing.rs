//! Properties that hold for any source, for tests and for the fuzzer.

use crate::{Compiler, Context, Failure, Outcome};
use tremor_value::{Bytes, Meta, Payload, Value, json::Parser};

/// Values that one run may copy, compare or write here, and calls and rounds of loops: no run takes long.
const VALUES: usize = 200_000;
const STEPS: u32 = 20_000;

/// The event of scripts that bring none.
const EVENT: &[u8] =
    br#"{"a":{"b":[1,{"c":null}],"k":"text"},"k":"a","n":7,"f":1.5,"l":["a","b","c"],"t":"2 words"}"#;

/// Compiles a script and runs it on an event as text, on the same as a tree, and again on the state that this left. What stands
/// behind the first NUL is the event. `true` if the script compiles.
///
/// # Panics
/// If anything panics on the way, or something is wrong and nothing is reported.
pub fn script_answers(compiler: &Compiler, data: &[u8]) -> bool {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let source = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let script = match compiler.compile_script("fuzz", &source) {
        Ok(script) => script,
        Err(failure) => {
            show(&failure);
            return false;
        }
    };
    let read = |text: &[u8]| Parser::new().document(Bytes::copy_from_slice(text)).ok();
    let event = parts.next().and_then(read).or_else(|| read(EVENT)).unwrap_or_default();
    let mut state = Value::Null;
    for mut event in [event.clone(), Payload::from(event.value().clone()), event] {
        let mut meta = Meta::record();
        let context = Context::new(7, None, None).with_values(VALUES).with_steps(STEPS);
        let mut text = Vec::new();
        match script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context) {
            Ok(Outcome::Emit { value, .. }) => Payload::from(value).write_json(&mut text),
            Ok(Outcome::EmitEvent { .. }) => event.write_json(&mut text),
            Ok(Outcome::Drop) => {}
            Err(error) => text.extend_from_slice(error.report(&script.sources).as_bytes()),
        }
    }
    state.release();
    true
}

/// Reads `data` as a query and as a deployment, as far as that goes without starting anything. `true` if it is one of them.
///
/// # Panics
/// As [`script_answers`].
pub fn configuration_answers(compiler: &Compiler, data: &[u8]) -> bool {
    let source = String::from_utf8_lossy(data);
    let query = compiler.compile_query("fuzz", &source).map_err(|failure| show(&failure)).is_ok();
    let deployment = compiler.compile_deployment("fuzz", &source).map_err(|failure| show(&failure)).is_ok();
    query || deployment
}

/// Puts into words what is wrong.
fn show(failure: &Failure) {
    assert!(failure.to_string().contains("Error"), "a source is refused for no reason");
}
