//! `inferproof_fuzz::srs_ptau` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferproof_fuzz::srs_ptau(bytes);
});
