//! Changes one cell at a time and looks at the constraints that read it.

use super::fold::{Cell, Node};
use super::{Assignment, Checker};
use crate::chips::glue::g_step;
use crate::plan::Evaluated;
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

/// What a sweep over all advice cells found.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Cells that were changed.
    pub cells: usize,
    /// Cells that no constraint reads, by the reason why none has to.
    pub free: Vec<(&'static str, usize)>,
    /// Cells that a constraint should pin and none does: column and row.
    pub accepted: Vec<(usize, usize)>,
    /// Cells listed as free whose change is rejected.
    pub not_free: Vec<(usize, usize)>,
}

/// Reasons why a cell is free.
const REASONS: [&str; 3] = [
    "overhang: the row's opcode reads no Z",
    "X: the row has no product, and is no public row of which P carries a part",
    "the row after the last active one",
];

impl Checker {
    /// Index in [`REASONS`] of a cell that need not be pinned.
    fn free(&self, column: usize, row: usize) -> Option<usize> {
        let fixed = self.fixture.fixed();
        let c = &self.columns;
        if column == c.overhang.index() && fixed.g_step[row] != Fr::from(g_step::SHIFT_OVERHANG) {
            return Some(0);
        }
        let stated = self.plan().params.folded.map(|rows| rows as usize);
        let carried = stated.is_some_and(|stated| (stated..self.plan().public_rows).contains(&row));
        if column == c.x.index() && fixed.coef[row] == Fr::ZERO && !carried {
            return Some(1);
        }
        let last = row == self.plan().active_rows();
        (last && column != c.sum.index()).then_some(2)
    }

    /// True when a copy reads the cell.
    fn copied(&self, column: usize, row: usize) -> bool {
        self.fixture.fixed().copies.iter().any(|&((of, from), to)| {
            let source = match of {
                Evaluated::Value => &self.columns.value,
                Evaluated::Accumulator => &self.columns.accumulator,
            };
            (source.index(), from) == (column, row) || (self.columns.x.index(), to) == (column, row)
        })
    }

    /// True when a constraint fails with the cell changed.
    fn rejects(&self, a: &Assignment, reads: &[(usize, i32)], change: (usize, usize, Fr)) -> bool {
        let mut flat = self.flat(a);
        flat.change = Some(change);
        let n = (1isize) << self.plan().k;
        let fails = |&(poly, rotation): &(usize, i32)| {
            let row = (change.1.cast_signed() - rotation as isize)
                .rem_euclid(n)
                .unsigned_abs();
            self.evaluate(&self.polys[poly].node, &flat, row) != Fr::ZERO
        };
        reads.iter().any(fails) || self.copied(change.0, change.1)
    }

    /// Changes every advice cell of every phase by +1 and -1, all others kept.
    #[must_use]
    pub fn sweep(&self, a: &Assignment) -> Sweep {
        let columns = self.cs.num_advice_columns();
        let mut reads = vec![Vec::new(); columns];
        for (p, poly) in self.polys.iter().enumerate() {
            let mut cells = Vec::new();
            Node::cells(&poly.node, &mut cells);
            for (cell, rotation) in cells {
                if let Cell::Advice(c) = cell
                    && !reads[c].contains(&(p, rotation))
                {
                    reads[c].push((p, rotation));
                }
            }
        }
        let rows = self.plan().active_rows() + 1;
        let all = (0..columns).flat_map(|c| (0..rows).map(move |r| (c, r)));
        let all: Vec<(usize, usize)> = all.collect();
        let verdict = |&(c, r): &(usize, usize)| {
            let value = self.flat(a).advice[c][r];
            [Fr::ONE, -Fr::ONE].map(|d| self.rejects(a, &reads[c], (c, r, value + d)))
        };
        let verdicts: Vec<[bool; 2]> = all.par_iter().map(verdict).collect();
        let mut found = Sweep {
            cells: all.len(),
            free: REASONS.iter().map(|r| (*r, 0)).collect(),
            ..Sweep::default()
        };
        for (&(c, r), rejected) in all.iter().zip(verdicts) {
            match self.free(c, r) {
                Some(reason) if rejected == [false, false] => found.free[reason].1 += 1,
                Some(_) => found.not_free.push((c, r)),
                None if rejected == [true, true] => {}
                None => found.accepted.push((c, r)),
            }
        }
        found
    }
}
