#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::http1::app_head::fuzz_app_head(data));
