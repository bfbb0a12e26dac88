//! Requests for WebSockets by HTTP/2 ask for the same as by HTTP/1.1, and our client understands how they are answered.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::connect_agrees(data));
