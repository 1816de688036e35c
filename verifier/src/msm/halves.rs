//! Multiples by full-size scalars as two multiples by scalars of half the size.
//!
//! `(x, y) -> (ZETA x, y)` multiplies the points of the curve by `ZETA` of the scalar field (Gallant, Lambert, Vanstone,
//! "Faster point multiplication on elliptic curves with efficient endomorphisms").

/// A short basis of the pairs `(a, b)` with `a + b ZETA = 0`: `(SHORT, FIRST)` and `(SECOND, -SHORT)`.
const SHORT: u128 = 0x89d3_2568_94d2_13e3;
const FIRST: u128 = 0x6f4d_8248_eeb8_59fd_0be4_e154_1221_250b;
const SECOND: u128 = 0x6f4d_8248_eeb8_59fc_8211_bbeb_7d4f_1128;
/// `2^256 SHORT / r` and `2^256 FIRST / r`, rounded, for the order r of the scalar field.
const SHORT_PART: [u64; 3] = [0xd91d_232e_c7e0_b3d7, 0x2, 0];
const FIRST_PART: [u64; 3] = [0x5398_fd03_00ff_6565, 0x4cce_f014_a773_d2d2, 0x2];

/// `[a, b]` with `a + b ZETA = k`, both below 2^127 in magnitude.
///
/// Both multiples of the basis are rounded by less than 0.6, so that what is left is below `0.6 (SHORT + FIRST)`: all of
/// it can be computed modulo 2^128.
pub(super) fn halves(k: [u64; 4]) -> [i128; 2] {
    let (first, second) = (product_high(k, SHORT_PART), product_high(k, FIRST_PART));
    let low = u128::from(k[0]) | u128::from(k[1]) << 64;
    let a = low
        .wrapping_sub(first.wrapping_mul(SHORT))
        .wrapping_sub(second.wrapping_mul(SECOND));
    let b = second.wrapping_mul(SHORT).wrapping_sub(first.wrapping_mul(FIRST));
    [a.cast_signed(), b.cast_signed()]
}

/// `k part / 2^256`, rounded.
fn product_high(k: [u64; 4], part: [u64; 3]) -> u128 {
    let mut limbs = [0u64; 7];
    limbs[3] = 1 << 63;
    for (i, p) in part.into_iter().enumerate() {
        let mut carry = 0;
        for (limb, k) in limbs[i..].iter_mut().zip(k) {
            (*limb, carry) = k.carrying_mul_add(p, *limb, carry);
        }
        limbs[i + 4] = limbs[i + 4].wrapping_add(carry);
    }
    u128::from(limbs[4]) | u128::from(limbs[5]) << 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msm::limbs;
    use ff::{Field, PrimeField, WithSmallOrderMulGroup};
    use halo2_proofs::halo2curves::bn256::{Fq, Fr, G1, G1Affine};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn halves_are_short_and_make_up_the_scalar() {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let small = [0, 1, 2, 3, u64::MAX].map(Fr::from);
        let basis = [SHORT, FIRST, SECOND].map(Fr::from_u128);
        let mut scalars: Vec<Fr> = (0..2000).map(|_| Fr::random(&mut rng)).collect();
        for a in small.iter().chain(&basis) {
            let multiples = [*a, -a, a * Fr::ZETA, a * Fr::TWO_INV, -a * Fr::TWO_INV];
            scalars.extend(multiples.iter().flat_map(|m| [*m, m + Fr::ONE, m - Fr::ONE]));
        }
        for k in scalars {
            let [a, b] = halves(limbs(&k));
            assert!(
                a.unsigned_abs() >> 127 == 0 && b.unsigned_abs() >> 127 == 0,
                "{k:?}"
            );
            let signed = |v: i128| {
                let magnitude = Fr::from_u128(v.unsigned_abs());
                if v < 0 { -magnitude } else { magnitude }
            };
            assert_eq!(signed(a) + signed(b) * Fr::ZETA, k);
        }
    }

    #[test]
    fn zeta_times_a_point_is_its_image() {
        let point = G1Affine::generator();
        let image = G1Affine {
            x: point.x * Fq::ZETA,
            y: point.y,
        };
        assert_eq!(G1::from(point) * Fr::ZETA, G1::from(image));
    }
}
