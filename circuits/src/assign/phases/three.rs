//! Round 3: evaluations and glue.

use super::one::sum_limbs;
use super::two::zero;
use super::{PhaseThree, PhaseTwo};
use crate::assign::fixed::{FixedTables, last_row};
use crate::chips::tape::lane_shift;
use crate::params::CircuitParams;
use crate::plan::{Evaluated, GStep, KStep, Plan};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

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
        x: packed(plan, one),
        ..PhaseThree::default()
    };
    glue(plan, fixed, two, alpha, v, &mut three);
    three
}

/// Column X before the glue program: P, the packed public rows but the first that are stated, each with those that lie whole
/// strides after it.
fn packed(plan: &Plan, one: &[Vec<Fr>]) -> Vec<Fr> {
    let mut column = vec![Fr::ZERO; plan.active_rows() + 1];
    let Some(stated) = plan.params.folded.map(|rows| rows as usize) else {
        return column;
    };
    let width = plan.params.cells_per_lane();
    let shift = lane_shift(&plan.params);
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
