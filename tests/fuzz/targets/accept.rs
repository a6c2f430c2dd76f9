#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::accept::fuzz_accept(data));
