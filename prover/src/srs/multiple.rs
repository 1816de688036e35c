//! Multiples of G1 points by scalars that are used many times.
//!
//! `phi(x, y) = (beta x, y)` multiplies by a cube root of unity zeta of Fr. A scalar `s` is split into
//! `s = s1 + zeta s2` with both below 2^127, from a short basis of the lattice `{(x, y): x + zeta y = 0 mod r}`:
//! `(a1, -b1)` and `(a2, b2)`. Then `s P = s1 P + s2 phi(P)` takes 127 doublings instead of 254.
//!
//! Whatever the split, `s1 = s - zeta s2` holds in the field: the constants bear on speed only, and a split that
//! is not short falls back to the curve library.
//!
//! Not constant in time: for public points and scalars only.

use halo2_proofs::halo2curves::CurveExt;
use halo2_proofs::halo2curves::bn256::{Fr, G1};
use halo2_proofs::halo2curves::ff::{PrimeField, WithSmallOrderMulGroup};
use halo2_proofs::halo2curves::group::Group;

/// Bits of a signed digit.
const WIDTH: u32 = 5;
/// Odd multiples 1, 3, ..., 15 that the digits need.
const ODD_MULTIPLES: usize = 1 << (WIDTH - 2);
/// Number of digits: 127 bits and a carry.
const DIGITS: usize = 128;
/// b1 and b2 of the lattice basis.
const B1: u128 = 0x89d3_2568_94d2_13e3;
const B2: u128 = 0x6f4d_8248_eeb8_59fd_0be4_e154_1221_250b;
/// floor(2^256 b2 / r) and floor(2^256 b1 / r), little-endian limbs.
const QUOTIENT_1: [u64; 3] = [0x5398_fd03_00ff_6565, 0x4cce_f014_a773_d2d2, 0x2];
const QUOTIENT_2: [u64; 3] = [0xd91d_232e_c7e0_b3d7, 0x2, 0x0];

/// A scalar made ready to multiply points.
pub(crate) struct Multiplier {
    scalar: Fr,
    /// s1 and s2, when both are short.
    halves: Option<(u128, u128)>,
}

impl Multiplier {
    pub(crate) fn new(scalar: &Fr) -> Self {
        let limbs = limbs(scalar);
        let c1 = Fr::from_raw(product_high(limbs, QUOTIENT_1));
        let c2 = Fr::from_raw(product_high(limbs, QUOTIENT_2));
        let s2 = c1 * Fr::from_u128(B1) - c2 * Fr::from_u128(B2);
        let s1 = *scalar - s2 * Fr::ZETA;
        Self {
            scalar: *scalar,
            halves: short(&s1).zip(short(&s2)),
        }
    }

    /// `s P`.
    pub(crate) fn multiply(&self, point: &G1) -> G1 {
        let Some((s1, s2)) = self.halves else {
            return *point * self.scalar;
        };
        let mut odd = [*point; ODD_MULTIPLES];
        let twice = point.double();
        for i in 1..ODD_MULTIPLES {
            odd[i] = odd[i - 1] + twice;
        }
        let turned = odd.map(|point| point.endo());
        let (digits_1, digits_2) = (digits(s1), digits(s2));
        let mut sum: Option<G1> = None;
        for (digit_1, digit_2) in digits_1.iter().zip(&digits_2).rev() {
            sum = sum.map(|sum| sum.double());
            for (digit, table) in [(digit_1, &odd), (digit_2, &turned)] {
                if *digit != 0 {
                    let multiple = table[usize::from(digit.unsigned_abs()) / 2];
                    let multiple = if *digit < 0 { -multiple } else { multiple };
                    sum = Some(sum.map_or(multiple, |sum| sum + multiple));
                }
            }
        }
        sum.unwrap_or_default()
    }
}

fn limbs(scalar: &Fr) -> [u64; 4] {
    let bytes = scalar.to_repr();
    let (groups, _) = bytes.as_chunks::<8>();
    let mut limbs = [0; 4];
    for (limb, group) in limbs.iter_mut().zip(groups) {
        *limb = u64::from_le_bytes(*group);
    }
    limbs
}

/// The value, when it is below 2^127.
fn short(scalar: &Fr) -> Option<u128> {
    let [a, b, c, d] = limbs(scalar);
    let value = u128::from(a) | u128::from(b) << 64;
    (c == 0 && d == 0 && value >> 127 == 0).then_some(value)
}

/// floor(a b / 2^256).
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low limb of a double-width product is what is kept"
)]
fn product_high(a: [u64; 4], b: [u64; 3]) -> [u64; 4] {
    let mut product = [0u64; 8];
    for (i, x) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, y) in b.iter().chain(&[0]).enumerate() {
            let sum = u128::from(*x) * u128::from(*y) + u128::from(product[i + j]) + carry;
            product[i + j] = sum as u64;
            carry = sum >> 64;
        }
    }
    [product[4], product[5], product[6], product[7]]
}

/// Signed digits, lowest first: each 0 or odd with |digit| < 2^(WIDTH - 1), and few that are not 0.
fn digits(mut value: u128) -> [i8; DIGITS] {
    let mut digits = [0; DIGITS];
    for digit in &mut digits {
        if value & 1 == 1 {
            // Below 2^WIDTH: fits, and the upper half stands for negative digits.
            let low = i8::try_from(value & ((1 << WIDTH) - 1)).unwrap_or(0);
            *digit = if low >= 1 << (WIDTH - 1) {
                low - (1 << WIDTH)
            } else {
                low
            };
            let size = u128::from(digit.unsigned_abs());
            value = if *digit < 0 { value + size } else { value - size };
        }
        value >>= 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::halo2curves::ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn matches_reference_multiples_of_the_curve_library() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let edges = [
            Fr::ZERO,
            Fr::ONE,
            -Fr::ONE,
            Fr::ZETA,
            -Fr::ZETA,
            Fr::from(2),
            Fr::ROOT_OF_UNITY,
            Fr::TWO_INV,
        ];
        let random: Vec<Fr> = (0..1000).map(|_| Fr::random(&mut rng)).collect();
        let mut short = 0;
        for scalar in edges.iter().chain(&random) {
            let point = G1::random(&mut rng);
            let multiplier = Multiplier::new(scalar);
            short += u32::from(multiplier.halves.is_some());
            assert_eq!(multiplier.multiply(&point), point * scalar);
        }
        assert!(short > 950, "{short}");
        assert_eq!(
            Multiplier::new(&random[0]).multiply(&G1::identity()),
            G1::identity()
        );
    }

    #[test]
    fn digits_sum_to_the_value() {
        for value in [0, 1, 31, 32, u128::MAX >> 1, 0x1234_5678_9abc_def0 << 60] {
            let digits = digits(value);
            let sum = digits.iter().rev().fold(Fr::ZERO, |sum, digit| {
                let size = Fr::from(u64::from(digit.unsigned_abs()));
                sum.double() + if *digit < 0 { -size } else { size }
            });
            assert_eq!(sum, Fr::from_u128(value));
        }
    }
}
