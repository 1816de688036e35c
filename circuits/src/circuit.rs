//! The halo2 circuit: columns, rounds, and the one `synthesize`.
//!
//! Round 1 commits every integer; then alpha, beta and theta are drawn. Round 2 commits the overhang; then v is drawn.
//! Round 3 commits the lookup argument, the evaluations and the glue.
//!
//! halo2-axiom completes at most two phases, so rounds 2 and 3 share its second phase: the overhang is the first column
//! of that phase, and both transcripts derive v from the state right after its commitment ([`PointSource`]).

use crate::assign::{
    Drawn, FixedTables, PhaseOne, PhaseTwo, Witness, fixed_tables, phase_one, phase_three, phase_two,
};
use crate::chips::columns::Columns;
use crate::chips::{glue, horner, logup, max, requantize, tape};
use crate::graph::Graph;
use crate::params::CircuitParams;
use crate::plan::{Evaluated, Plan};
use halo2_proofs::circuit::{Layouter, Region, SimpleFloorPlanner, Value};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{Advice, Challenge, Circuit, Column, ConstraintSystem, Error, Fixed};
use std::sync::Arc;

/// Commits the overhang column and draws v from the transcript that has absorbed it.
///
/// # Soundness
/// v must depend on every commitment of the first phase and on that of the overhang, and the overhang that is committed
/// here must be the one that the proof commits to.
pub trait PointSource: Send + Sync {
    /// `overhang`: the column's values from row 0 on; the rows after them are blinding.
    fn draw(&self, overhang: &[Fr]) -> Fr;
}

/// Number of commitments after which v is drawn: all of the first phase, and the overhang.
#[must_use]
pub fn early_points(params: &CircuitParams) -> usize {
    params.num_small_columns() + 1
}

/// Number of challenges that halo2 draws from the transcript before v: alpha, beta and theta.
pub const CHALLENGES_BEFORE_POINT: usize = 3;

/// The circuit of one plan, with or without a witness.
#[derive(Clone)]
pub struct InferenceCircuit {
    point: Option<Arc<dyn PointSource>>,
    params: CircuitParams,
    plan: Option<Arc<Plan>>,
    fixed: Option<Arc<FixedTables>>,
    assign_fixed: bool,
    one: Option<Arc<Vec<Vec<Fr>>>>,
}

/// The fixed columns of a plan: made once for a model, shared by all proofs.
#[derive(Debug, Clone)]
pub struct Fixture {
    plan: Arc<Plan>,
    fixed: Arc<FixedTables>,
}

impl Fixture {
    /// Computes the fixed columns.
    #[must_use]
    pub fn new(graph: &Graph, plan: Arc<Plan>) -> Self {
        let fixed = Arc::new(fixed_tables(graph, &plan));
        Self { plan, fixed }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    #[cfg(any(test, feature = "test-dependencies"))]
    pub(crate) fn fixed(&self) -> &Arc<FixedTables> {
        &self.fixed
    }

    /// Values of the fixed columns, in the order of the constraint system: the rows that are not zero at the end.
    #[must_use]
    pub fn fixed_values(&self) -> Vec<Vec<Fr>> {
        let mut meta = ConstraintSystem::default();
        let columns = configure(&mut meta, &self.plan.params, &[]);
        let mut values = vec![Vec::new(); meta.num_fixed_columns()];
        for (column, of) in fixed_columns(&self.plan.params, &columns, &self.fixed) {
            values[column.index()] = of.to_vec();
        }
        values
    }

    /// The circuit for key generation.
    #[must_use]
    pub fn keygen(&self) -> InferenceCircuit {
        InferenceCircuit {
            params: self.plan.params.clone(),
            plan: Some(self.plan.clone()),
            fixed: Some(self.fixed.clone()),
            assign_fixed: true,
            one: None,
            point: None,
        }
    }

    /// The advice columns of a proof, round by round.
    #[must_use]
    pub fn rounds(&self, witness: &Witness) -> Rounds<'_> {
        Rounds {
            fixture: self,
            one: phase_one(&self.plan, witness, &self.fixed),
            two: None,
        }
    }

