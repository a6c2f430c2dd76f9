#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::accept_encoding::fuzz_accept_encoding(data));
