#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| shm::fuzz::fuzz_operations(data));
