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

/// The query of a column at the row itself.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Advice(usize),
    Fixed(usize),
    Instance(usize),
}

/// The columns of the argument, in sets of as many as the constraint degree leaves room for.
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    columns: Vec<Cell>,
    set_len: usize,
    blinded: usize,
}

/// What a proof says of the argument, and what was drawn.
pub(super) struct Claims<'a> {
    pub values: &'a Values<'a>,
    pub sigmas: &'a [Fr],
    pub products: &'a [Product],
    pub beta: Fr,
    pub gamma: Fr,
}

impl Permutation {
    /// `None` when a column is not queried at the row itself.
    pub fn new(cs: &ConstraintSystem<Fr>) -> Option<Self> {
        let columns = cs.permutation().get_columns();
        let columns: Option<Vec<Cell>> = columns.into_iter().map(|column| cell(cs, column)).collect();
        Some(Self {
            columns: columns?,
            set_len: cs.degree().checked_sub(2).filter(|len| *len > 0)?,
            blinded: cs.blinding_factors(),
        })
    }

    pub fn num_columns(&self) -> usize {
        self.columns.len()
    }

    pub fn num_sets(&self) -> usize {
        self.columns.len().div_ceil(self.set_len)
    }

    /// From row 0 back to the last usable row.
    fn last_row(&self) -> i32 {
        -i32::try_from(self.blinded + 1).unwrap_or(i32::MAX)
    }

    /// Set and rotation of everything that the argument opens, in halo2's order.
    pub fn openings(&self) -> Vec<(usize, i32)> {
        let sets = self.num_sets();
        let products = (0..sets).flat_map(|set| [(set, Rotation::cur().0), (set, Rotation::next().0)]);
        let last = (0..sets.saturating_sub(1))
            .rev()
            .map(|set| (set, self.last_row()));
        products.chain(last).collect()
    }

    /// Reads the evaluations of the products.
    ///
    /// # Errors
    /// [`TranscriptFault`].
    pub(super) fn read(&self, reader: &mut StrictReader<'_>) -> Result<Vec<Product>, TranscriptFault> {
        let sets = self.num_sets();
        let read = |set| {
            Ok(Product {
                here: reader.scalar()?,
                next: reader.scalar()?,
                last: if set + 1 < sets {
                    Some(reader.scalar()?)
                } else {
                    None
                },
            })
        };
        (0..sets).map(read).collect()
    }

    /// The polynomials that must vanish on all rows, at `x`, in halo2's order. `None` when a value is missing.
    pub(super) fn constraints(&self, claims: &Claims<'_>, lagrange: &Lagrange<'_>) -> Option<Vec<Fr>> {
        let basis = lagrange.basis(self.last_row(), self.blinded + 2)?;
        let (l_last, l_first) = (*basis.first()?, *basis.last()?);
        let l_active = Fr::ONE - basis.get(..=self.blinded)?.iter().sum::<Fr>();

        let mut constraints = Vec::new();
        let (Some(first), Some(last)) = (claims.products.first(), claims.products.last()) else {
            return Some(constraints);
        };
        // The product starts with 1, ...
        constraints.push(l_first * (Fr::ONE - first.here));
        // ... ends with 1, or with 0 on the negligible chance that a factor vanishes, ...
        constraints.push(l_last * (last.here.square() - last.here));
        // ... and runs on from set to set.
        for pair in claims.products.windows(2) {
            constraints.push(l_first * (pair[1].here - pair[0].last?));
        }
        let mut label = claims.beta * lagrange.x();
        let columns = self.columns.chunks(self.set_len);
        let sigmas = claims.sigmas.chunks(self.set_len);
        for (product, (columns, sigmas)) in claims.products.iter().zip(columns.zip(sigmas)) {
            let (mut left, mut right) = (product.next, product.here);
            for (cell, sigma) in columns.iter().zip(sigmas) {
                let value = cell.value(claims.values)? + claims.gamma;
                left *= value + claims.beta * sigma;
                right *= value + label;
                label *= Fr::DELTA;
            }
            constraints.push((left - right) * l_active);
        }
        Some(constraints)
    }
}

/// The values of [`Permutation::openings`].
pub(super) fn values(products: &[Product]) -> Vec<Fr> {
    let here = products.iter().flat_map(|product| [product.here, product.next]);
    let last = products.iter().rev().filter_map(|product| product.last);
    here.chain(last).collect()
}

impl Cell {
    fn value(self, values: &Values<'_>) -> Option<Fr> {
        match self {
            Self::Advice(query) => values.advice.get(query).copied(),
            Self::Fixed(query) => values.fixed.get(query).copied(),
            Self::Instance(query) => values.instance.get(query).copied(),
        }
    }
}

fn cell(cs: &ConstraintSystem<Fr>, column: Column<Any>) -> Option<Cell> {
    fn at<C>(queries: &[(C, Rotation)], is: impl Fn(&C) -> bool) -> Option<usize> {
        queries.iter().position(|(c, at)| is(c) && *at == Rotation::cur())
    }
    let index = column.index();
    match column.column_type() {
        Any::Advice(_) => at(cs.advice_queries(), |c| c.index() == index).map(Cell::Advice),
        Any::Fixed => at(cs.fixed_queries(), |c| c.index() == index).map(Cell::Fixed),
        Any::Instance => at(cs.instance_queries(), |c| c.index() == index).map(Cell::Instance),
    }
}
