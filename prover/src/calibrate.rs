//! What the prover's primitives cost on this machine.

use crate::files::{self, Cache, FileError};
use crate::plonk;
use crate::profile::cpu_ms;
use inferproof_circuits::plan::Rates;
use sha2::{Digest, Sha256};
use std::hint::black_box;

/// Entry of the cache that holds the rates.
const ENTRY: &str = "rates.json";
/// Longest such entry.
const MAX_BYTES: u64 = 4096;
/// Each primitive is timed this often; the fastest time counts.
const ROUNDS: usize = 3;
/// Bytes that are hashed to time the reading of a key.
const HASHED_BYTES: usize = 8 << 20;

/// Why there are no rates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// This system does not say how much processor time a process has used.
    #[error("this system does not report processor time; the built-in rates stay in use")]
    NoClock,
    /// The cache cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Processor nanoseconds of the fastest of some runs.
fn fastest(mut work: impl FnMut()) -> Result<f64, CalibrateError> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = cpu_ms().ok_or(CalibrateError::NoClock)?;
        work();
        let after = cpu_ms().ok_or(CalibrateError::NoClock)?;
        best = best.min((after - before) * 1e6);
    }
    Ok(best)
}

/// Times the primitives: a second or two. What cannot be timed alone moves with what can.
///
/// # Errors
/// [`CalibrateError::NoClock`].
pub fn measure() -> Result<Rates, CalibrateError> {
    let built_in = Rates::default();
    let primitives = plonk::Primitives::new();
    let (additions, butterflies, products) = primitives.counts();
    let addition_ns = fastest(|| primitives.commit())? / additions;
    let butterfly_ns = fastest(|| primitives.transform())? / butterflies;
    let product_ns = fastest(|| primitives.constraints())? / products;
    let bytes = vec![1u8; HASHED_BYTES];
    let hash_ns = fastest(|| {
        black_box(Sha256::digest(black_box(&bytes)));
    })?;
    // Cells are filled with field products, keys are hashed and then decoded with them.
    let slower = product_ns / built_in.product_ns;
    let per_byte = hash_ns / f64::from(u32::try_from(HASHED_BYTES).unwrap_or(u32::MAX));
    Ok(Rates {
        addition_ns,
        butterfly_ns,
        product_ns,
        cell_ns: built_in.cell_ns * slower,
        load_ns: per_byte + (built_in.load_ns - 1.0) * slower,
        fixed_ms: built_in.fixed_ms * slower,
    })
}

/// Keeps rates in the cache, for every later estimate.
///
/// # Errors
/// [`CalibrateError::File`].
pub fn store(cache: &Cache, rates: &Rates) -> Result<(), CalibrateError> {
    let path = cache.entry(ENTRY)?;
    let text = serde_json::to_vec_pretty(rates).unwrap_or_default();
    Ok(files::write_bytes(&path, &text)?)
}

/// This machine's rates from the user's cache, or the built-in ones.
#[must_use]
pub fn rates() -> Rates {
    Cache::open_default().map_or_else(|_| Rates::default(), |cache| stored(&cache))
}

/// The rates that [`store`] kept, or the built-in ones where there are none, or none that make sense.
#[must_use]
pub fn stored(cache: &Cache) -> Rates {
    let read = || {
        let path = cache.entry(ENTRY).ok()?;
        let bytes = files::read_limited(&path, MAX_BYTES).ok()?;
        let rates: Rates = serde_json::from_slice(&bytes).ok()?;
        let all = [
            rates.addition_ns,
            rates.butterfly_ns,
            rates.product_ns,
            rates.cell_ns,
            rates.load_ns,
            rates.fixed_ms,
        ];
        all.iter().all(|r| r.is_finite() && *r > 0.0).then_some(rates)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_and_damaged_ones_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open_at(folder.path()).unwrap();
        assert_eq!(stored(&cache), Rates::default());
        let mut rates = Rates {
            addition_ns: 77.5,
            ..Rates::default()
        };
        store(&cache, &rates).unwrap();
        assert_eq!(stored(&cache), rates);
        rates.butterfly_ns = -1.0;
        store(&cache, &rates).unwrap();
        assert_eq!(stored(&cache), Rates::default());
        std::fs::write(cache.entry(ENTRY).unwrap(), b"{").unwrap();
        assert_eq!(stored(&cache), Rates::default());
    }

    #[test]
    fn measured_rates_are_positive() {
        let Ok(rates) = measure() else { return };
        assert!(
            rates.addition_ns > 1.0 && rates.butterfly_ns > 1.0 && rates.product_ns > 1.0,
            "{rates:?}"
        );
    }
}
