//! The quotient of all constraints by the vanishing polynomial of the rows.
//!
//! The sum of all constraints, combined by powers of y, is compiled once for a proof and evaluated on as many cosets of
//! the rows as the quotient has pieces. On one coset the vanishing polynomial is constant, and the pieces are a small
//! inverse Fourier transform of what is interpolated on each.

use super::domain::{Coset, Domain, inverse, powers};
use super::expression::{Column, Graph, Linear};
use super::program::{Combination, Program};
use super::stage;
use crate::profile::Profile;
use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};
use halo2_proofs::plonk::{Any, ProvingKey};
use rayon::prelude::*;

/// Rows that one task evaluates.
const TASK_ROWS: usize = 512;

/// Numbers of [`Column::Extra`].
const X: usize = 0;
const L_FIRST: usize = 1;
const L_LAST: usize = 2;
const L_ACTIVE: usize = 3;
const PRODUCT: usize = 4;
const SIGMAS: usize = 5;

/// Challenges of halo2's own arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn {
    pub beta: Fr,
    pub gamma: Fr,
    pub y: Fr,
}

/// Coefficients of everything that the constraints read.
pub(super) struct Polynomials<'a> {
    pub pk: &'a ProvingKey<G1Affine>,
    pub advice: &'a [Vec<Fr>],
    pub instance: &'a [Vec<Fr>],
    /// Running product of the permutation argument.
    pub product: &'a [Fr],
}

impl Polynomials<'_> {
    /// Coefficients of a column; `None` for X and for combinations.
    fn coefficients(&self, column: Column) -> Option<&[Fr]> {
        match column {
            Column::Fixed(i) => self.pk.fixed_polys().get(i).map(|p| p.values()),
            Column::Advice(i) => self.advice.get(i).map(Vec::as_slice),
            Column::Instance(i) => self.instance.get(i).map(Vec::as_slice),
            Column::Extra(L_FIRST) => Some(self.pk.l0().values()),
            Column::Extra(L_LAST) => Some(self.pk.l_last().values()),
            Column::Extra(L_ACTIVE) => Some(self.pk.l_active_row().values()),
            Column::Extra(PRODUCT) => Some(self.product),
            Column::Extra(i) => {
                let sigma = i.checked_sub(SIGMAS)?;
                self.pk.permutation().polys().get(sigma).map(|p| p.values())
            }
            Column::Combined(_) => None,
        }
    }
}

/// All constraints in the verifier's order, combined by powers of y: `sum y^(last - i) constraint_i`.
fn numerator(pk: &ProvingKey<G1Affine>, challenges: &[Fr], drawn: Drawn) -> Program {
    let mut graph = Graph::default();
    let cs = pk.get_vk().cs();
    let mut constraints: Vec<Linear> = cs
        .gates()
        .iter()
        .flat_map(|gate| gate.polynomials())
        .map(|polynomial| graph.expression(polynomial, challenges))
        .collect();
    constraints.extend(permutation(&mut graph, pk, drawn));
    let mut sum = Linear::default();
    let mut power = Fr::ONE;
    for constraint in constraints.into_iter().rev() {
        sum = sum.plus(&constraint.scaled(power));
        power *= drawn.y;
    }
    Program::new(graph, sum)
}

/// The constraints of the permutation argument, whose columns are all in one set.
fn permutation(graph: &mut Graph, pk: &ProvingKey<G1Affine>, drawn: Drawn) -> [Linear; 3] {
    let extra = |graph: &mut Graph, i: usize| graph.column(Column::Extra(i), 0);
    let z = extra(graph, PRODUCT);
    let (mut left, mut right) = (graph.column(Column::Extra(PRODUCT), 1), z.clone());
    let gamma = Linear::constant(drawn.gamma);
    let mut delta = drawn.beta;
    for (i, column) in pk.get_vk().cs().permutation().get_columns().iter().enumerate() {
        let value = match column.column_type() {
            Any::Advice(_) => Column::Advice(column.index()),
            Any::Fixed => Column::Fixed(column.index()),
            Any::Instance => Column::Instance(column.index()),
        };
        let value = graph.column(value, 0).plus(&gamma);
        let sigma = extra(graph, SIGMAS + i).scaled(drawn.beta);
        left = graph.product(left, value.clone().plus(&sigma));
        let identity = extra(graph, X).scaled(delta);
        right = graph.product(right, value.plus(&identity));
        delta *= Fr::DELTA;
    }
    // l_0 (1 - z) = 0
    let l_first = extra(graph, L_FIRST);
    let one_minus_z = Linear::constant(Fr::ONE).plus(&z.clone().scaled(-Fr::ONE));
    let first = graph.product(l_first, one_minus_z);
    // l_last (z^2 - z) = 0
    let l_last = extra(graph, L_LAST);
    let z_squared_minus_z = graph.product(z.clone(), z.clone()).plus(&z.scaled(-Fr::ONE));
    let last = graph.product(l_last, z_squared_minus_z);
    // l_active (z(omega X) prod (p + beta sigma + gamma) - z prod (p + delta^i beta X + gamma)) = 0
    let l_active = extra(graph, L_ACTIVE);
    let step = graph.product(l_active, left.plus(&right.scaled(-Fr::ONE)));
    [first, last, step]
}

