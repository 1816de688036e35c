//! `inferproof_fuzz::arrays` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferproof_fuzz::arrays(bytes);
});