    /// The circuit for a proof by halo2's own prover. Fixed columns are in the proving key and are not assigned again.
    #[must_use]
    pub fn prove(&self, witness: &Witness, point: Arc<dyn PointSource>) -> InferenceCircuit {
        let one = phase_one(&self.plan, witness, &self.fixed);
        InferenceCircuit {
            assign_fixed: false,
            one: Some(Arc::new(one)),
            point: Some(point),
            ..self.keygen()
        }
    }
}

/// Advice columns of one proof, for a prover that commits them itself. Each column has its usable rows or fewer; the
/// rows after them are zero, and the last rows of the domain are the prover's blinding.
#[derive(Debug)]
pub struct Rounds<'a> {
    fixture: &'a Fixture,
    one: PhaseOne,
    two: Option<(Drawn, PhaseTwo)>,
}

impl Rounds<'_> {
    /// The columns of round 1, in the order of the constraint system.
    #[must_use]
    pub fn first(&self) -> Vec<Vec<Fr>> {
        self.one.clone()
    }

    /// The overhang, which round 2 commits, from the challenges drawn after round 1.
    pub fn second(&mut self, drawn: Drawn) -> Vec<Fr> {
        let two = phase_two(&self.fixture.plan, &self.fixture.fixed, &self.one, &drawn);
        let overhang = two.overhang.clone();
        self.two = Some((drawn, two));
        overhang
    }

    /// The columns of round 3 from the point v, drawn after the overhang's commitment: none before
    /// [`Rounds::second`].
    #[must_use]
    pub fn third(&self, v: Fr) -> Vec<Vec<Fr>> {
        let Some((drawn, two)) = &self.two else {
            return Vec::new();
        };
        let (plan, fixed) = (&self.fixture.plan, &self.fixture.fixed);
        let three = phase_three(plan, fixed, &self.one, two, drawn.alpha, v);
        let mut columns = two.helpers.clone();
        columns.push(two.sum.clone());
        columns.extend([three.value, three.accumulator, three.k, three.x, three.g]);
        columns
    }
}

/// Creates all columns and gates. `dropped` names lookups to leave out and is empty outside tests.
pub(crate) fn configure(
    meta: &mut ConstraintSystem<Fr>,
    params: &CircuitParams,
    dropped: &[String],
) -> Columns {
    let columns = Columns::configure(meta, params);
    tape::configure(meta, params, &columns);
    requantize::configure(meta, params, &columns);
    max::configure(meta, params, &columns);
    horner::configure(meta, params, &columns);
    glue::configure(meta, params, &columns);
    logup::configure(meta, params, &columns, dropped);
    columns
}

/// Columns and the parameters that they were made for.
#[derive(Debug, Clone)]
pub struct Config {
    columns: Columns,
    params: CircuitParams,
}

impl Circuit<Fr> for InferenceCircuit {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = CircuitParams;

    fn without_witnesses(&self) -> Self {
        Self {
            one: None,
            ..self.clone()
        }
    }

