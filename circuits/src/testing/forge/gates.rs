//! Forgeries that a gate constraint or the copies stop.

use super::{Adversary, Site, quotient};
use crate::assign::{Cells, to_integer};
use crate::chips::glue::{g_step, k_step};
use crate::chips::tape::lane_shift;
use crate::params::Clamp;
use crate::plan::Evaluated;
use crate::testing::{Assignment, Mutant};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use std::collections::BTreeSet;

/// Most places that are tried for one forgery.
const PLACES: usize = 60;

/// Rows whose constraint can be left out alone, by constraint.
const ROW_KINDS: [(&str, &[&str]); 8] = [
    (
        "tape/public row",
        &[
            "public input",
            "public output",
            "public state",
            "public carry",
            "public last",
        ],
    ),
    ("horner/value", &["value start", "value step"]),
    ("horner/accumulator", &["accumulator start", "accumulator step"]),
    ("glue/weights", &["K start", "K chunk", "K power", "K shift"]),
    (
        "glue/identity",
        &["G reset", "G carry", "G shift", "G shift with Z", "G check"],
    ),
    ("logup/helper 0", &["input", "requantized", "maximum", "no value"]),
    (
        "logup/running sum",
        &["input", "requantized", "maximum", "no value"],
    ),
    ("logup/boundary", &["first", "last"]),
];

/// Cells of the glue that are changed together, and the evaluation that they copy.
#[derive(Default)]
struct Hidden {
    /// Rows of K.
    k: Vec<usize>,
    /// Rows of X.
    x: Vec<usize>,
    /// Rows of G.
    g: Vec<usize>,
    /// The evaluation, with the factor of the change in each of its rows.
    evaluation: Option<(Evaluated, Vec<(usize, Fr)>)>,
}

