//! Advice columns of the three rounds. Rounds two and three are committed in halo2's second phase
//! ([`crate::circuit::PointSource`]).

use super::fixed::{FixedTables, last_row};
use super::witness::{Cells, Witness};
use super::{Drawn, field};
use crate::chips::logup::invert_all;
use crate::chips::tape::lane_shift;
use crate::params::{CircuitParams, EXPRESSIONS_IN_SUM, EXPRESSIONS_PER_HELPER};
use crate::plan::layout::Point;
use crate::plan::{Evaluated, GStep, Identity, KStep, Plan, Source};
use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;
use std::collections::HashMap;

/// Columns of phase 1 in the order lane by lane (y, clamp, r1, r0, gap), then the multiplicities.
pub(crate) type PhaseOne = Vec<Vec<Fr>>;

/// Columns of phase 2.
#[derive(Debug, Clone, Default)]
pub(crate) struct PhaseTwo {
    pub helpers: Vec<Vec<Fr>>,
    pub sum: Vec<Fr>,
    pub overhang: Vec<Fr>,
}

/// Columns of round 3.
#[derive(Debug, Clone, Default)]
pub(crate) struct PhaseThree {
    pub value: Vec<Fr>,
    pub accumulator: Vec<Fr>,
    pub k: Vec<Fr>,
    pub x: Vec<Fr>,
    pub g: Vec<Fr>,
    /// Empty where public rows are not folded.
    pub fold: Vec<Fr>,
}

/// Low limbs first, `bits` each.
fn limbs(value: i64, count: u32, bits: u32) -> impl Iterator<Item = Fr> {
    let mask = (1i64 << bits) - 1;
    // The last limb takes the whole rest, so that an out-of-range value stays itself.
    (0..count).map(move |i| {
        let shifted = value >> (bits * i);
        field(if i + 1 == count { shifted } else { shifted & mask })
    })
}

/// Phase 1 without multiplicities: the cells of every tape row.
pub(crate) fn phase_one(plan: &Plan, witness: &Witness, fixed: &FixedTables) -> PhaseOne {
    let params = &plan.params;
    let (q, bits) = (params.limb_split, params.limb_bits());
    let rows = plan.active_rows();
    let mut columns = vec![vec![Fr::ZERO; rows + 1]; params.num_small_columns()];
    for (r, row) in plan.rows.iter().enumerate() {
        let index = &plan.planes[row.home][row.plane].index;
        for lane in 0..row.valid {
            let cells: Cells = witness.homes[row.home][index[row.offset + lane] as usize];
            let d1 = to_integer(&fixed.d1_minus_1[r]).unwrap_or(0).cast_signed();
            let gap = d1 - cells.r1;
            let all = std::iter::once(field(cells.y))
                .chain(limbs(cells.a, params.clamp.num_cells(), bits))
                .chain(limbs(cells.r1, q, bits))
                .chain(limbs(cells.r0, q, bits))
                .chain(limbs(gap, q, bits).skip(1));
            let first = lane * params.cells_per_lane();
            for (column, value) in columns[first..].iter_mut().zip(all) {
                column[r] = value;
            }
        }
        // Lanes and rows without a value keep zeros, but the gap's limbs must still add up.
        fill_idle_gaps(&mut columns, plan, fixed, r, row.valid);
    }
    multiplicities(&mut columns, plan, fixed);
    columns
}

/// Gap limbs of the lanes that hold no value: `d1 - 1 - 0`.
fn fill_idle_gaps(columns: &mut PhaseOne, plan: &Plan, fixed: &FixedTables, r: usize, valid: usize) {
    let params = &plan.params;
    let (q, bits) = (params.limb_split, params.limb_bits());
    let d1 = to_integer(&fixed.d1_minus_1[r]).unwrap_or(0).cast_signed();
    for lane in valid..params.num_lanes() {
        let first = (lane + 1) * params.cells_per_lane() - (q as usize - 1);
        for (column, value) in columns[first..].iter_mut().zip(limbs(d1, q, bits).skip(1)) {
            column[r] = value;
        }
    }
}

/// The element as an integer below 2^64.
pub(crate) fn to_integer(value: &Fr) -> Option<u64> {
    let bytes = value.to_repr();
    let bytes: &[u8] = bytes.as_ref();
    if bytes[8..].iter().any(|b| *b != 0) {
        return None;
    }
    bytes[..8].try_into().ok().map(u64::from_le_bytes)
}

/// Value, tag and second component of a lookup.
type Entry = [Fr; 3];

