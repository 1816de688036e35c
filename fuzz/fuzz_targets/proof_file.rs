//! `inferproof_fuzz::proof_file` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferproof_fuzz::proof_file(bytes);
});
