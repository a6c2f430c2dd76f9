#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| config::document::fuzz_document(data));
