//! Parts of the circuit that a mutant leaves out.

use super::fold::Cell;
use super::{Checker, Failure, Flat};
use crate::assign::to_integer;
use crate::chips::glue::{g_step, k_step};
use crate::chips::tape::public;
use crate::params::{CircuitParams, Clamp};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Values below zero.
    Below,
    /// Values past the largest.
    Above,
}

/// What is left out. A gate constraint is left out by its name from the list of polynomials that have to vanish, which is
/// all that a verifier takes from a gate; a lookup is left out when the columns and gates of the argument are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutant {
    /// A gate constraint (`gate/constraint`) or the copies (`copy`), in all rows or in rows of a kind.
    Constraint {
        /// Name.
        name: String,
        /// The rows.
        rows: Option<&'static str>,
    },
    /// A lookup, or only one end of its range, in all rows or in rows of a kind.
    Lookup {
        /// Name.
        name: String,
        /// The end that is left out; the other one is kept.
        end: Option<End>,
        /// The rows.
        rows: Option<&'static str>,
    },
}

impl Mutant {
    /// The lookup that is no part of the argument.
    pub(super) fn lookup(&self) -> Option<String> {
        match self {
            Self::Lookup { name, .. } => Some(name.clone()),
            Self::Constraint { .. } => None,
        }
    }

    /// True when a constraint does not count in a row of these kinds.
    pub(super) fn leaves_out(&self, constraint: &str, kinds: &dyn Fn() -> Vec<&'static str>) -> bool {
        match self {
            Self::Constraint { name, rows } => {
                name == constraint && rows.is_none_or(|kind| kinds().contains(&kind))
            }
            Self::Lookup { .. } => false,
        }
    }
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, rows) = match self {
            Self::Constraint { name, rows } => (name.clone(), rows),
            Self::Lookup {
                name,
                end: None,
                rows,
            } => (format!("lookup {name}"), rows),
            Self::Lookup {
                name,
                end: Some(End::Below),
                rows,
            } => (format!("lookup {name} < 0"), rows),
            Self::Lookup {
                name,
                end: Some(End::Above),
                rows,
            } => (format!("lookup {name} > bound"), rows),
        };
        match rows {
            Some(rows) => write!(f, "{name}, {rows} rows"),
            None => f.write_str(&name),
        }
    }
}

/// The integer below 2^63 that the element stands for.
pub(super) fn signed(value: Fr) -> Option<i64> {
    let positive = |v: Fr| to_integer(&v).and_then(|v| i64::try_from(v).ok());
    positive(value).or_else(|| positive(-value).map(|v| -v))
}

/// Largest value of the lookup's range with this tag; the clamp magnitude's of a pair is its second component.
fn largest(params: &CircuitParams, tag: u64) -> i64 {
    let range = usize::try_from(tag).ok().and_then(|t| t.checked_sub(1));
    match (range.and_then(|t| params.ranges.get(t)), params.clamp) {
        (Some(range), _) => i64::from(*range),
        (None, Clamp::Range(bound)) if tag == params.clamp_tag() => i64::from(bound),
        _ => (1 << params.limb_bits()) - 1,
    }
}

impl Checker {
    /// Kinds of a row, by the fixed columns.
    #[must_use]
    pub fn kinds(&self, row: usize) -> Vec<&'static str> {
        let (plan, fixed) = (self.plan(), self.fixture.fixed());
        let mut kinds = Vec::new();
        let Some(tape) = plan.rows.get(row) else {
            kinds.push("no value");
            self.glue_kinds(row, &mut kinds);
            return kinds;
        };
        let is_input = plan.lowered.steps.iter().all(|s| s.output != tape.home);
        kinds.push(match (is_input, fixed.max[row] == Fr::ONE) {
            (true, _) => "input",
            (false, true) => "maximum",
            (false, false) => "requantized",
        });
        if row < plan.public_rows {
            kinds.push(match (plan.params.folded, to_integer(&fixed.public[row])) {
                (None, _) if is_input => "public input",
                (None, _) => "public output",
                (_, Some(public::STATE)) => "public state",
                (_, Some(public::CARRY)) => "public carry",
                _ => "public last",
            });
        }
        kinds.push(if tape.value_step == 0 {
            "value start"
        } else {
            "value step"
        });
        kinds.push(if tape.accumulator_step == 0 {
            "accumulator start"
        } else {
            "accumulator step"
        });
        self.glue_kinds(row, &mut kinds);
        kinds
    }

    fn glue_kinds(&self, row: usize, kinds: &mut Vec<&'static str>) {
        let fixed = self.fixture.fixed();
        if row == 0 {
            kinds.push("first");
        }
        if row == self.plan().active_rows() {
            kinds.push("last");
            return;
        }
        kinds.push(match to_integer(&fixed.k_step[row]) {
            Some(k_step::CHUNK) => "K chunk",
            Some(k_step::POWER) => "K power",
            Some(k_step::SHIFT) => "K shift",
            _ => "K start",
        });
        kinds.push(match to_integer(&fixed.g_step[row]) {
            Some(g_step::CARRY) => "G carry",
            Some(g_step::SHIFT) => "G shift",
            Some(g_step::SHIFT_OVERHANG) => "G shift with Z",
            Some(g_step::CHECK) => "G check",
            _ => "G reset",
        });
    }

    /// Where lookups are left out in part: the first row in which what is kept of each does not hold.
    pub(super) fn kept_ranges(&self, flat: &Flat<'_>, rows: &[usize]) -> Vec<Failure> {
        let mutants = self.mutants.iter().zip(&self.dropped);
        mutants
            .filter_map(|(mutant, index)| match mutant {
                Mutant::Lookup {
                    name,
                    end,
                    rows: kind,
                } if end.is_some() || kind.is_some() => {
                    let fails = |row: &usize| self.leaves_kept_range(flat, (*index)?, *row, *end, *kind);
                    let active = rows.iter().filter(|r| **r < self.plan().active_rows());
                    let row = active.copied().find(|row| fails(row) == Some(true))?;
                    Some(Failure {
                        constraint: format!("lookup {name}"),
                        row,
                    })
                }
                _ => None,
            })
            .collect()
    }

    /// Whether a looked-up value is outside its range at an end, or in a row, that the mutant keeps.
    fn leaves_kept_range(
        &self,
        flat: &Flat<'_>,
        index: usize,
        row: usize,
        end: Option<End>,
        kind: Option<&str>,
    ) -> Option<bool> {
        let read = |cell: Cell, _: i32| match cell {
            Cell::Fixed(c) => self.fixed[c][row],
            Cell::Advice(c) => flat.advice[c][row],
            Cell::Instance => Fr::ZERO,
        };
        let lookup = self.lookups.get(index)?;
        let [value, tag, _] = lookup.each_ref().map(|node| node.evaluate(&read));
        let largest = largest(&self.plan().params, to_integer(&tag).unwrap_or_default());
        let (below, above) = signed(value).map_or((true, true), |v| (v < 0, v > largest));
        let open = kind.is_none_or(|kind| self.kinds(row).contains(&kind));
        let open = |side: End| open && end.is_none_or(|end| end == side);
        Some(below && !open(End::Below) || above && !open(End::Above))
    }
}
