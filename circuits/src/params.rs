//! The shape of the constraint system: everything that `configure` needs and nothing else.

use crate::quant::DIVISOR_SHIFT;
use serde::{Deserialize, Serialize};

/// Most lanes of the tape; a public row packs one byte per lane into a field element.
pub const MAX_LANES: usize = 24;
/// Most bytes that one instance value packs.
pub const INSTANCE_BYTES: usize = 31;
const _: () = assert!(
    MAX_LANES <= INSTANCE_BYTES && INSTANCE_BYTES * 8 < 253,
    "a packed value must fit the field"
);
/// Most weights in a row.
pub const MAX_WEIGHT_LANES: usize = 64;
/// Largest clamp magnitude with a table of its own.
pub const MAX_CLAMP: usize = 1 << 22;
/// Largest exponent of a lane or row step.
pub const MAX_EXPONENT: u32 = 1 << 16;
/// Largest sum of all row steps: a step's power of v is written out when gates are made.
pub const MAX_STEP_SUM: usize = 1 << 17;
/// Most lane patterns.
pub const MAX_PATTERNS: usize = 32;
/// Lookup expressions in one helper: `h e1 e2 e3` under a selector has degree 5.
pub const EXPRESSIONS_PER_HELPER: usize = 3;
/// Lookup expressions in the running sum's own gate.
pub const EXPRESSIONS_IN_SUM: usize = 2;
/// Row steps that one opcode column can name beside "reset": its selector polynomials have degree 4.
pub const STEPS_PER_COLUMN: usize = 4;

/// A shape that no circuit can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("circuit parameter {name} is {value}, outside {low}..={high}")]
pub struct ParamsError {
    /// Which parameter.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Smallest value allowed.
    pub low: u64,
    /// Largest value allowed.
    pub high: u64,
}

/// How the clamp magnitude a of a value y in `0..=R` is ranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clamp {
    /// As this many limbs in the range table.
    Limbs(u32),
    /// In a table of its own, `0..=bound`.
    Range(u32),
    /// Together with y: the table holds `(y, 0)`, `(0, a)` and `(R, a)` for a up to the bound.
    Pair(u32),
}

impl Clamp {
    /// Cells of the magnitude.
    #[must_use]
    pub fn num_cells(self) -> u32 {
        match self {
            Self::Limbs(limbs) => limbs,
            Self::Range(_) | Self::Pair(_) => 1,
        }
    }
}

/// Which lanes of a row hold values, and the monomials of the lanes: lane l has `v^(base (lanes - 1 - l))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Lanes 0..valid hold values.
    pub valid: u32,
    /// Base of the value evaluation.
    pub value_base: u32,
    /// Base of the accumulator evaluation.
    pub accumulator_base: u32,
}

/// The columns and constants of the constraint system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitParams {
    /// Lanes of the tape.
    pub lanes: u32,
    /// Cells that a 12-bit limb is split into: 1, 2 or 3; the range table has `2^(12 / limb_split)` rows.
    pub limb_split: u32,
    /// How the clamp magnitude is ranged.
    pub clamp: Clamp,
    /// Weights in a row.
    pub weight_lanes: u32,
    /// Ranges `[0, R]` of stored values, one table tag each, ascending.
    pub ranges: Vec<u32>,
    /// The stored zero point when all evaluated tensors share it; a fixed column otherwise.
    pub uniform_zero: Option<i32>,
    /// Lane patterns; the first belongs to every row that names no other, each other one has a selector column.
    pub patterns: Vec<Pattern>,
    /// Exponents of v by which the value evaluation moves on from row to row.
    pub value_steps: Vec<u32>,
    /// Exponents of v by which the accumulator evaluation moves on from row to row.
    pub accumulator_steps: Vec<u32>,
    /// True when both evaluations take the same step in every row and share the columns that name it.
    pub shared_steps: bool,
    /// True when the circuit has max rows.
    pub max_rows: bool,
    /// Instance rows when each states several public rows (the tape chip); `None`: one for each public row.
    pub folded: Option<u32>,
}

