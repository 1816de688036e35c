//! A local SRS: the powers of a tau that is known while they are made, and their Lagrange basis.
//!
//! With tau known, every point is a known multiple of the generator: `g[i] = tau^i G1` and
//! `l[i] = omega^i (tau^n - 1) / (n (tau - omega^i)) G1`. A table of the generator's multiples makes each multiple
//! 22 additions.

use super::body::Parts;
use super::fault::SrsError;
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine, G2, G2Affine};
use halo2_proofs::halo2curves::ff::{BatchInvert, Field, PrimeField};
use halo2_proofs::halo2curves::group::prime::PrimeCurveAffine;
use halo2_proofs::halo2curves::group::{Curve, Group};
use rayon::prelude::*;

/// Bits of the scalar that one table lookup covers.
const WINDOW_BITS: usize = 12;
/// Windows in a scalar of 254 bits.
const WINDOWS: usize = 254_usize.div_ceil(WINDOW_BITS);
/// Scalars that one thread turns into points at a time.
const CHUNK: usize = 1 << 10;

/// The SRS of `tau` for 2^k rows.
pub(super) fn from_tau(k: u32, tau: Fr) -> Result<Parts, SrsError> {
    let rows = 1usize << k;
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(*power * tau))
        .take(rows)
        .collect();
    let table = Table::new();
    let g = table.multiples(&powers);
    let g_lagrange = table.multiples(&lagrange_at(k, tau)?);
    let tau_g2 = (G2::from(G2Affine::generator()) * tau).to_affine();
    Ok(Parts {
        k,
        g,
        g_lagrange,
        tau_g2,
    })
}

/// `L_i(tau)` for all i. A tau that is 0 or a root of unity is refused; random ones are with a chance of 2^-229.
fn lagrange_at(k: u32, tau: Fr) -> Result<Vec<Fr>, SrsError> {
    let omega = (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
    let rows = 1u64 << k;
    let common = (tau.pow_vartime([rows]) - Fr::ONE) * Fr::TWO_INV.pow_vartime([u64::from(k)]);
    if bool::from(common.is_zero() | tau.is_zero()) {
        return Err(SrsError::Entropy {
            reason: "tau was 0 or a root of unity".to_owned(),
        });
    }
    let roots: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |root| Some(*root * omega))
        .take(usize::try_from(rows).unwrap_or(usize::MAX))
        .collect();
    let mut values: Vec<Fr> = roots.iter().map(|root| tau - root).collect();
    values.iter_mut().batch_invert();
    Ok(values
        .iter()
        .zip(&roots)
        .map(|(inverse, root)| common * root * inverse)
        .collect())
}

/// `digit 2^(12 window) G1` for every window and digit >= 1.
struct Table {
    windows: Vec<Vec<G1Affine>>,
}

impl Table {
    fn new() -> Self {
        let shift = |base: &G1| Some((0..WINDOW_BITS).fold(*base, |point, _| point.double()));
        let bases: Vec<G1> = std::iter::successors(Some(G1::from(G1Affine::generator())), shift)
            .take(WINDOWS)
            .collect();
        let windows = bases.into_par_iter().map(|base| {
            let next = |point: &G1| Some(*point + base);
            let points: Vec<G1> = std::iter::successors(Some(base), next)
                .take((1 << WINDOW_BITS) - 1)
                .collect();
            to_affine(&points)
        });
        Self {
            windows: windows.collect(),
        }
    }

    fn multiples(&self, scalars: &[Fr]) -> Vec<G1Affine> {
        let mut points = vec![G1Affine::identity(); scalars.len()];
        points
            .par_chunks_mut(CHUNK)
            .zip(scalars.par_chunks(CHUNK))
            .for_each(|(points, scalars)| {
                let multiples: Vec<G1> = scalars.iter().map(|scalar| self.multiple(scalar)).collect();
                G1::batch_normalize(&multiples, points);
            });
        points
    }

    fn multiple(&self, scalar: &Fr) -> G1 {
        let bytes = scalar.to_repr();
        // Four bits; those past the end are zero.
        let nibble = |i: usize| {
            bytes
                .get(i / 2)
                .map_or(0, |byte| usize::from(byte >> (4 * (i % 2))) & 15)
        };
        self.windows
            .iter()
            .enumerate()
            .fold(G1::from(G1Affine::identity()), |sum, (i, window)| {
                let digit = nibble(3 * i) | nibble(3 * i + 1) << 4 | nibble(3 * i + 2) << 8;
                digit.checked_sub(1).map_or(sum, |slot| sum + window[slot])
            })
    }
}

fn to_affine(points: &[G1]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::identity(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_those_of_the_curve_library() {
        let scalars = [
            Fr::ZERO,
            Fr::ONE,
            -Fr::ONE,
            Fr::from(4095),
            Fr::from(4096),
            Fr::ROOT_OF_UNITY,
            Fr::DELTA,
        ];
        let expected: Vec<G1Affine> = scalars
            .iter()
            .map(|s| (G1::from(G1Affine::generator()) * s).to_affine())
            .collect();
        assert_eq!(Table::new().multiples(&scalars), expected);
    }

    #[test]
    fn tau_without_a_basis_is_refused() {
        assert!(from_tau(3, Fr::ZERO).is_err());
        assert!(from_tau(3, Fr::ONE).is_err());
        assert!(from_tau(3, Fr::ROOT_OF_UNITY.pow_vartime([1 << 25])).is_err());
    }
}
