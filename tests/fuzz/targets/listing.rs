#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::listing::fuzz_listing(data));