impl Default for CircuitParams {
    fn default() -> Self {
        Self {
            lanes: 1,
            limb_split: 1,
            clamp: Clamp::Limbs(1),
            weight_lanes: 1,
            ranges: vec![255],
            uniform_zero: Some(0),
            patterns: vec![Pattern {
                valid: 1,
                value_base: 1,
                accumulator_base: 1,
            }],
            value_steps: Vec::new(),
            accumulator_steps: Vec::new(),
            shared_steps: true,
            max_rows: false,
            folded: None,
        }
    }
}

fn within(name: &'static str, value: usize, low: usize, high: usize) -> Result<(), ParamsError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(ParamsError {
            name,
            value: value as u64,
            low: low as u64,
            high: high as u64,
        })
    }
}

impl CircuitParams {
    /// Bounds every field, so that `configure` can be run on parameters from outside.
    ///
    /// # Errors
    /// [`ParamsError`] with the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), ParamsError> {
        within("lanes", self.lanes as usize, 1, MAX_LANES)?;
        within("limb_split", self.limb_split as usize, 1, 3)?;
        match self.clamp {
            Clamp::Limbs(limbs) => within("clamp limbs", limbs as usize, 1, 60 / self.limb_bits() as usize)?,
            Clamp::Range(bound) => within("clamp bound", bound as usize, 255, MAX_CLAMP)?,
            Clamp::Pair(bound) => within("clamp bound", bound as usize, 1, MAX_CLAMP)?,
        }
        let paired = matches!(self.clamp, Clamp::Pair(_)) && self.max_rows;
        within("max rows beside paired clamps", usize::from(paired), 0, 0)?;
        within("weight_lanes", self.weight_lanes as usize, 1, MAX_WEIGHT_LANES)?;
        within("ranges", self.ranges.len(), 1, 255)?;
        within("patterns", self.patterns.len(), 1, MAX_PATTERNS)?;
        within("value_steps", self.value_steps.len(), 0, 32)?;
        within("accumulator_steps", self.accumulator_steps.len(), 0, 32)?;
        for r in &self.ranges {
            within("range", *r as usize, 1, 255)?;
        }
        for p in &self.patterns {
            within("valid lanes", p.valid as usize, 1, self.num_lanes())?;
            within("base", p.value_base.max(p.accumulator_base) as usize, 1, 64)?;
            within("base", p.value_base.min(p.accumulator_base) as usize, 1, 64)?;
        }
        for s in self.value_steps.iter().chain(&self.accumulator_steps) {
            within("step", *s as usize, 1, MAX_EXPONENT as usize)?;
        }
        let sum = |v: &[u32]| v.iter().map(|s| *s as usize).sum::<usize>();
        within(
            "sum of the steps",
            sum(&self.value_steps) + sum(&self.accumulator_steps),
            0,
            MAX_STEP_SUM,
        )?;
        let bases: usize = self
            .patterns
            .iter()
            .map(|p| (p.value_base + p.accumulator_base) as usize)
            .sum();
        within(
            "sum of the lane exponents",
            bases * self.num_lanes() * self.num_lanes(),
            0,
            MAX_STEP_SUM,
        )?;
        within(
            "folded rows",
            self.folded.unwrap_or(1) as usize,
            1,
            crate::statement::MAX_PUBLIC_ROWS,
        )?;
        let shared = !self.shared_steps || self.value_steps == self.accumulator_steps;
        within("shared_steps", usize::from(shared), 1, 1)?;
        let ascending = |v: &[u32]| v.windows(2).all(|w| w[0] < w[1]);
        within("order", usize::from(ascending(&self.ranges)), 1, 1)?;
        if let Some(z) = self.uniform_zero {
            within("uniform_zero", z.unsigned_abs() as usize, 0, 255)?;
        }
        Ok(())
    }

    /// Lanes as a count.
    #[must_use]
    pub fn num_lanes(&self) -> usize {
        self.lanes as usize
    }

    /// Weights in a row as a count.
    #[must_use]
    pub fn num_weight_lanes(&self) -> usize {
        self.weight_lanes as usize
    }

    /// Bits of one limb cell.
    #[must_use]
    pub fn limb_bits(&self) -> u32 {
        DIVISOR_SHIFT / self.limb_split
    }

    /// Small (phase 1) advice columns of one lane: y, clamp limbs, r1 and r0 limbs, and the split part of d1 - 1 - r1.
    #[must_use]
    pub fn cells_per_lane(&self) -> usize {
        let q = self.limb_split as usize;
        1 + self.clamp.num_cells() as usize + 2 * q + (q - 1)
    }

    /// Looked-up expressions of one lane.
    #[must_use]
    pub fn lookups_per_lane(&self) -> usize {
        let clamp = match self.clamp {
            Clamp::Limbs(limbs) => limbs as usize,
            Clamp::Range(_) => 1,
            Clamp::Pair(_) => 0,
        };
        1 + clamp + 3 * self.limb_split as usize
    }

    /// Logup helper columns.
    #[must_use]
    pub fn num_helpers(&self) -> usize {
        let expressions = self.num_lanes() * self.lookups_per_lane();
        expressions
            .saturating_sub(EXPRESSIONS_IN_SUM)
            .div_ceil(EXPRESSIONS_PER_HELPER)
    }

    /// Small advice columns, the multiplicities included.
    #[must_use]
    pub fn num_small_columns(&self) -> usize {
        self.num_lanes() * self.cells_per_lane() + 1
    }

    /// Full-size advice columns: helpers, running sum, overhang, two plane evaluations, K, X, G.
    #[must_use]
    pub fn num_full_columns(&self) -> usize {
        self.num_helpers() + 7
    }

    /// Columns that name the row steps of the value evaluation, and of the accumulator evaluation where it has its own.
    #[must_use]
    pub fn num_step_columns(&self) -> (usize, usize) {
        let own = if self.shared_steps {
            0
        } else {
            self.accumulator_steps.len()
        };
        (
            self.value_steps.len().div_ceil(STEPS_PER_COLUMN),
            own.div_ceil(STEPS_PER_COLUMN),
        )
    }

    /// Fixed columns.
    #[must_use]
    pub fn num_fixed_columns(&self) -> usize {
        let mixed = if self.ranges.len() > 1 { 3 } else { 0 };
        let zero = usize::from(self.uniform_zero.is_none());
        // Active, boundary, public, d1 - 1, B, table value and tag, K step, G step, coefficient.
        10 + mixed + zero + usize::from(self.max_rows) + usize::from(self.is_paired()) + self.patterns.len()
            - 1
            + self.num_step_columns().0
            + self.num_step_columns().1
            + self.num_weight_lanes()
    }

    /// Rows of the lookup table.
    #[must_use]
    pub fn table_rows(&self) -> usize {
        let (per_range, own) = match self.clamp {
            Clamp::Limbs(_) => (0, 0),
            Clamp::Range(bound) => (0, bound as usize + 1),
            Clamp::Pair(bound) => (2 * bound as usize, 0),
        };
        let ranges = self.ranges.iter().map(|r| *r as usize + 1 + per_range);
        (1 << self.limb_bits()) + ranges.sum::<usize>() + own
    }

    /// Tag of the clamp magnitude's own table.
    #[must_use]
    pub fn clamp_tag(&self) -> u64 {
        match self.clamp {
            Clamp::Range(_) => self.ranges.len() as u64 + 1,
            Clamp::Limbs(_) | Clamp::Pair(_) => 0,
        }
    }

    /// True when a value and its clamp magnitude are looked up together.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        matches!(self.clamp, Clamp::Pair(_))
    }

    /// The lookup table: value, tag and second component of every row, in order.
    pub fn table(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let limbs = (0..1u64 << self.limb_bits()).map(|v| (v, 0, 0));
        let ranges = (1u64..).zip(&self.ranges).flat_map(|(tag, range)| {
            let range = u64::from(*range);
            let bound = if let Clamp::Pair(bound) = self.clamp {
                u64::from(bound)
            } else {
                0
            };
            (0..=range)
                .map(move |y| (y, tag, 0))
                .chain((1..=bound).map(move |a| (0, tag, a)))
                .chain((1..=bound).map(move |a| (range, tag, a)))
        });
        let own = if let Clamp::Range(bound) = self.clamp {
            u64::from(bound) + 1
        } else {
            0
        };
        limbs
            .chain(ranges)
            .chain((0..own).map(|a| (a, self.clamp_tag(), 0)))
    }

    /// Tag of the range `[0, range]` in the lookup table; limbs have tag 0.
    #[must_use]
    pub fn tag(&self, range: u32) -> Option<u64> {
        self.ranges.iter().position(|r| *r == range).map(|i| i as u64 + 1)
    }
}
