//! Standard input, filter, standard output.

use super::{
    file,
    file_flow::{FileFlow, Through},
};
use crate::bench::contest::{Aim, Case};

pub(super) const CASE: Case = Case {
    name: "stdio",
    what: "the input and pipeline of `file`, from standard input to standard output, both redirected to files",
    reference: "one thread of simd-json parse and serialise over the same bytes in memory",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(1.0),
    runs: 5,
    prepare: |bench| Ok(Box::new(FileFlow::new(bench, "stdio", Through::Stdio, file::PIPELINE)?)),
};