    fn params(&self) -> CircuitParams {
        self.params.clone()
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, params: CircuitParams) -> Config {
        Config {
            columns: configure(meta, &params, &[]),
            params,
        }
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Config {
        Self::configure_with_params(meta, CircuitParams::default())
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_region(|| "network", |mut region| self.assign(&config, &mut region))
    }
}

impl InferenceCircuit {
    fn assign(&self, config: &Config, region: &mut Region<'_, Fr>) -> Result<(), Error> {
        let (Some(plan), Some(fixed)) = (&self.plan, &self.fixed) else {
            return Err(Error::Synthesis);
        };
        let columns = &config.columns;
        if self.assign_fixed {
            assign_fixed(&config.params, columns, fixed, region);
            assign_copies(columns, fixed, region);
        }
        let Some(one) = &self.one else { return Ok(()) };
        let small = columns.lanes.iter().flat_map(|l| l.all().collect::<Vec<_>>());
        for (column, values) in small.chain([columns.multiplicity]).zip(one.iter()) {
            assign_advice(region, column, values);
        }
        region.next_phase();
        let c = &columns.challenges;
        let drawn = (
            known(region, c.alpha),
            known(region, c.beta),
            known(region, c.theta),
        );
        let (Some(alpha), Some(beta), Some(theta)) = drawn else {
            return Ok(());
        };
        let two = phase_two(plan, fixed, one, &Drawn { alpha, beta, theta });
        assign_advice(region, columns.overhang, &two.overhang);
        let Some(point) = &self.point else {
            return Err(Error::Synthesis);
        };
        let v = point.draw(&two.overhang);
        for (column, values) in columns.helpers.iter().zip(&two.helpers) {
            assign_advice(region, *column, values);
        }
        assign_advice(region, columns.sum, &two.sum);
        let three = phase_three(plan, fixed, one, &two, alpha, v);
        let third = [
            (columns.value, &three.value),
            (columns.accumulator, &three.accumulator),
            (columns.k, &three.k),
            (columns.x, &three.x),
            (columns.g, &three.g),
        ];
        for (column, values) in third {
            assign_advice(region, column, values);
        }
        Ok(())
    }
}

/// A challenge, once it is drawn.
fn known(region: &Region<'_, Fr>, challenge: Challenge) -> Option<Fr> {
    let mut drawn = None;
    region.get_challenge(challenge).map(|value| drawn = Some(value));
    drawn
}

/// The only place where advice cells are assigned: each cell once, from the columns of [`crate::assign`].
fn assign_advice(region: &mut Region<'_, Fr>, column: Column<Advice>, values: &[Fr]) {
    for (row, value) in values.iter().enumerate() {
        region.assign_advice(column, row, Value::known(*value));
    }
}

/// Columns of one kind with their values.
type FixedList<'c, 'v> = (&'c [Column<Fixed>], &'v [Vec<Fr>]);

/// Pairs every fixed column with its values.
pub(crate) fn fixed_columns<'a>(
    params: &CircuitParams,
    columns: &Columns,
    fixed: &'a FixedTables,
) -> Vec<(Column<Fixed>, &'a [Fr])> {
    let mut all: Vec<(Column<Fixed>, &[Fr])> = vec![
        (columns.active, &fixed.active),
        (columns.boundary, &fixed.boundary),
        (columns.public, &fixed.public),
        (columns.d1_minus_1, &fixed.d1_minus_1),
        (columns.b, &fixed.b),
        (columns.table_value, &fixed.table_value),
        (columns.table_tag, &fixed.table_tag),
        (columns.k_step, &fixed.k_step),
        (columns.g_step, &fixed.g_step),
        (columns.coef, &fixed.coef),
    ];
    if let Some(mixed) = columns.mixed {
        all.extend([
            (mixed.range, fixed.range.as_slice()),
            (mixed.tag, &fixed.tag),
            (mixed.slope, &fixed.slope),
        ]);
    }
    all.extend(columns.table_second.map(|c| (c, fixed.table_second.as_slice())));
    all.extend(columns.zero.map(|c| (c, fixed.zero.as_slice())));
    all.extend(columns.max.map(|c| (c, fixed.max.as_slice())));
    let own_steps: &[Column<Fixed>] = if params.shared_steps {
        &[]
    } else {
        &columns.accumulator_steps
    };
    let lists: [FixedList<'_, '_>; 4] = [
        (&columns.patterns, &fixed.patterns),
        (&columns.value_steps, &fixed.value_steps),
        (own_steps, &fixed.accumulator_steps),
        (&columns.weights, &fixed.weights),
    ];
    for (list, values) in lists {
        all.extend(list.iter().zip(values).map(|(c, v)| (*c, v.as_slice())));
    }
    all
}

fn assign_fixed(params: &CircuitParams, columns: &Columns, fixed: &FixedTables, region: &mut Region<'_, Fr>) {
    for (column, values) in fixed_columns(params, columns, fixed) {
        for (row, value) in values.iter().enumerate() {
            region.assign_fixed(column, row, *value);
        }
    }
}

/// X copies the evaluation of its plane.
fn assign_copies(columns: &Columns, fixed: &FixedTables, region: &mut Region<'_, Fr>) {
    for &((of, from), to) in &fixed.copies {
        let column = match of {
            Evaluated::Value => columns.value,
            Evaluated::Accumulator => columns.accumulator,
        };
        let cell = |column: Column<Advice>, row_offset| halo2_proofs::circuit::Cell {
            row_offset,
            column: column.into(),
        };
        region.constrain_equal(cell(column, from), cell(columns.x, to));
    }
}
