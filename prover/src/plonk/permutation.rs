//! Running product of the permutation argument.

use super::domain::Domain;
use ff::{BatchInvert, Field, PrimeField};
use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};
use halo2_proofs::plonk::{Any, ProvingKey};
use rayon::prelude::*;

/// Rows that one task handles.
const TASK_ROWS: usize = 1024;

/// Values of all columns.
pub(super) struct Values<'a> {
    pub pk: &'a ProvingKey<G1Affine>,
    pub advice: &'a [Vec<Fr>],
    pub instance: &'a [Vec<Fr>],
}

/// `z` with `z_0 = 1` and `z_(i + 1) = z_i prod_j (p_j + delta^j beta omega^i + gamma) / (p_j + beta sigma_j + gamma)`,
/// for all rows; the caller overwrites the blinding rows.
pub(super) fn product(domain: &Domain, values: &Values<'_>, beta: Fr, gamma: Fr) -> Vec<Fr> {
    let columns = values.pk.get_vk().cs().permutation().get_columns();
    let sigmas = values.pk.permutation().permutations();
    let columns: Vec<&[Fr]> = columns
        .iter()
        .map(|column| match column.column_type() {
            Any::Advice(_) => values.advice[column.index()].as_slice(),
            Any::Fixed => values.pk.fixed_values()[column.index()].values(),
            Any::Instance => values.instance[column.index()].as_slice(),
        })
        .collect();
    let mut ratios = vec![Fr::ONE; domain.n];
    ratios
        .par_chunks_mut(TASK_ROWS)
        .enumerate()
        .for_each(|(i, chunk)| {
            let first = i * TASK_ROWS;
            for (column, sigma) in columns.iter().zip(sigmas) {
                let rows = column[first..].iter().zip(&sigma.values()[first..]);
                for (ratio, (p, s)) in chunk.iter_mut().zip(rows) {
                    *ratio *= beta * s + gamma + p;
                }
            }
            chunk.iter_mut().batch_invert();
            let mut delta = beta * domain.omega.pow_vartime([first as u64]);
            for column in &columns {
                let mut x = delta;
                for (ratio, p) in chunk.iter_mut().zip(&column[first..]) {
                    *ratio *= x + gamma + p;
                    x *= domain.omega;
                }
                delta *= Fr::DELTA;
            }
        });
    let mut z = Fr::ONE;
    for ratio in &mut ratios {
        let next = z * *ratio;
        *ratio = z;
        z = next;
    }
    ratios
}
