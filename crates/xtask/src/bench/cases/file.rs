//! File, filter, file.

use super::file_flow::{FileFlow, Through};
use crate::bench::contest::{Aim, Case};

pub(super) const CASE: Case = Case {
    name: "file",
    what: "190 MB of JSON lines, file -> select event ... where -> file, from start to complete file",
    reference: "one thread of simd-json parse and serialise over the same bytes in memory",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(1.3),
    runs: 5,
    prepare: |bench| Ok(Box::new(FileFlow::new(bench, "file", Through::Files, PIPELINE)?)),
};

/// `keep` is true in 99 of 100 records.
pub(super) const PIPELINE: &str = r#"
  define pipeline work
  into out, exit
  pipeline
    select event from in where event.keep into out;
    select {"exit": 0} from in where event.last into exit;
  end;
"#;
