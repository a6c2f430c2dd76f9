#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| shm::request::fuzz_decode(data));
