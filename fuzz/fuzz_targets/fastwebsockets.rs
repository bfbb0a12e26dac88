//! The same bytes give the same messages, or are refused, here and in `fastwebsockets`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_fuzz::same_as_fastwebsockets(data));