/// The lookups of one row, in the order of the logup chip.
fn row_entries(params: &CircuitParams, fixed: &FixedTables, columns: &[Vec<Fr>], r: usize) -> Vec<Entry> {
    let (q, na) = (params.limb_split as usize, params.clamp.num_cells() as usize);
    let bits = params.limb_bits();
    let tag = if params.ranges.len() > 1 {
        fixed.tag[r]
    } else {
        Fr::ONE
    };
    let clamp_tag = Fr::from(params.clamp_tag());
    let limb = |value: Fr| [value, Fr::ZERO, Fr::ZERO];
    let mut entries = Vec::with_capacity(params.num_lanes() * params.lookups_per_lane());
    for lane in 0..params.num_lanes() {
        let cells = &columns[lane * params.cells_per_lane()..];
        if params.is_paired() {
            entries.push([cells[0][r], tag, cells[1][r]]);
        } else {
            entries.push([cells[0][r], tag, Fr::ZERO]);
            entries.extend((1..1 + na).map(|i| [cells[i][r], clamp_tag, Fr::ZERO]));
        }
        entries.extend((1 + na..1 + na + 2 * q).map(|i| limb(cells[i][r])));
        let r1 = sum_limbs(&cells[1 + na..], q, bits, r);
        let mut low = fixed.d1_minus_1[r] - r1;
        for i in 1..q {
            low -= cells[na + 2 * q + i][r] * shift(bits, i);
        }
        entries.push(limb(low));
        entries.extend((1..q).map(|i| limb(cells[na + 2 * q + i][r])));
    }
    entries
}

fn shift(bits: u32, i: usize) -> Fr {
    Fr::from(1u64 << (bits as usize * i))
}

fn sum_limbs(columns: &[Vec<Fr>], count: usize, bits: u32, r: usize) -> Fr {
    let mut sum = columns[0][r];
    for (i, column) in columns.iter().enumerate().take(count).skip(1) {
        sum += column[r] * shift(bits, i);
    }
    sum
}

/// Counts every looked-up value at the first table row that holds it. Values outside the table are not counted: no
/// multiplicities satisfy the argument then.
fn multiplicities(columns: &mut PhaseOne, plan: &Plan, fixed: &FixedTables) {
    let params = &plan.params;
    let rows: HashMap<(u64, u64, u64), usize> = params
        .table()
        .enumerate()
        .map(|(row, entry)| (entry, row))
        .collect();
    let mut counts = vec![0u64; params.table_rows()];
    for r in 0..plan.active_rows() {
        for [value, tag, second] in row_entries(params, fixed, columns, r) {
            let found = (to_integer(&value), to_integer(&tag), to_integer(&second));
            let (Some(value), Some(tag), Some(second)) = found else {
                continue;
            };
            if let Some(row) = rows.get(&(value, tag, second)) {
                counts[*row] += 1;
            }
        }
    }
    let column = columns.len() - 1;
    for (r, count) in counts.into_iter().enumerate() {
        columns[column][r] = Fr::from(count);
    }
}

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

/// Centered values of a plane, row-major, read from the tape.
fn plane_values(plan: &Plan, fixed: &FixedTables, one: &[Vec<Fr>], source: Source) -> Vec<Fr> {
    let params = &plan.params;
    let lanes = params.num_lanes();
    let plane = &plan.planes[source.home][source.plane];
    let chunks = plane.chunks(lanes);
    let mut values = Vec::with_capacity(plane.height * plane.width);
    for i in 0..plane.height {
        for j in 0..plane.width {
            let r = plane.first_row + i * chunks + j / lanes;
            values.push(one[(j % lanes) * params.cells_per_lane()][r] - zero(params, fixed, r));
        }
    }
    values
}

