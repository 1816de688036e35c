//! The Lagrange basis in G1: `l[i] = L_i(tau) G1` with `L_i(omega^j) = [i = j]`, omega halo2's root of unity.

use super::multiple::Multiplier;
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use halo2_proofs::halo2curves::ff::{Field, PrimeField};
use halo2_proofs::halo2curves::group::Curve;
use halo2_proofs::halo2curves::group::prime::PrimeCurveAffine;
use rayon::prelude::*;

/// Least quadratic non-residue of Fr, from which snarkjs derives its roots of unity.
const SNARKJS_NON_RESIDUE: u64 = 5;
/// (r - 1) / 2^28, little-endian limbs.
const ODD_PART: [u64; 4] = [
    0x9b97_0914_3e1f_593f,
    0x1815_85d2_833e_8487,
    0x131a_029b_8504_5b68,
    0x0003_0644_e72e,
];

/// Fewest butterflies, and points to normalize, that are worth a task of their own.
const TASK: usize = 64;

/// Computes the basis from the 2^k powers: `l[i] = 1/n sum_j omega^(-i j) g[j]`, an inverse FFT over the group.
/// About n k / 2 multiplications of points.
pub(super) fn from_powers(k: u32, g: &[G1Affine]) -> Vec<G1Affine> {
    let root = (k..Fr::S).fold(Fr::ROOT_OF_UNITY_INV, |root, _| root.square());
    let twiddles: Vec<Multiplier> = std::iter::successors(Some(Fr::ONE), |power| Some(*power * root))
        .take(g.len() / 2)
        .map(|power| Multiplier::new(&power))
        .collect();
    let scale = Multiplier::new(&Fr::TWO_INV.pow_vartime([u64::from(k)]));
    let mut points: Vec<G1> = (0..g.len()).map(|i| g[reverse_bits(i, k)].to_curve()).collect();
    points
        .par_iter_mut()
        .with_min_len(TASK)
        .for_each(|point| *point = scale.multiply(point));
    for stage in 1..=k {
        let length = 1usize << stage;
        let step = g.len() / length;
        points.par_chunks_mut(length).for_each(|chunk| {
            let (low, high) = chunk.split_at_mut(length / 2);
            low.par_iter_mut()
                .zip(high)
                .with_min_len(TASK)
                .enumerate()
                .for_each(|(j, (a, b))| {
                    let turned = if j == 0 {
                        *b
                    } else {
                        twiddles[j * step].multiply(b)
                    };
                    *b = *a - turned;
                    *a += turned;
                });
        });
    }
    let mut basis = vec![G1Affine::identity(); g.len()];
    let chunks = basis.par_chunks_mut(TASK).zip(points.par_chunks(TASK));
    chunks.for_each(|(basis, points)| G1::batch_normalize(points, basis));
    basis
}

/// The lowest `k` bits of `i` in the other order; `k >= 1`.
fn reverse_bits(i: usize, k: u32) -> usize {
    i.reverse_bits() >> (usize::BITS - k)
}

/// Reorders the 2^k points of snarkjs, whose i-th belongs to `omega_s^i` with another root of unity `omega_s`.
///
/// `omega = omega_s^e` for an odd e, so that point i here is point `e i mod 2^k` there.
pub(super) fn from_snarkjs_order(k: u32, points: &[G1Affine]) -> Vec<G1Affine> {
    let e = root_exponent(k);
    let mask = points.len() - 1;
    (0..points.len())
        .map(|i| points[i.wrapping_mul(e) & mask])
        .collect()
}

/// The e of [`from_snarkjs_order`], bit by bit: the order of `omega omega_s^-e` falls with each bit that is right.
fn root_exponent(k: u32) -> usize {
    let shrink = |root: Fr| (k..Fr::S).fold(root, |root, _| root.square());
    let omega = shrink(Fr::ROOT_OF_UNITY);
    let other = shrink(Fr::from(SNARKJS_NON_RESIDUE).pow_vartime(ODD_PART));
    // Its order is 2^k: its inverse is its power 2^k - 1.
    let mut inverse = other.pow_vartime([(1u64 << k) - 1]);
    let mut rest = omega;
    let mut e = 0;
    for bit in 0..k {
        let top = (bit + 1..k).fold(rest, |power, _| power.square());
        if top != Fr::ONE {
            e |= 1usize << bit;
            rest *= inverse;
        }
        inverse = inverse.square();
    }
    e
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::arithmetic::g_to_lagrange;

    #[test]
    fn matches_reference_basis_of_halo2() {
        for k in 1..=8 {
            let srs = crate::srs::generate::from_tau(k, Fr::from(3).pow_vartime([77]))
                .unwrap_or_else(|e| panic!("{e}"));
            let expected: Vec<G1Affine> =
                g_to_lagrange(srs.g.iter().map(PrimeCurveAffine::to_curve).collect(), k);
            assert_eq!(from_powers(k, &srs.g), expected, "k = {k}");
        }
    }

    #[test]
    fn root_exponents_map_one_root_to_the_other() {
        for k in 1..=24 {
            let shrink = |root: Fr| (k..Fr::S).fold(root, |root, _| root.square());
            let other = shrink(Fr::from(SNARKJS_NON_RESIDUE).pow_vartime(ODD_PART));
            let e = root_exponent(k);
            assert!(e < 1 << k && e % 2 == 1);
            assert_eq!(
                other.pow_vartime([e as u64]),
                shrink(Fr::ROOT_OF_UNITY),
                "k = {k}"
            );
        }
    }
}
