#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::path::fuzz_path(data));
