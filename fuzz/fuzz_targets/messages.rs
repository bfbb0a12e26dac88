//! Messages that were read are sent and read again: plain, compressed, masked, in fragments, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::messages_agree(data));
