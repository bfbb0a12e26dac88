//! Requests for a WebSocket are answered the same however they are cut, and what is accepted is one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::request_agrees(data));
