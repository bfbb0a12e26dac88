//! A script compiles and gives an answer on an event, or is refused with a report. What stands behind the first NUL is the
//! event. The files in `tests/lang` and `lib` are a good corpus to start from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tremor_lang::{Compiler, testing::script_answers};

static COMPILER: LazyLock<Compiler> = LazyLock::new(|| tremor_stdlib::compiler(Some("")));

fuzz_target!(|data: &[u8]| {
    let _ = script_answers(&COMPILER, data);
});
