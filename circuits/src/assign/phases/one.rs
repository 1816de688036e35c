//! Round 1: the integers of every tape row, and the multiplicities.

use super::PhaseOne;
use crate::assign::field;
use crate::assign::fixed::FixedTables;
use crate::assign::witness::{Cells, Witness};
use crate::params::CircuitParams;
use crate::plan::Plan;
use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;
use std::collections::HashMap;

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
        for lane in 0..row.valid {
            let cells: Cells = witness.homes[row.home][plan.position(row, lane)];
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
pub(super) type Entry = [Fr; 3];

/// The lookups of one row, in the order of the logup chip.
pub(super) fn row_entries(
    params: &CircuitParams,
    fixed: &FixedTables,
    columns: &[Vec<Fr>],
    r: usize,
) -> Vec<Entry> {
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

pub(super) fn sum_limbs(columns: &[Vec<Fr>], count: usize, bits: u32, r: usize) -> Fr {
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
