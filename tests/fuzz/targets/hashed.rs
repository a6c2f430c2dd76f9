#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::hashed::fuzz_hashed(data));
