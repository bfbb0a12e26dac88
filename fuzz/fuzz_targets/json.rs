//! A JSON document gives the same value, the same bytes and the same error whether it is built or stays text, also
//! after changes. What stands behind the first NUL chooses the changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tremor_value::testing::{changes_agree, forms_agree};

fuzz_target!(|data: &[u8]| {
    match data.iter().position(|byte| *byte == 0) {
        Some(end) => changes_agree(&data[..end], &data[end + 1..]),
        None => drop(forms_agree(data)),
    }
});
