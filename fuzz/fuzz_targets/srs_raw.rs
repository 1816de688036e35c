//! `inferproof_fuzz::srs_raw` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferproof_fuzz::srs_raw(bytes);
});
