#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::conditional::fuzz_conditional(data));
