//! The permutation argument: cells that must be equal.

use super::gates::Values;
use super::lagrange::Lagrange;
use crate::error::TranscriptFault;
use crate::transcript::StrictReader;
use ff::{Field, PrimeField};
use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{Any, Column, ConstraintSystem},
    poly::Rotation,
};

/// Evaluations of the running product over one set of columns.
pub(super) struct Product {
    here: Fr,
    next: Fr,
    /// At the last usable row, for all sets but the last.
    last: Option<Fr>,
}

/// Columns of one set: as many as the constraint degree leaves room for.
fn set_len(cs: &ConstraintSystem<Fr>) -> usize {
    cs.degree().saturating_sub(2).max(1)
}

/// Number of sets.
pub(super) fn num_sets(cs: &ConstraintSystem<Fr>) -> usize {
    cs.permutation().get_columns().len().div_ceil(set_len(cs))
}

/// Rows from the first unusable one back to row 0, exclusive, as a rotation.
fn last_row(cs: &ConstraintSystem<Fr>) -> i32 {
    -i32::try_from(cs.blinding_factors() + 1).unwrap_or(i32::MAX)
}

pub(super) fn read(
    cs: &ConstraintSystem<Fr>,
    reader: &mut StrictReader<'_>,
) -> Result<Vec<Product>, TranscriptFault> {
    let sets = num_sets(cs);
    (0..sets)
        .map(|set| {
            Ok(Product {
                here: reader.scalar()?,
                next: reader.scalar()?,
                last: if set + 1 < sets {
                    Some(reader.scalar()?)
                } else {
                    None
                },
            })
        })
        .collect()
}

/// Set and rotation of everything that the argument opens, in halo2's order.
pub(super) fn openings(cs: &ConstraintSystem<Fr>) -> Vec<(usize, i32)> {
    let sets = num_sets(cs);
    let products = (0..sets).flat_map(|set| [(set, Rotation::cur().0), (set, Rotation::next().0)]);
    let last = (0..sets.saturating_sub(1)).rev().map(|set| (set, last_row(cs)));
    products.chain(last).collect()
}

/// The values of [`openings`].
pub(super) fn values(products: &[Product]) -> Vec<Fr> {
    let here = products.iter().flat_map(|product| [product.here, product.next]);
    let last = products.iter().rev().filter_map(|product| product.last);
    here.chain(last).collect()
}

/// The argument with all that it reads.
pub(super) struct Argument<'a> {
    pub cs: &'a ConstraintSystem<Fr>,
    pub values: &'a Values<'a>,
    pub sigmas: &'a [Fr],
    pub products: &'a [Product],
    pub beta: Fr,
    pub gamma: Fr,
}

impl Argument<'_> {
    /// The polynomials that must vanish on all rows, at `x`, in halo2's order.
    ///
    /// `None` when a column of the argument is not queried at the row itself.
    pub fn constraints(&self, lagrange: &Lagrange<'_>) -> Option<Vec<Fr>> {
        let blinded = self.cs.blinding_factors();
        let basis = lagrange.basis(last_row(self.cs), blinded + 2)?;
        let (l_last, l_first) = (*basis.first()?, *basis.last()?);
        let l_active = Fr::ONE - basis.get(..=blinded)?.iter().sum::<Fr>();

        let mut constraints = Vec::new();
        let (Some(first), Some(last)) = (self.products.first(), self.products.last()) else {
            return Some(constraints);
        };
        // The product starts with 1, ...
        constraints.push(l_first * (Fr::ONE - first.here));
        // ... ends with 1, or with 0 on the negligible chance that a factor vanishes, ...
        constraints.push(l_last * (last.here.square() - last.here));
        // ... and runs on from set to set.
        for pair in self.products.windows(2) {
            constraints.push(l_first * (pair[1].here - pair[0].last?));
        }
        let columns = self.cs.permutation().get_columns();
        let len = set_len(self.cs);
        let mut label = self.beta * lagrange.x();
        let sets = columns.chunks(len).zip(self.sigmas.chunks(len));
        for (product, (columns, sigmas)) in self.products.iter().zip(sets) {
            let (mut left, mut right) = (product.next, product.here);
            for (column, sigma) in columns.iter().zip(sigmas) {
                let value = self.value(*column)? + self.gamma;
                left *= value + self.beta * sigma;
                right *= value + label;
                label *= Fr::DELTA;
            }
            constraints.push((left - right) * l_active);
        }
        Some(constraints)
    }

    /// A column at the row itself.
    fn value(&self, column: Column<Any>) -> Option<Fr> {
        fn at<C>(queries: &[(C, Rotation)], values: &[Fr], is: impl Fn(&C) -> bool) -> Option<Fr> {
            let position = queries.iter().position(|(c, at)| is(c) && *at == Rotation::cur());
            position.and_then(|p| values.get(p).copied())
        }
        let (cs, index) = (self.cs, column.index());
        match column.column_type() {
            Any::Advice(_) => at(cs.advice_queries(), self.values.advice, |c| c.index() == index),
            Any::Fixed => at(cs.fixed_queries(), self.values.fixed, |c| c.index() == index),
            Any::Instance => at(cs.instance_queries(), self.values.instance, |c| {
                c.index() == index
            }),
        }
    }
}
