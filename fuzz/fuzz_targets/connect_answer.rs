//! Answers to a request for a WebSocket by HTTP/2 agree to the same as by HTTP/1.1.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::connect_answer_agrees(data));
