#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::http1::request::fuzz_request(data));
