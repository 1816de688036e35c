//! All columns and challenges of the circuit.

use super::power;
use crate::params::{CircuitParams, Pattern};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{
    Advice, Challenge, Column, ConstraintSystem, Expression, FirstPhase, Fixed, Instance, SecondPhase,
};

/// Small cells of one lane.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// Stored value `y - lo`.
    pub y: Column<Advice>,
    /// Limbs of the clamp magnitude, low first.
    pub clamp: Vec<Column<Advice>>,
    /// Limbs of r1, low first.
    pub r1: Vec<Column<Advice>>,
    /// Limbs of r0, low first.
    pub r0: Vec<Column<Advice>>,
    /// Limbs 1.. of d1 - 1 - r1; limb 0 is an expression.
    pub gap: Vec<Column<Advice>>,
}

impl Lane {
    fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams) -> Self {
        let q = params.limb_split as usize;
        let mut small = |count: usize| {
            (0..count)
                .map(|_| meta.advice_column_in(FirstPhase))
                .collect::<Vec<_>>()
        };
        Self {
            y: small(1)[0],
            clamp: small(params.clamp.num_cells() as usize),
            r1: small(q),
            r0: small(q),
            gap: small(q - 1),
        }
    }

    /// All columns, in the order of the witness.
    pub fn all(&self) -> impl Iterator<Item = Column<Advice>> + '_ {
        let rest = self.clamp.iter().chain(&self.r1).chain(&self.r0).chain(&self.gap);
        std::iter::once(self.y).chain(rest.copied())
    }
}

/// Fixed columns that exist only when the model's tensors have different ranges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixed {
    /// R of the row.
    pub range: Column<Fixed>,
    /// Table tag of R.
    pub tag: Column<Fixed>,
    /// `2 d / R`.
    pub slope: Column<Fixed>,
}

impl Mixed {
    fn configure(meta: &mut ConstraintSystem<Fr>) -> Self {
        Self {
            range: meta.fixed_column(),
            tag: meta.fixed_column(),
            slope: meta.fixed_column(),
        }
    }
}

/// Challenges, by the phase after which they are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenges {
    /// Combines output planes (after phase 1).
    pub alpha: Challenge,
    /// Evaluation point of the lookup argument (after phase 1).
    pub beta: Challenge,
    /// Combines value and tag of a lookup (after phase 1).
    pub theta: Challenge,
    /// Evaluation point of the planes (after the overhang's commitment).
    pub v: Challenge,
}

impl Challenges {
    /// Both phases must have columns.
    fn configure(meta: &mut ConstraintSystem<Fr>) -> Self {
        let [alpha, beta, theta] = std::array::from_fn(|_| meta.challenge_usable_after(FirstPhase));
        let v = meta.challenge_usable_after(SecondPhase);
        Self {
            alpha,
            beta,
            theta,
            v,
        }
    }
}

/// Every column.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub lanes: Vec<Lane>,
    pub multiplicity: Column<Advice>,
    pub helpers: Vec<Column<Advice>>,
    pub sum: Column<Advice>,
    pub overhang: Column<Advice>,
    pub value: Column<Advice>,
    pub accumulator: Column<Advice>,
    pub k: Column<Advice>,
    /// X of the glue program; before it begins, P of the public rows ([`super::tape`]).
    pub x: Column<Advice>,
    pub g: Column<Advice>,
    pub instance: Column<Instance>,
    pub active: Column<Fixed>,
    pub boundary: Column<Fixed>,
    pub public: Column<Fixed>,
    pub d1_minus_1: Column<Fixed>,
    pub b: Column<Fixed>,
    pub table_value: Column<Fixed>,
    pub table_tag: Column<Fixed>,
    /// Second component of the table, where values and clamp magnitudes are looked up together.
    pub table_second: Option<Column<Fixed>>,
    pub k_step: Column<Fixed>,
    pub g_step: Column<Fixed>,
    pub coef: Column<Fixed>,
    pub mixed: Option<Mixed>,
    pub zero: Option<Column<Fixed>>,
    pub max: Option<Column<Fixed>>,
    /// Selectors of all patterns but the first.
    pub patterns: Vec<Column<Fixed>>,
    pub value_steps: Vec<Column<Fixed>>,
    /// The same columns as `value_steps` when the steps are shared.
    pub accumulator_steps: Vec<Column<Fixed>>,
    pub weights: Vec<Column<Fixed>>,
    pub challenges: Challenges,
}