impl Adversary<'_> {
    pub(super) fn is_kind(&self, row: usize, rows: Option<&'static str>) -> bool {
        rows.is_none_or(|kind| self.checker.kinds(row).contains(&kind))
    }

    /// Constraints in single kinds of rows, as far as the circuit has such rows.
    pub(super) fn row_mutants(&self) -> Vec<Mutant> {
        let rows = 0..=self.plan.active_rows();
        let present: BTreeSet<&str> = rows.flat_map(|row| self.checker.kinds(row)).collect();
        let named = self.checker.constraints();
        let mut found = Vec::new();
        for (name, kinds) in ROW_KINDS
            .iter()
            .filter(|(name, _)| named.iter().any(|n| n == name))
        {
            for kind in kinds.iter().filter(|kind| present.contains(*kind)) {
                found.push(Mutant::Constraint {
                    name: (*name).to_owned(),
                    rows: Some(kind),
                });
            }
        }
        found
    }

    pub(super) fn forge_constraint(
        &self,
        name: &str,
        rows: Option<&'static str>,
        mutant: &Mutant,
    ) -> Option<&'static str> {
        let (gate, constraint) = name.split_once('/').unwrap_or((name, ""));
        let number = || constraint.split_once(' ').and_then(|c| c.1.parse::<usize>().ok());
        match gate {
            "tape" => {
                let mut public = (0..self.plan.public_rows).rev();
                let row = public.find(|row| self.is_kind(*row, rows))?;
                let a = self.other_statement(row);
                self.killed(&a, name, mutant)
                    .then_some("another value in the statement")
            }
            "requantize" => self.other_clamp(name, number()?, mutant),
            "max" => self.higher_maximum(name, number()?, mutant),
            "logup" => self.open_sum(name, rows, mutant),
            _ => self.hidden_evaluation(name, rows, mutant),
        }
    }

    /// The honest assignment with another statement, which fails in this public row alone.
    fn other_statement(&self, row: usize) -> Assignment {
        let mut a = self.honest.clone();
        let stated = self
            .plan
            .params
            .folded
            .map_or(self.plan.public_rows, |rows| rows as usize);
        let shift = lane_shift(&self.plan.params);
        let (mut row, mut change) = (row, Fr::ONE);
        while row >= stated {
            a.three.x[row] += change;
            change *= shift;
            row -= stated;
        }
        a.instance[row] += change;
        a
    }

    fn other_clamp(&self, name: &str, lane: usize, mutant: &Mutant) -> Option<&'static str> {
        let p = &self.plan.params;
        let largest = match p.clamp {
            Clamp::Limbs(limbs) => 1i64 << (p.limb_bits() * limbs).min(40),
            Clamp::Range(bound) | Clamp::Pair(bound) => i64::from(bound) + 1,
        };
        let candidates = self
            .sites
            .iter()
            .filter(|s| s.lane == lane && !s.is_input && !s.is_max);
        candidates
            .flat_map(|s| {
                let range = i64::from(self.plan.lowered.homes[s.home].range);
                let t = quotient(s.cells, range);
                (1..range).filter_map(move |y| {
                    let (num, den) = ((t - y) * range, 2 * y - range);
                    let fits = y != s.cells.y && den != 0 && num % den == 0;
                    let a = if fits { num / den } else { 0 };
                    let fits = fits && a > 0 && a < largest;
                    fits.then_some((s.home, s.position, Cells { y, a, ..s.cells }))
                })
            })
            .find_map(|change| {
                let a = self.changed(&vec![change])?;
                self.killed(&a, name, mutant)
                    .then_some("another value with a fitting clamp")
            })
    }

    fn higher_maximum(&self, name: &str, lane: usize, mutant: &Mutant) -> Option<&'static str> {
        let mut maxima = self.sites.iter().filter(|s| s.lane == lane && s.is_max);
        maxima.find_map(|s| {
            let Cells { y, a, r1, r0 } = s.cells;
            let above = Cells {
                y: y + 1,
                a: a + 1,
                r1: r1 + 1,
                r0: r0 + 1,
            };
            let a = self.changed(&vec![(s.home, s.position, above)])?;
            self.killed(&a, name, mutant)
                .then_some("a maximum above all taps")
        })
    }

    /// Values that are not clamped and can go up by one.
    pub(super) fn inside(&self) -> impl Iterator<Item = &Site> + '_ {
        let inside = |s: &&Site| {
            let range = i64::from(self.plan.lowered.homes[s.home].range);
            !s.is_input && !s.is_max && s.cells.a == 0 && s.cells.y > 0 && s.cells.y + 1 < range
        };
        self.sites.iter().filter(inside).take(PLACES)
    }

    /// A remainder out of range; what the sum of the fractions is then short of is taken off somewhere.
    fn open_sum(&self, name: &str, rows: Option<&'static str>, mutant: &Mutant) -> Option<&'static str> {
        let last = self.plan.active_rows();
        let row = (0..=last).find(|row| self.is_kind(*row, rows))?;
        self.inside().find_map(|s| {
            let cells = Cells {
                y: s.cells.y + 1,
                r0: s.cells.r0 - s.d,
                ..s.cells
            };
            let mut a = self.changed(&vec![(s.home, s.position, cells)])?;
            let open = a.two.sum[last];
            let mut fall = |from: usize| a.two.sum[from..].iter_mut().for_each(|sum| *sum -= open);
            let label = match (name, name.strip_prefix("logup/helper "), rows) {
                (_, Some(i), _) => {
                    fall(row + 1);
                    a.two.helpers[i.parse::<usize>().ok()?][row] -= open;
                    "a remainder out of range, its fraction taken off a helper"
                }
                ("logup/running sum", ..) => {
                    fall(row + 1);
                    "a remainder out of range, the sum jumps"
                }
                (_, _, Some("first")) => {
                    fall(0);
                    "a remainder out of range, the sum starts below zero"
                }
                _ => "a remainder out of range, the sum stays open",
            };
            self.killed(&a, name, mutant).then_some(label)
        })
    }

    /// A quotient that is off by one, and a cell of a later phase that hides it.
    fn hidden_evaluation(
        &self,
        name: &str,
        rows: Option<&'static str>,
        mutant: &Mutant,
    ) -> Option<&'static str> {
        self.broken().find_map(|a| {
            let (attempts, label) = self.hide(&a, name, rows)?;
            let killed = attempts.iter().any(|a| self.killed(a, name, mutant));
            killed.then_some(label)
        })
    }

    /// Assignments in which all holds but an identity: a quotient or a maximum that is off by one.
    fn broken(&self) -> impl Iterator<Item = Assignment> + '_ {
        let maxima = self.sites.iter().filter(|s| {
            let range = i64::from(self.plan.lowered.homes[s.home].range);
            s.is_max && s.cells.y < range
        });
        self.inside().chain(maxima.take(PLACES)).filter_map(|s| {
            let cells = Cells {
                y: s.cells.y + 1,
                ..s.cells
            };
            self.changed(&vec![(s.home, s.position, cells)])
        })
    }

    /// First and last row of the identity that does not hold.
    fn broken_identity(&self, a: &Assignment) -> Option<(usize, usize)> {
        let fixed = self.checker.fixture.fixed();
        let is = |r: usize, op: u64| fixed.g_step[r] == Fr::from(op);
        let end = (0..a.three.g.len()).find(|r| is(*r, g_step::CHECK) && a.three.g[*r] != Fr::ZERO)?;
        let start = (0..end).rev().find(|r| is(*r, g_step::RESET))?;
        Some((start, end))
    }

    fn hide(
        &self,
        a: &Assignment,
        name: &str,
        rows: Option<&'static str>,
    ) -> Option<(Vec<Assignment>, &'static str)> {
        let (start, end) = self.broken_identity(a)?;
        let fixed = self.checker.fixture.fixed();
        let of_kind = || (start..=end).filter(|r| self.is_kind(*r, rows)).take(PLACES);
        let sources = || {
            fixed
                .copies
                .iter()
                .filter(|c| (start..=end).contains(&c.1))
                .take(PLACES)
        };
        let (hidden, label): (Vec<Hidden>, _) = match name {
            "glue/check" => return Some((vec![a.clone()], "an identity that does not hold")),
            "glue/identity" => {
                let jump = |r| Hidden {
                    g: vec![r],
                    ..Hidden::default()
                };
                (of_kind().map(jump).collect(), "a sum that jumps")
            }
            "glue/weights" => {
                let other = |r| Hidden {
                    k: vec![r],
                    ..Hidden::default()
                };
                (of_kind().map(other).collect(), "another weight")
            }
            "copy" => {
                let other = |r| Hidden {
                    x: vec![r],
                    ..Hidden::default()
                };
                let all = sources().map(|c| other(c.1)).collect();
                (all, "another evaluation than the plane's")
            }
            "horner/value" | "horner/accumulator" => {
                let is_value = name == "horner/value";
                let planes = sources().filter(|c| (c.0.0 == Evaluated::Value) == is_value);
                let all = planes.filter_map(|c| self.other_evaluation(c.0, rows)).collect();
                (all, "another evaluation of the tensor")
            }
            _ => return None,
        };
        let solved = hidden.iter().filter_map(|h| self.solve(a, end, h));
        Some((solved.collect(), label))
    }

    /// An evaluation changed in a row of a kind and from there on, wherever it is copied.
    fn other_evaluation(&self, of: (Evaluated, usize), rows: Option<&'static str>) -> Option<Hidden> {
        let p = &self.plan.params;
        let step = |row: usize| {
            let tape = self.plan.rows.get(row)?;
            let (index, steps) = match of.0 {
                Evaluated::Value => (tape.value_step, &p.value_steps),
                Evaluated::Accumulator => (tape.accumulator_step, &p.accumulator_steps),
            };
            let exponent = steps.get(index.checked_sub(1)?)?;
            Some(self.checker.v.pow_vartime([u64::from(*exponent)]))
        };
        // From the last row back to the changed one: the change in each row that gives a change of 1 in the last.
        let (mut row, mut factor) = (of.1, Fr::ONE);
        let mut factors = vec![(row, factor)];
        while !self.is_kind(row, rows) {
            factor *= Option::<Fr>::from(step(row)?.invert())?;
            row = row.checked_sub(1)?;
            factors.push((row, factor));
        }
        let copies = self.checker.fixture.fixed().copies.iter();
        Some(Hidden {
            x: copies.filter(|c| c.0 == of).map(|c| c.1).collect(),
            evaluation: Some((of.0, factors)),
            ..Hidden::default()
        })
    }

    /// Changes all the cells by the amount that makes the check at `end` hold.
    fn solve(&self, a: &Assignment, end: usize, hidden: &Hidden) -> Option<Assignment> {
        let by = |delta: Fr| {
            let mut changed = a.clone();
            if let Some((of, rows)) = &hidden.evaluation {
                let column = match of {
                    Evaluated::Value => &mut changed.three.value,
                    Evaluated::Accumulator => &mut changed.three.accumulator,
                };
                rows.iter()
                    .for_each(|(row, factor)| column[*row] += delta * factor);
            }
            hidden.x.iter().for_each(|row| changed.three.x[*row] += delta);
            self.glue(&mut changed, hidden, delta);
            changed
        };
        let open = a.three.g[end];
        let slope: Option<Fr> = (by(Fr::ONE).three.g[end] - open).invert().into();
        Some(by(-open * slope?))
    }

    /// Recomputes K and G from X, with `delta` added in the rows that are changed.
    fn glue(&self, a: &mut Assignment, hidden: &Hidden, delta: Fr) {
        let fixed = self.checker.fixture.fixed();
        let (alpha, v) = (self.checker.drawn.alpha, self.checker.v);
        let chunk = alpha.pow_vartime([u64::from(self.plan.params.weight_lanes)]);
        let (mut k, mut g) = (Fr::ZERO, Fr::ZERO);
        for r in 0..self.plan.active_rows() {
            let op = |column: &[Fr]| to_integer(&column[r]).unwrap_or(0);
            let change = |rows: &[usize]| if rows.contains(&r) { delta } else { Fr::ZERO };
            let factor = match op(&fixed.k_step) {
                k_step::CHUNK => chunk,
                k_step::POWER => alpha,
                k_step::SHIFT => v,
                _ => Fr::ZERO,
            };
            let weights = fixed
                .weights
                .iter()
                .rev()
                .fold(Fr::ZERO, |sum, w| sum * alpha + w[r]);
            k = factor * k + weights + change(&hidden.k);
            let before = match op(&fixed.g_step) {
                g_step::CARRY | g_step::CHECK => g,
                g_step::SHIFT => v * g,
                g_step::SHIFT_OVERHANG => v * g + a.two.overhang[r],
                _ => Fr::ZERO,
            };
            g = before + fixed.coef[r] * k * a.three.x[r] + change(&hidden.g);
            (a.three.k[r], a.three.g[r]) = (k, g);
        }
    }

    /// A cheat that knows v before it commits to the overhang: a wrong quotient, and one overhang cell that hides it. Every
    /// constraint holds, so that only the order in which they are made stops it.
    #[must_use]
    pub fn overhang_after_point(&self) -> Option<Assignment> {
        let fixed = self.checker.fixture.fixed();
        self.broken().find_map(|mut a| {
            let (start, end) = self.broken_identity(&a)?;
            let reads = |r: &usize| fixed.g_step[*r] == Fr::from(g_step::SHIFT_OVERHANG);
            let row = (start..=end).find(reads)?;
            let jump = Hidden {
                g: vec![row],
                ..Hidden::default()
            };
            let solved = self.solve(&a, end, &jump)?;
            a.two.overhang[row] += solved.three.g[row] - a.three.g[row];
            self.glue(&mut a, &Hidden::default(), Fr::ZERO);
            self.checker.failures(&a, None).is_empty().then_some(a)
        })
    }
}
