//! Text in pieces is refused where the standard library finds it beyond repair.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::utf8_agrees(data));
