#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::websocket::reader::fuzz_reader(data));
