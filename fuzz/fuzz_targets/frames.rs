//! Frames give the same messages, or the same refusal, however they are cut; headers are written as they were read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::frames_agree(data));