/// Pieces of degree below n, lowest first.
pub(super) fn pieces(
    domain: &Domain,
    polynomials: &Polynomials<'_>,
    challenges: &[Fr],
    drawn: Drawn,
    profile: &mut Profile,
) -> Vec<Vec<Fr>> {
    let halo2 = polynomials.pk.get_vk().get_domain();
    let num_parts = halo2.extended_len() / domain.n;
    let program = profile.time(stage::CONSTRAINTS, || {
        numerator(polynomials.pk, challenges, drawn)
    });
    profile.columns_transformed = program.columns.len();
    profile.products_per_row = program.num_products();
    let combined: Vec<Vec<Fr>> = profile.time(stage::TRANSFORM, || {
        let combine = |combination: &Combination| combine(domain.n, polynomials, combination);
        program.combined.par_iter().map(combine).collect()
    });
    let shifts = powers(halo2.get_extended_omega(), num_parts);
    let parts: Vec<Vec<Fr>> = shifts
        .iter()
        .map(|shift| {
            let coset = Coset::new(domain, Fr::MULTIPLICATIVE_GENERATOR * shift);
            part(domain, &coset, polynomials, &program, &combined, profile)
        })
        .collect();
    unmix(domain, &shifts, &parts, halo2.get_quotient_poly_degree())
}

fn combine(n: usize, polynomials: &Polynomials<'_>, combination: &[(Column, Fr)]) -> Vec<Fr> {
    let mut sum = vec![Fr::ZERO; n];
    for (column, factor) in combination {
        let values = polynomials.coefficients(*column).unwrap_or_default();
        for (s, v) in sum.iter_mut().zip(values) {
            *s += v * factor;
        }
    }
    sum
}

/// The quotient modulo `X^n - shift^n`: interpolated from its values on one coset.
fn part(
    domain: &Domain,
    coset: &Coset,
    polynomials: &Polynomials<'_>,
    program: &Program,
    combined: &[Vec<Fr>],
    profile: &mut Profile,
) -> Vec<Fr> {
    let columns = profile.time(stage::TRANSFORM, || {
        transformed(domain, coset, polynomials, program, combined)
    });
    let vanishing = coset.shift.pow_vartime([domain.n as u64]) - Fr::ONE;
    // The shift is a generator times a root of unity of order 4 n at most, so that neither is zero.
    let scale = inverse(vanishing);
    let mut values = vec![Fr::ZERO; domain.n];
    profile.time(stage::CONSTRAINTS, || {
        values.par_chunks_mut(TASK_ROWS).enumerate().for_each_init(
            || program.registers(),
            |registers, (i, out)| {
                program.run(&columns, registers, i * TASK_ROWS, out);
                out.iter_mut().for_each(|v| *v *= scale);
            },
        );
    });
    drop(columns);
    profile.time(stage::TRANSFORM, || {
        Coset::interpolate(domain, inverse(coset.shift), &mut values);
    });
    values
}

/// The program's columns on a coset. Rows are taken modulo n and repeated at both ends, so that a rotated read is one
/// slice.
fn transformed(
    domain: &Domain,
    coset: &Coset,
    polynomials: &Polynomials<'_>,
    program: &Program,
    combined: &[Vec<Fr>],
) -> Vec<Vec<Fr>> {
    let (before, after) = (
        program.rotations.0.unsigned_abs() as usize,
        program.rotations.1.unsigned_abs() as usize,
    );
    program
        .columns
        .par_iter()
        .map(|column| {
            let mut values = vec![Fr::ZERO; before + domain.n + after];
            let own = &mut values[before..before + domain.n];
            match column {
                Column::Extra(X) => {
                    let mut x = coset.shift;
                    for value in own {
                        *value = x;
                        x *= domain.omega;
                    }
                }
                Column::Combined(i) => coset.evaluate(domain, &combined[*i], own),
                other => coset.evaluate(domain, polynomials.coefficients(*other).unwrap_or_default(), own),
            }
            values.copy_within(domain.n..domain.n + before, 0);
            values.copy_within(before..before + after, before + domain.n);
            values
        })
        .collect()
}

/// With `h = sum_t X^(t n) h_t`, part j is `sum_t (g w^j)^(n t) h_t`: an inverse Fourier transform over j gives `h_t`.
fn unmix(domain: &Domain, shifts: &[Fr], parts: &[Vec<Fr>], num_pieces: usize) -> Vec<Vec<Fr>> {
    let n = domain.n as u64;
    let step = inverse(Fr::MULTIPLICATIVE_GENERATOR.pow_vartime([n]));
    let count = inverse(Fr::from(parts.len() as u64));
    (0..num_pieces as u64)
        .into_par_iter()
        .map(|t| {
            let factor = |shift: &Fr| inverse(shift.pow_vartime([n * t])) * step.pow_vartime([t]) * count;
            let factors: Vec<Fr> = shifts.iter().map(factor).collect();
            let mut piece = vec![Fr::ZERO; domain.n];
            for (part, factor) in parts.iter().zip(&factors) {
                for (p, v) in piece.iter_mut().zip(part) {
                    *p += v * factor;
                }
            }
            piece
        })
        .collect()
}
