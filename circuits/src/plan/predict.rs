//! What a proof of a layout will take, in closed formulas.
//!
//! The prover's time is that of four primitives: adding curve points to buckets (commitments), butterflies (Fourier
//! transforms of columns to the cosets of the rows), field products in the constraints, and filling cells. [`Work`]
//! counts them; [`Rates`] are their prices on one machine.

use super::cost::{DEGREE, Opening, PERMUTATION_COLUMNS};
use crate::params::CircuitParams;
use serde::{Deserialize, Serialize};

/// Bytes of a field element.
const SCALAR_BYTES: u64 = 32;
/// Cosets on which the constraints are evaluated.
const PARTS: u64 = DEGREE as u64 - 1;
/// Bits of a full-size scalar and of a value of a small column.
const FULL_BITS: u32 = 254;
const SMALL_BITS: u32 = 12;
/// Closing a bucket against adding a point to one.
const BUCKET_ADDITIONS: u64 = 7;
const MAX_WINDOW: u32 = 15;
/// Polynomials of the argument itself that are committed: the permutation's product, the random one and the quotient's
/// pieces.
const OWN_COMMITMENTS: u64 = 1 + 1 + PARTS;
/// What the inner product argument does for each row beside commitments, in additions: a generator is hashed, folded with
/// another, and is a term of the check that ends a proof.
const INNER_PRODUCT_ADDITIONS: u64 = 900;
/// Resident bytes of the program before it holds anything.
const PROGRAM_BYTES: u64 = 15 << 20;
/// Bytes a row in the tables of two sums at work.
const SUM_BYTES: u64 = 500;
/// Points of the setup that are held for each row: powers once, the Lagrange basis twice.
const SETUP_BYTES: u64 = 3 * 64;

/// Counts of one proof's primitive operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Points added to buckets in the commitments of small columns.
    pub additions_small: u64,
    /// Points added to buckets in all other commitments.
    pub additions_full: u64,
    /// Butterflies of all Fourier transforms.
    pub butterflies: u64,
    /// Field products in the constraints, over all cosets.
    pub products: u64,
    /// Cells that are computed, lookups counted as cells.
    pub cells: u64,
    /// Bytes of the proving key's file.
    pub pk_bytes: u64,
    /// Bytes that are held at the peak.
    pub peak_bytes: u64,
}

/// Prices of the primitives in nanoseconds of processor time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// One addition of a point to a bucket.
    pub addition_ns: f64,
    /// One butterfly.
    pub butterfly_ns: f64,
    /// One product of the constraints with the additions around it.
    pub product_ns: f64,
    /// One cell.
    pub cell_ns: f64,
    /// One byte of the proving key, read, hashed and decoded.
    pub load_ns: f64,
    /// Everything that does not depend on the layout.
    pub fixed_ms: f64,
}

impl Default for Rates {
    /// Fitted on one core of an AMD EPYC (Zen 3); `inferproof calibrate` measures others.
    fn default() -> Self {
        Self {
            addition_ns: 135.0,
            butterfly_ns: 30.0,
            product_ns: 25.0,
            cell_ns: 130.0,
            load_ns: 6.0,
            fixed_ms: 60.0,
        }
    }
}

/// What a proof is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prediction {
    /// Processor milliseconds of a proof, keys loaded from a file.
    pub cpu_ms: f64,
    /// Largest resident set.
    pub peak_bytes: u64,
    /// Bytes of the proving key.
    pub pk_bytes: u64,
}

/// Additions of one sum of `terms` multiples of `bits` bits, with the cheapest windows of plain buckets: a measure that
/// plans depend on. The prover's own sums take fewer.
#[must_use]
pub fn bucket_additions(terms: u64, bits: u32) -> u64 {
    let price = |width: u32| {
        let windows = u64::from((bits + 2).div_ceil(width));
        windows * (terms + (BUCKET_ADDITIONS << (width - 1)))
    };
    (2..=MAX_WINDOW).map(price).min().unwrap_or(0)
}

/// Products of the constraints in one row, roughly: 0.7 to 1.4 times what compiled circuits have. The constraints take
/// about a tenth of the prover's time.
fn products_per_row(params: &CircuitParams) -> u64 {
    let lookups = params.num_lanes() * params.lookups_per_lane();
    let selectors = params.patterns.len() - 1 + params.value_steps.len() + params.accumulator_steps.len();
    let max = if params.max_rows {
        30 * params.num_lanes()
    } else {
        0
    };
    (30 + 6 * lookups + 5 * selectors + max) as u64
}

impl Work {
    /// Counts for `2^k` rows of these columns.
    #[must_use]
    pub fn new(params: &CircuitParams, k: u32, opening: Opening) -> Self {
        let n = 1u64 << k;
        // Commitments of the openings; the rounds of the inner product argument add up to two.
        let (opened, inner_product) = match opening {
            Opening::Shplonk => (2, 0),
            Opening::Gwc => (3, 0),
            Opening::Ipa => (4, n * INNER_PRODUCT_ADDITIONS),
        };
        let (small, full) = (
            params.num_small_columns() as u64,
            params.num_full_columns() as u64,
        );
        let fixed = params.num_fixed_columns() as u64;
        let permutation = PERMUTATION_COLUMNS as u64;
        // Weights are combined into one column before they are transformed.
        let kept = fixed - params.num_weight_lanes() as u64 + 1;
        // Beside the columns: instance, product, three Lagrange polynomials, the permutation. X is a column of the
        // constraints too, but its values on a coset are written without a transform.
        let transformed = small + full + kept + 2 + 3 + permutation;
        let interpolated = small + full + 2;
        // When the keys are loaded, with the three Lagrange polynomials.
        let loaded = fixed + permutation + 3;
        let lookups = (params.num_lanes() * params.lookups_per_lane()) as u64;
        let column = n * SCALAR_BYTES;
        // Fixed columns lie in the tables of the plan too.
        let held = 2 * (fixed + permutation) + 3 + fixed;
        // Values twice, coefficients, what a coset needs, the quotient.
        let proving = 3 * (small + full) + transformed + 2 * PARTS + 6;
        Self {
            additions_small: small * bucket_additions(n, SMALL_BITS),
            additions_full: (full + OWN_COMMITMENTS + opened) * bucket_additions(n, FULL_BITS)
                + inner_product,
            butterflies: (PARTS * (transformed + 1) + interpolated + loaded) * (n / 2) * u64::from(k),
            products: PARTS * n * products_per_row(params),
            cells: n * (small + lookups + full),
            pk_bytes: permutation * column,
            peak_bytes: PROGRAM_BYTES + n * (SETUP_BYTES + SUM_BYTES) + (held + proving) * column,
        }
    }

    /// Time and memory at these prices.
    #[must_use]
    pub fn predict(&self, rates: &Rates) -> Prediction {
        let count = |v: u64| f64::from(u32::try_from(v >> 8).unwrap_or(u32::MAX)) * 256.0;
        let ns = rates.addition_ns * count(self.additions_small + self.additions_full)
            + rates.butterfly_ns * count(self.butterflies)
            + rates.product_ns * count(self.products)
            + rates.cell_ns * count(self.cells)
            + rates.load_ns * count(self.pk_bytes);
        Prediction {
            cpu_ms: ns / 1e6 + rates.fixed_ms,
            peak_bytes: self.peak_bytes,
            pk_bytes: self.pk_bytes,
        }
    }
}
