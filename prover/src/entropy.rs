//! Randomness from the operating system.

use rand_chacha::ChaCha20Rng;
use rand_core::{Error, OsRng, RngCore, SeedableRng};

/// A generator seeded by the operating system.
///
/// # Errors
/// The system's, when it gives no randomness.
pub(crate) fn system_rng() -> Result<ChaCha20Rng, Error> {
    seeded(&mut OsRng)
}

fn seeded(source: &mut impl RngCore) -> Result<ChaCha20Rng, Error> {
    let mut seed = [0; 32];
    source.try_fill_bytes(&mut seed)?;
    Ok(ChaCha20Rng::from_seed(seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    /// A system without randomness: what does not ask for errors panics.
    struct Broken;

    impl RngCore for Broken {
        fn next_u32(&mut self) -> u32 {
            panic!("randomness taken without asking whether there is any")
        }

        fn next_u64(&mut self) -> u64 {
            panic!("randomness taken without asking whether there is any")
        }

        fn fill_bytes(&mut self, _: &mut [u8]) {
            panic!("randomness taken without asking whether there is any")
        }

        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> {
            Err(NonZeroU32::MIN.into())
        }
    }

    #[test]
    fn soundness_no_randomness_is_an_error() {
        assert!(seeded(&mut Broken).is_err());
    }

    #[test]
    fn two_generators_differ() {
        let draw = || system_rng().unwrap().next_u64();
        assert_ne!(draw(), draw());
    }
}
