//! Compressed messages give the same messages, or the same refusal, however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::inflating_agrees(data));