impl Columns {
    /// Allocates everything; creates no gate.
    pub fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams) -> Self {
        let lanes = (0..params.num_lanes())
            .map(|_| Lane::configure(meta, params))
            .collect();
        let multiplicity = meta.advice_column_in(FirstPhase);
        // The overhang is the first column of the second phase: v is drawn right after its commitment.
        let overhang = meta.advice_column_in(SecondPhase);
        let helpers = (0..params.num_helpers())
            .map(|_| meta.advice_column_in(SecondPhase))
            .collect();
        let sum = meta.advice_column_in(SecondPhase);
        let challenges = Challenges::configure(meta);
        let [value, accumulator, k, x, g] = std::array::from_fn(|_| meta.advice_column_in(SecondPhase));
        [value, accumulator, x]
            .into_iter()
            .for_each(|column| meta.enable_equality(column));
        let mixed = (params.ranges.len() > 1).then(|| Mixed::configure(meta));
        let mut fixed =
            |count: usize| -> Vec<Column<Fixed>> { (0..count).map(|_| meta.fixed_column()).collect() };
        let value_steps = fixed(params.num_step_columns().0);
        Self {
            lanes,
            multiplicity,
            helpers,
            sum,
            overhang,
            value,
            accumulator,
            k,
            x,
            g,
            active: fixed(1)[0],
            boundary: fixed(1)[0],
            public: fixed(1)[0],
            d1_minus_1: fixed(1)[0],
            b: fixed(1)[0],
            table_value: fixed(1)[0],
            table_tag: fixed(1)[0],
            table_second: params.is_paired().then(|| fixed(1)[0]),
            k_step: fixed(1)[0],
            g_step: fixed(1)[0],
            coef: fixed(1)[0],
            mixed,
            zero: params.uniform_zero.is_none().then(|| fixed(1)[0]),
            max: params.max_rows.then(|| fixed(1)[0]),
            patterns: fixed(params.patterns.len() - 1),
            accumulator_steps: if params.shared_steps {
                value_steps.clone()
            } else {
                fixed(params.num_step_columns().1)
            },
            value_steps,
            weights: fixed(params.num_weight_lanes()),
            instance: meta.instance_column(),
            challenges,
        }
    }
}

/// The cells of one lane as a gate sees them, composed from their limbs.
pub(crate) struct LaneCells {
    pub y: Expression<Fr>,
    /// Clamp magnitude a.
    pub a: Expression<Fr>,
    pub r1: Expression<Fr>,
    pub r0: Expression<Fr>,
    /// Limbs, for the lookups.
    pub a_limbs: Vec<Expression<Fr>>,
    pub r1_limbs: Vec<Expression<Fr>>,
    pub r0_limbs: Vec<Expression<Fr>>,
    pub gap_limbs: Vec<Expression<Fr>>,
}

impl LaneCells {
    /// Queries the lane in the current row.
    pub fn query(lane: &Lane, bits: u32) -> Self {
        let cells = |c: &[Column<Advice>]| c.iter().map(Column::cur).collect::<Vec<Expression<Fr>>>();
        let (a_limbs, r1_limbs) = (cells(&lane.clamp), cells(&lane.r1));
        let (r0_limbs, gap_limbs) = (cells(&lane.r0), cells(&lane.gap));
        Self {
            y: lane.y.cur(),
            a: super::compose(&a_limbs, bits),
            r1: super::compose(&r1_limbs, bits),
            r0: super::compose(&r0_limbs, bits),
            a_limbs,
            r1_limbs,
            r0_limbs,
            gap_limbs,
        }
    }
}

impl Columns {
    /// The lanes of the current row.
    pub fn cells(&self, params: &CircuitParams) -> Vec<LaneCells> {
        self.lanes
            .iter()
            .map(|lane| LaneCells::query(lane, params.limb_bits()))
            .collect()
    }

    /// 1 in the rows of a pattern: `active` minus all other selectors for the first.
    pub fn pattern(&self, index: usize) -> Expression<Fr> {
        match index.checked_sub(1) {
            Some(column) => self.patterns[column].cur(),
            None => self
                .patterns
                .iter()
                .fold(self.active.cur(), |rest, q| rest - q.cur()),
        }
    }

    /// 1 where the lane holds a value of the row.
    pub fn mask(&self, params: &CircuitParams, lane: usize) -> Expression<Fr> {
        // active - sum of the patterns that end at or before the lane; every row has one pattern.
        let mut mask = self.active.cur();
        for (p, pattern) in params.patterns.iter().enumerate() {
            if pattern.valid as usize <= lane {
                mask = mask - self.pattern(p);
            }
        }
        mask
    }

    /// `sum_p [row has pattern p, lane valid] v^(base_p (lanes - 1 - lane))`, patterns of one base together.
    pub fn lane_weight(
        &self,
        params: &CircuitParams,
        lane: usize,
        base: impl Fn(&Pattern) -> u32,
    ) -> Expression<Fr> {
        let v = self.challenges.v.expr();
        let mut bases: Vec<u32> = params.patterns.iter().map(&base).collect();
        bases.sort_unstable();
        bases.dedup();
        if let [only] = bases[..] {
            return self.mask(params, lane) * power(&v, only as usize * (params.num_lanes() - 1 - lane));
        }
        let mut sum = super::constant(0);
        for b in bases {
            let valid = params.patterns.iter().enumerate();
            let valid = valid.filter(|(_, p)| base(p) == b && (p.valid as usize) > lane);
            let selected = valid.map(|(p, _)| self.pattern(p)).reduce(|a, b| a + b);
            if let Some(selected) = selected {
                sum = sum + selected * power(&v, b as usize * (params.num_lanes() - 1 - lane));
            }
        }
        sum
    }
}
