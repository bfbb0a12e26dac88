//! Offers of extensions are read as they were written, and answered with what a client can read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::extensions_agree(data));