fn zero(params: &CircuitParams, fixed: &FixedTables, r: usize) -> Fr {
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
    let at = Point {
        lanes: plan.params.num_lanes(),
        stride: plan.row_stride,
    };
    let mut subtract = |exponent: usize, source: Source, factor: Fr, values: &[Fr]| {
        let plane = &plan.planes[source.home][source.plane];
        let scale = plan.lowered.homes[source.home].value_scale;
        for (i, x) in values.iter().enumerate() {
            let e = exponent + plane.exponent(i / plane.width, i % plane.width, at, scale);
            if free.get(e).copied().unwrap_or(false) {
                z[e] -= factor * x;
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

/// Round 3: evaluations and glue.
pub(crate) fn phase_three(
    plan: &Plan,
    fixed: &FixedTables,
    one: &[Vec<Fr>],
    two: &PhaseTwo,
    alpha: Fr,
    v: Fr,
) -> PhaseThree {
    let (value, accumulator) = evaluations(plan, fixed, one, alpha, v);
    let mut three = PhaseThree {
        value,
        accumulator,
        fold: fold(plan, one),
        ..PhaseThree::default()
    };
    glue(plan, fixed, two, alpha, v, &mut three);
    three
}

/// P: the packed public rows but the first that are stated, each with those that lie whole strides after it.
fn fold(plan: &Plan, one: &[Vec<Fr>]) -> Vec<Fr> {
    let Some(stated) = plan.params.folded.map(|rows| rows as usize) else {
        return Vec::new();
    };
    let width = plan.params.cells_per_lane();
    let shift = lane_shift(&plan.params);
    let mut column = vec![Fr::ZERO; plan.active_rows() + 1];
    for r in (stated..plan.public_rows).rev() {
        let lanes = (0..plan.rows[r].valid).rev();
        let row = lanes.fold(Fr::ZERO, |sum, l| sum * Fr::from(256) + one[l * width][r]);
        let next = if r + stated < plan.public_rows {
            column[r + stated]
        } else {
            Fr::ZERO
        };
        column[r] = row + shift * next;
    }
    column
}

/// `m acc` of a lane, or the combined differences of a max row.
fn lane_accumulator(
    params: &CircuitParams,
    fixed: &FixedTables,
    cells: &[Vec<Fr>],
    r: usize,
    alpha: Fr,
) -> Fr {
    let (q, na) = (params.limb_split as usize, params.clamp.num_cells() as usize);
    let bits = params.limb_bits();
    let (y, a) = (cells[0][r], sum_limbs(&cells[1..], na, bits, r));
    let r1 = sum_limbs(&cells[1 + na..], q, bits, r);
    let r0 = sum_limbs(&cells[1 + na + q..], q, bits, r);
    if params.max_rows && fixed.max[r] == Fr::ONE {
        return (r0 * alpha + r1) * alpha + a;
    }
    let unit = Fr::from(1 << crate::quant::DIVISOR_SHIFT);
    let d = (fixed.d1_minus_1[r] + Fr::ONE) * unit;
    let mut excess = Fr::ZERO;
    if !bool::from(a.is_zero()) {
        excess = if params.ranges.len() > 1 {
            fixed.slope[r] * a * y - d * a
        } else {
            let inverse: Option<Fr> = Fr::from(u64::from(params.ranges[0])).invert().into();
            d * (a * y.double() * inverse.unwrap_or_default() - a)
        };
    }
    d * y + excess + r1 * unit + r0 - fixed.b[r]
}

fn evaluations(plan: &Plan, fixed: &FixedTables, one: &[Vec<Fr>], alpha: Fr, v: Fr) -> (Vec<Fr>, Vec<Fr>) {
    let params = &plan.params;
    let (rows, lanes) = (plan.active_rows(), params.num_lanes());
    let power = |e: u64| v.pow_vartime([e]);
    let steps = |list: &[u32]| list.iter().map(|e| power(u64::from(*e))).collect::<Vec<Fr>>();
    let (value_steps, accumulator_steps) = (steps(&params.value_steps), steps(&params.accumulator_steps));
    let bases: Vec<(Fr, Fr)> = params
        .patterns
        .iter()
        .map(|p| {
            (
                power(u64::from(p.value_base)),
                power(u64::from(p.accumulator_base)),
            )
        })
        .collect();
    let (mut values, mut accumulators) = (vec![Fr::ZERO; rows + 1], vec![Fr::ZERO; rows + 1]);
    for r in 0..rows {
        let row = plan.rows.get(r);
        let (base, valid) = row.map_or((bases[0], params.patterns[0].valid as usize), |row| {
            (bases[row.pattern], row.valid)
        });
        let z = zero(params, fixed, r);
        let (mut value, mut accumulator) = (Fr::ZERO, Fr::ZERO);
        for lane in 0..lanes {
            value *= base.0;
            accumulator *= base.1;
            if lane < valid {
                let cells = &one[lane * params.cells_per_lane()..];
                value += cells[0][r] - z;
                accumulator += lane_accumulator(params, fixed, cells, r, alpha);
            }
        }
        let step = |list: &[Fr], index: usize| index.checked_sub(1).map(|s| list[s]);
        if let Some(s) = row.and_then(|row| step(&value_steps, row.value_step)) {
            value += s * values[r - 1];
        }
        if let Some(s) = row.and_then(|row| step(&accumulator_steps, row.accumulator_step)) {
            accumulator += s * accumulators[r - 1];
        }
        values[r] = value;
        accumulators[r] = accumulator;
    }
    (values, accumulators)
}

fn glue(plan: &Plan, fixed: &FixedTables, two: &PhaseTwo, alpha: Fr, v: Fr, three: &mut PhaseThree) {
    let rows = plan.active_rows();
    three.k = vec![Fr::ZERO; rows + 1];
    three.x = vec![Fr::ZERO; rows + 1];
    three.g = vec![Fr::ZERO; rows + 1];
    let chunk = alpha.pow_vartime([u64::from(plan.params.weight_lanes)]);
    let (mut k, mut g) = (Fr::ZERO, Fr::ZERO);
    for (r, row) in plan.program.rows.iter().enumerate() {
        let mut weights = Fr::ZERO;
        for column in fixed.weights.iter().rev() {
            weights = weights * alpha + column[r];
        }
        k = weights
            + match row.k_step {
                KStep::Start => Fr::ZERO,
                KStep::Chunk => chunk * k,
                KStep::Power => alpha * k,
                KStep::Shift => v * k,
            };
        if let Some(source) = row.source {
            let from = last_row(plan, source);
            three.x[r] = match source.of {
                Evaluated::Value => three.value[from],
                Evaluated::Accumulator => three.accumulator[from],
            };
        }
        g = match row.g_step {
            GStep::Reset => Fr::ZERO,
            GStep::Carry | GStep::Check => g,
            GStep::Shift => v * g,
            GStep::ShiftOverhang => v * g + two.overhang[r],
        } + fixed.coef[r] * k * three.x[r];
        three.k[r] = k;
        three.g[r] = g;
    }
}
