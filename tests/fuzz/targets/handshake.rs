#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::websocket::handshake::fuzz_handshake(data));
