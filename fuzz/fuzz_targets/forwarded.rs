//! What proxies say of clients is believed of those alone that are trusted, whatever clients have written.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tremor_ws::testing::forwarded_agrees(data));
