//! A query or a deployment is compiled, or refused with a report. The files in `tests/lang` are a good corpus to start from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tremor_lang::{Compiler, testing::configuration_answers};

static COMPILER: LazyLock<Compiler> = LazyLock::new(|| tremor_stdlib::compiler(Some("")));

fuzz_target!(|data: &[u8]| {
    let _ = configuration_answers(&COMPILER, data);
});
