//! Round 2, the overhang, and the part of round 3 that depends on no later challenge: the lookup argument.

use super::PhaseTwo;
use super::one::{Entry, row_entries};
use crate::assign::fixed::FixedTables;
use crate::assign::{Drawn, field};
use crate::chips::logup::invert_all;
use crate::params::{CircuitParams, EXPRESSIONS_IN_SUM, EXPRESSIONS_PER_HELPER};
use crate::plan::{Evaluated, Identity, Plan, Source};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

/// Phase 2: lookup helpers, their running sum, and the overhang of every identity.
pub(crate) fn phase_two(plan: &Plan, fixed: &FixedTables, one: &[Vec<Fr>], drawn: &Drawn) -> PhaseTwo {
    let params = &plan.params;
    let rows = plan.active_rows();
    let width = params.num_lanes() * params.lookups_per_lane() + 1;
    let mut inverses = vec![Fr::ZERO; rows * width];
    inverses
        .par_chunks_mut(width * 256)
        .enumerate()
        .for_each(|(chunk, part)| {
            for (i, row) in part.chunks_mut(width).enumerate() {
                let r = chunk * 256 + i;
                let entries = row_entries(params, fixed, one, r);
                let denominator = |[value, tag, second]: Entry| {
                    drawn.beta + value + drawn.theta * (tag + drawn.theta * second)
                };
                for (cell, entry) in row.iter_mut().zip(entries) {
                    *cell = denominator(entry);
                }
                let table = [fixed.table_value[r], fixed.table_tag[r], fixed.table_second[r]];
                row[width - 1] = denominator(table);
            }
            invert_all(part);
        });
    let mut two = PhaseTwo {
        helpers: vec![vec![Fr::ZERO; rows + 1]; params.num_helpers()],
        sum: vec![Fr::ZERO; rows + 1],
        overhang: vec![Fr::ZERO; rows + 1],
    };
    let multiplicity = &one[params.num_small_columns() - 1];
    for (r, row) in inverses.chunks(width).enumerate() {
        let (in_sum, in_helpers) = row[..width - 1].split_at(EXPRESSIONS_IN_SUM);
        let mut next = two.sum[r] - multiplicity[r] * row[width - 1];
        next += in_sum.iter().sum::<Fr>();
        for (helper, part) in two
            .helpers
            .iter_mut()
            .zip(in_helpers.chunks(EXPRESSIONS_PER_HELPER))
        {
            helper[r] = part.iter().sum();
            next += helper[r];
        }
        two.sum[r + 1] = next;
    }
    let values: Vec<Vec<Fr>> = plan
        .identities
        .iter()
        .map(|i| overhang(plan, fixed, one, drawn.alpha, i))
        .collect();
    for &(row, identity, exponent) in &plan.program.overhang {
        two.overhang[row] = values[identity][exponent];
    }
    two
}

/// `sum_i coef_i alpha^power_i`.
fn combine(coefs: &[(usize, i64)], powers: &[Fr]) -> Fr {
    coefs.iter().map(|&(p, w)| powers[p] * field(w)).sum()
}

/// `1, base, base^2, ..., base^last`.
fn powers_of(base: Fr, last: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |p| Some(p * base))
        .take(last + 1)
        .collect()
}

/// Centered values of a plane, image by image, each row-major, read from the tape.
fn plane_values(plan: &Plan, fixed: &FixedTables, one: &[Vec<Fr>], source: Source) -> Vec<Fr> {
    let params = &plan.params;
    let plane = &plan.planes[source.home][source.plane];
    let mut values = Vec::with_capacity(plane.images * plane.height * plane.width);
    for image in 0..plane.images {
        for i in 0..plane.height {
            for j in 0..plane.width {
                let (r, lane) = plane.place(image, i, j);
                values.push(one[lane * params.cells_per_lane()][r] - zero(params, fixed, r));
            }
        }
    }
    values
}

pub(super) fn zero(params: &CircuitParams, fixed: &FixedTables, r: usize) -> Fr {
    params.uniform_zero.map_or(fixed.zero[r], |z| field(i64::from(z)))
}

/// Overhang coefficients by exponent: minus the coefficients of the sum of all terms outside the window.
fn overhang(plan: &Plan, fixed: &FixedTables, one: &[Vec<Fr>], alpha: Fr, identity: &Identity) -> Vec<Fr> {
    let mut z = vec![Fr::ZERO; identity.degree + 1];
    if identity.overhang.is_empty() {
        return z;
    }
    let mut free = vec![false; identity.degree + 1];
    identity.overhang.iter().for_each(|e| free[*e] = true);
    let powers = powers_of(alpha, identity.max_power);
    let at = plan.point();
    let mut subtract = |exponent: usize, source: Source, factor: Fr, values: &[Fr]| {
        let plane = &plan.planes[source.home][source.plane];
        let scale = plan.lowered.homes[source.home].value_scale;
        let images = values.chunks((plane.height * plane.width).max(1));
        for (values, offset) in images.zip(at.offsets()) {
            for (i, x) in values.iter().enumerate() {
                let e = exponent + offset + plane.exponent(i / plane.width, i % plane.width, at, scale);
                if free.get(e).copied().unwrap_or(false) {
                    z[e] -= factor * x;
                }
            }
        }
    };
    let dense = identity
        .dense
        .iter()
        .map(|t| (t.exponent, t.source, combine(&t.coefs, &powers)));
    let single = identity.powers.iter().flat_map(|run| {
        let term =
            |&(p, source, coef): &(usize, Source, i64)| (run.exponent, source, powers[p] * field(coef));
        run.terms.iter().map(term).collect::<Vec<_>>()
    });
    let mut cached: Option<(Source, Vec<Fr>)> = None;
    for (exponent, source, factor) in dense.chain(single).filter(|t| t.1.of == Evaluated::Value) {
        if cached.as_ref().is_none_or(|c| c.0 != source) {
            cached = Some((source, plane_values(plan, fixed, one, source)));
        }
        if let Some((_, values)) = &cached {
            subtract(exponent, source, factor, values);
        }
    }
    for run in &identity.factored {
        let Some(&(_, first)) = run.terms.first() else {
            continue;
        };
        let mut sum: Vec<Fr> = Vec::new();
        for &(p, source) in &run.terms {
            let values = plane_values(plan, fixed, one, source);
            sum.resize(values.len(), Fr::ZERO);
            sum.iter_mut().zip(values).for_each(|(s, x)| *s += powers[p] * x);
        }
        for &(e, coef) in &run.kernel {
            subtract(e, first, field(coef), &sum);
        }
    }
    z
}
