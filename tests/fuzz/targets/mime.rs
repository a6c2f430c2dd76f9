#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::mime::fuzz_mime(data));
