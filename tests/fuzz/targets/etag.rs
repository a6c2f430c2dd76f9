#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::etag::fuzz_etag(data));
