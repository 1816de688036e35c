//! The evaluation domain as far as a verifier needs it.

use ff::{PrimeField, WithSmallOrderMulGroup};
use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};
use std::collections::HashMap;

/// Log2 of the rows of the extended domain for constraints of this degree, or `None` beyond the field's
/// largest domain.
pub(crate) fn log2_extended(k: u32, degree: usize) -> Option<u32> {
    let pieces = u64::try_from(degree).ok()?.checked_sub(1)?;
    let extended_k = k.checked_add(pieces.checked_next_power_of_two()?.ilog2())?;
    (extended_k <= Fr::S).then_some(extended_k)
}

/// A domain of `2^k` rows for constraints of this degree, without the tables of the FFT and of the division
/// by the vanishing polynomial: a verifier uses neither, and they grow with the number of rows.
pub(crate) fn verifier_domain(k: u32, degree: usize) -> Option<EvaluationDomain<Fr>> {
    let extended_k = log2_extended(k, degree)?;
    let extended_omega = square_times(Fr::ROOT_OF_UNITY, Fr::S - extended_k);
    let omega = square_times(extended_omega, extended_k - k);
    let n = 1u64.checked_shl(k)?;
    let extended_n = 1u64.checked_shl(extended_k)?;
    let n_inv = Option::<Fr>::from(Fr::from(n).invert())?;
    Some(EvaluationDomain {
        n,
        k,
        extended_k,
        omega,
        omega_inv: Option::from(omega.invert())?,
        extended_omega,
        extended_omega_inv: Option::from(extended_omega.invert())?,
        g_coset: Fr::ZETA,
        g_coset_inv: Fr::ZETA.square(),
        quotient_poly_degree: u64::try_from(degree - 1).ok()?,
        ifft_divisor: n_inv,
        extended_ifft_divisor: Option::from(Fr::from(extended_n).invert())?,
        t_evaluations: Vec::new(),
        barycentric_weight: n_inv,
        fft_data: HashMap::new(),
    })
}

fn square_times(x: Fr, times: u32) -> Fr {
    (0..times).fold(x, |x, _| x.square())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_prover_domain() {
        for (k, degree) in [(4, 3), (6, 4), (9, 5), (7, 6), (5, 9)] {
            let theirs = EvaluationDomain::<Fr>::new(u32::try_from(degree).unwrap(), k);
            let ours = verifier_domain(k, degree).unwrap();
            assert_eq!(
                (ours.n, ours.k, ours.extended_k),
                (theirs.n, theirs.k, theirs.extended_k)
            );
            assert_eq!((ours.omega, ours.omega_inv), (theirs.omega, theirs.omega_inv));
            assert_eq!(ours.extended_omega, theirs.extended_omega);
            assert_eq!(ours.extended_omega_inv, theirs.extended_omega_inv);
            assert_eq!(
                (ours.g_coset, ours.g_coset_inv),
                (theirs.g_coset, theirs.g_coset_inv)
            );
            assert_eq!(ours.quotient_poly_degree, theirs.quotient_poly_degree);
            assert_eq!(ours.ifft_divisor, theirs.ifft_divisor);
            assert_eq!(ours.extended_ifft_divisor, theirs.extended_ifft_divisor);
            assert_eq!(ours.barycentric_weight, theirs.barycentric_weight);
        }
        assert!(verifier_domain(Fr::S, 5).is_none());
    }
}
