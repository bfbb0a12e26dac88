//! The same bytes give the same messages, or are refused, here and in `soketto`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_fuzz::same_as_soketto(data));
