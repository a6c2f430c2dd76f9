#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::date::fuzz_date(data));
