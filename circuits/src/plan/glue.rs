//! The glue program: one row after another that evaluates weights and sums an operator's identity.
//!
//! Two accumulators run down the rows of the program:
//!
//! ```text
//! K = k_step * K_prev + sum_l w_l alpha^l            k_step in {0, alpha^LW, alpha, v}
//! G = g_step * G_prev + coef * K * X + [Z]           g_step in {0, 1, v}
//! ```
//!
//! An identity starts with `G = 0`, walks the exponents of v downwards (a Horner sum in v) and ends with the check
//! `G = 0`. `X` is a copy of a plane's evaluation.

use super::identity::{DenseTerm, FactoredRun, Identity, PowerRun, Source};
use std::collections::BTreeMap;

/// Step of the accumulator K.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KStep {
    /// `K = sum_l w_l alpha^l`.
    Start,
    /// `K = alpha^LW K_prev + sum_l w_l alpha^l`.
    Chunk,
    /// `K = alpha K_prev`.
    Power,
    /// `K = v K_prev + w_0`.
    Shift,
}

/// Step of the accumulator G.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GStep {
    /// `G = coef K X`.
    Reset,
    /// `G = G_prev + coef K X`.
    Carry,
    /// `G = v G_prev + coef K X`.
    Shift,
    /// `G = v G_prev + Z + coef K X`.
    ShiftOverhang,
    /// `G = G_prev + coef K X` and `G = 0`.
    Check,
}

/// One row of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GlueRow {
    pub k_step: KStep,
    pub g_step: GStep,
    /// Coefficient of `K X`; 0 where the row has no product.
    pub coef: i64,
    /// Plane whose evaluation is copied into X.
    pub source: Option<Source>,
}

impl GlueRow {
    /// A row without a product.
    fn idle(k_step: KStep, g_step: GStep) -> Self {
        Self {
            k_step,
            g_step,
            coef: 0,
            source: None,
        }
    }
}

/// A program: rows, the sparse weights of each, and the exponents of its overhang cells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    pub rows: Vec<GlueRow>,
    /// `(row, lane, weight)`.
    pub weights: Vec<(usize, usize, i64)>,
    /// `(row, identity, exponent)`, one per overhang cell.
    pub overhang: Vec<(usize, usize, usize)>,
}

/// Rows that belong to one exponent.
#[derive(Default)]
struct Stage {
    rows: Vec<GlueRow>,
    weights: Vec<(usize, usize, i64)>,
}

impl Stage {
    fn push(&mut self, k_step: KStep, coef: i64, source: Option<Source>) -> usize {
        self.rows.push(GlueRow {
            k_step,
            g_step: GStep::Carry,
            coef,
            source,
        });
        self.rows.len() - 1
    }

    fn dense(&mut self, term: &DenseTerm, weight_lanes: usize) {
        let span = term.coefs.iter().map(|c| c.0 + 1).max().unwrap_or(0);
        let chunks = span.div_ceil(weight_lanes);
        let first = self.rows.len();
        for chunk in (0..chunks).rev() {
            let k_step = if chunk + 1 == chunks {
                KStep::Start
            } else {
                KStep::Chunk
            };
            let (coef, source) = if chunk == 0 {
                (1, Some(term.source))
            } else {
                (0, None)
            };
            self.push(k_step, coef, source);
        }
        for &(power, w) in &term.coefs {
            let row = first + chunks - 1 - power / weight_lanes;
            self.weights.push((row, power % weight_lanes, w));
        }
    }

    /// Powers of alpha from `K` = what the row before `power` 0 holds, one row each.
    fn powers(&mut self, terms: impl Iterator<Item = (usize, Source, i64)>, started: bool) {
        let mut next = usize::from(started);
        for (power, source, coef) in terms {
            while next < power {
                let k_step = if next == 0 { KStep::Start } else { KStep::Power };
                self.begin(k_step, 0, None);
                next += 1;
            }
            if started && power == 0 {
                if let Some(row) = self.rows.last_mut() {
                    (row.coef, row.source) = (coef, Some(source));
                }
                continue;
            }
            let k_step = if power == 0 { KStep::Start } else { KStep::Power };
            self.begin(k_step, coef, Some(source));
            next = power + 1;
        }
    }

    /// A row of a power run; its first has weight 1 in lane 0.
    fn begin(&mut self, k_step: KStep, coef: i64, source: Option<Source>) {
        let row = self.push(k_step, coef, source);
        if k_step == KStep::Start {
            self.weights.push((row, 0, 1));
        }
    }

    fn power_run(&mut self, run: &PowerRun) {
        self.powers(run.terms.iter().copied(), false);
    }

    fn factored(&mut self, run: &FactoredRun) {
        let mut kernel: BTreeMap<usize, i64> = BTreeMap::new();
        for &(e, w) in &run.kernel {
            *kernel.entry(e).or_default() += w;
        }
        let top = kernel.keys().next_back().copied().unwrap_or(0);
        for e in (0..=top).rev() {
            let k_step = if e == top { KStep::Start } else { KStep::Shift };
            let row = self.push(k_step, 0, None);
            if let Some(w) = kernel.get(&e) {
                self.weights.push((row, 0, *w));
            }
        }
        self.powers(run.terms.iter().map(|&(p, s)| (p, s, 1)), true);
    }
}

impl Program {
    /// Puts idle rows before the first one.
    pub fn begin_after(&mut self, idle: usize) {
        self.rows.splice(
            ..0,
            std::iter::repeat_n(GlueRow::idle(KStep::Start, GStep::Reset), idle),
        );
        self.weights.iter_mut().for_each(|w| w.0 += idle);
        self.overhang.iter_mut().for_each(|z| z.0 += idle);
    }

    /// Appends the rows of one identity; `number` is the identity's index.
    pub fn append(&mut self, number: usize, identity: &Identity, weight_lanes: usize) {
        let mut stages: BTreeMap<usize, Stage> = BTreeMap::new();
        for term in &identity.dense {
            stages.entry(term.exponent).or_default().dense(term, weight_lanes);
        }
        for run in &identity.powers {
            stages.entry(run.exponent).or_default().power_run(run);
        }
        for run in &identity.factored {
            stages.entry(0).or_default().factored(run);
        }
        self.rows.push(GlueRow::idle(KStep::Start, GStep::Reset));
        let mut overhang = identity.overhang.iter().rev().copied().peekable();
        for exponent in (0..=identity.degree).rev() {
            let free = overhang.next_if_eq(&exponent).is_some();
            let step = if free { GStep::ShiftOverhang } else { GStep::Shift };
            let first = self.rows.len();
            if free {
                self.overhang.push((first, number, exponent));
            }
            match stages.remove(&exponent) {
                Some(mut stage) if !stage.rows.is_empty() => {
                    stage.rows[0].g_step = step;
                    self.rows.extend(stage.rows);
                    self.weights
                        .extend(stage.weights.into_iter().map(|(r, l, w)| (first + r, l, w)));
                }
                _ => self.rows.push(GlueRow::idle(KStep::Start, step)),
            }
        }
        self.rows.push(GlueRow::idle(KStep::Start, GStep::Check));
    }
}
