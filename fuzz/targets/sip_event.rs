#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hushbox_tests::fuzz::sip_event(bytes));
