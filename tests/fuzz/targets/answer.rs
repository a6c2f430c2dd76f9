#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| shm::response::fuzz_decode(data));
