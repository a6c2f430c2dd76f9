#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::target::fuzz_target(data));
