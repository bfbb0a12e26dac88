//! Answers to a request for a WebSocket are understood the same however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::answer_agrees(data));
