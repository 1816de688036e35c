//! Polynomials given by their values on the rows, evaluated elsewhere.

use ff::{BatchInvert, Field};
use halo2_proofs::{
    halo2curves::bn256::Fr,
    poly::{EvaluationDomain, Rotation},
};

/// The rows as a domain, seen from a point outside of it.
pub(crate) struct Lagrange<'a> {
    domain: &'a EvaluationDomain<Fr>,
    x: Fr,
    /// `x^n`.
    x_n: Fr,
    vanishing_inverse: Fr,
}

impl<'a> Lagrange<'a> {
    /// `None` when `x` is a row's point.
    pub fn new(domain: &'a EvaluationDomain<Fr>, x: Fr) -> Option<Self> {
        let x_n = (0..domain.k()).fold(x, |power, _| power.square());
        let vanishing_inverse = Option::from((x_n - Fr::ONE).invert())?;
        Some(Self {
            domain,
            x,
            x_n,
            vanishing_inverse,
        })
    }

    /// Log2 of the rows.
    pub fn k(&self) -> u32 {
        self.domain.k()
    }

    pub fn x(&self) -> Fr {
        self.x
    }

    pub fn x_n(&self) -> Fr {
        self.x_n
    }

    /// `1 / (x^n - 1)`.
    pub fn vanishing_inverse(&self) -> Fr {
        self.vanishing_inverse
    }

    /// `x` moved on by some rows.
    pub fn rotated(&self, rotation: i32) -> Fr {
        self.domain.rotate_omega(self.x, Rotation(rotation))
    }

    /// The polynomials that are 1 on one of `count` rows from `first` on and 0 on all others, at `x`; rows are counted modulo
    /// the number of rows.
    pub fn basis(&self, first: i32, count: usize) -> Option<Vec<Fr>> {
        self.basis_at(self.x, first, count)
    }

    /// The polynomial with `values` on the first rows and 0 on the others, at `x` moved on by `rotation` rows.
    pub fn interpolate(&self, values: &[Fr], rotation: i32) -> Option<Fr> {
        let basis = self.basis_at(self.rotated(rotation), 0, values.len())?;
        Some(basis.iter().zip(values).map(|(l, value)| l * value).sum())
    }

    /// `l_i(x) = (x^n - 1) w^i / (n (x - w^i))`; a rotation does not change `x^n`.
    fn basis_at(&self, x: Fr, first: i32, count: usize) -> Option<Vec<Fr>> {
        let omega = self.domain.get_omega();
        let start = self.domain.rotate_omega(Fr::ONE, Rotation(first));
        let rows: Vec<Fr> = std::iter::successors(Some(start), |row| Some(row * omega))
            .take(count)
            .collect();
        let mut basis: Vec<Fr> = rows.iter().map(|row| x - row).collect();
        if basis.iter().any(|difference| bool::from(difference.is_zero())) {
            return None;
        }
        basis.iter_mut().batch_invert();
        // The domain's weight is 1 / n.
        let common = (self.x_n - Fr::ONE) * self.domain.barycentric_weight;
        for (value, row) in basis.iter_mut().zip(&rows) {
            *value *= common * row;
        }
        Some(basis)
    }
}
