//! Headers of the PROXY protocol are read the same however they come, and as a plain reader reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::proxy_header_agrees(data));
