//! A script that looks at every record and writes to it.

use std::fmt::Write as _;

use super::file_flow::{FileFlow, Through};
use crate::bench::{
    contest::{Aim, Case},
    records::KINDS,
};

pub(super) const CASE: Case = Case {
    name: "script",
    what: "the input of `file` through a script: match with 20 arms, 10 field writes",
    reference: "one thread of simd-json parse and serialise over the same bytes in memory",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(0.6),
    runs: 5,
    prepare: |bench| Ok(Box::new(FileFlow::new(bench, "script", Through::Files, &pipeline())?)),
};

/// The exit listens behind the script, so that the script is the only one who holds the event it writes to.
///
/// One arm for each kind of record, ten writes: new fields, replaced ones, nested ones.
fn pipeline() -> String {
    let mut arms = String::new();
    for kind in 0..KINDS {
        let _infallible = writeln!(arms, "        case \"kind-{kind:02}\" => {}", 100 + kind);
    }
    format!(
        r#"
  define pipeline work
  into out, exit
  pipeline
    define script shape
    script
      let event.class = match event.kind of
{arms}        case _ => 0
      end;
      let event.source = "bench";
      let event.level = "notice";
      let event.revision = 7;
      let event.checked = true;
      let event.host.rack = "r12";
      let event.request.slow = event.request.latency_ms > 1000.0;
      let event.request.status = event.request.status + 1;
      let event.user.name = "nobody";
      let event.trace.sampled = false;
      event
    end;
    create script shape;
    select event from in where event.keep into shape;
    select event from shape into out;
    select {{"exit": 0}} from shape where event.last into exit;
  end;
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_what_the_case_says() {
        let text = pipeline();
        assert_eq!(text.matches("case \"").count(), 20);
        assert_eq!(text.matches("let event.").count(), 10);
    }
}
