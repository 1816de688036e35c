//! `inferproof_fuzz::verifying_key` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferproof_fuzz::verifying_key(bytes);
});
