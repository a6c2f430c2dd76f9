#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::proxy::fuzz_proxy(data));
