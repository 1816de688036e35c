//! Checks a circuit without a proof: every gate on every row, every copy, with any cell changed.

pub mod models;

use crate::assign::{Drawn, PhaseOne, PhaseThree, PhaseTwo, phase_one, phase_three, phase_two};
use crate::assign::{Fault, Witness, WitnessError};
use crate::chips::columns::Columns;
use crate::circuit::{Fixture, configure, fixed_columns};
use crate::graph::Graph;
use crate::plan::{Evaluated, Plan};
use crate::tensor::Tensor;
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{Advice, Column, ConstraintSystem, Expression, FirstPhase};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A constraint that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// Gate and constraint, as `gate/constraint`, or `copy`.
    pub constraint: String,
    /// First row.
    pub row: usize,
}

/// All advice columns of one assignment.
#[derive(Debug, Clone)]
pub struct Assignment {
    one: PhaseOne,
    two: PhaseTwo,
    three: PhaseThree,
    instance: Vec<Fr>,
    drawn: Drawn,
    v: Fr,
}

/// A circuit that can be checked cell by cell.
pub struct Checker {
    fixture: Fixture,
    cs: ConstraintSystem<Fr>,
    columns: Columns,
    fixed: Vec<Vec<Fr>>,
    seed: u64,
}

/// Flat view of all columns, indexed as halo2 numbers them.
struct Flat<'a> {
    advice: Vec<&'a [Fr]>,
    instance: &'a [Fr],
}

impl Checker {
    /// The checker of a plan; lookups named in `dropped` are left out.
    #[must_use]
    pub fn new(graph: &Graph, plan: Plan, seed: u64, dropped: &[String]) -> Self {
        let fixture = Fixture::new(graph, std::sync::Arc::new(plan));
        let params = fixture.plan().params.clone();
        let mut cs = ConstraintSystem::default();
        let columns = configure(&mut cs, &params, dropped);
        let mut fixed = vec![Vec::new(); cs.num_fixed_columns()];
        for (column, values) in fixed_columns(&params, &columns, fixture.fixed()) {
            fixed[column.index()] = values.to_vec();
        }
        Self {
            fixture,
            cs,
            columns,
            fixed,
            seed,
        }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.fixture.plan()
    }

    /// The constraint system.
    #[must_use]
    pub fn cs(&self) -> &ConstraintSystem<Fr> {
        &self.cs
    }

    /// Names of all gate constraints, as `gate/constraint`.
    #[must_use]
    pub fn constraints(&self) -> Vec<String> {
        let gates = self.cs.gates().iter();
        gates
            .flat_map(|g| {
                (0..g.polynomials().len()).map(move |i| format!("{}/{}", g.name(), g.constraint_name(i)))
            })
            .collect()
    }

    /// Assigns everything for an input; `fault` may change integers as they are made, and what follows is computed
    /// honestly from what it leaves. `instance` states the public rows.
    ///
    /// # Errors
    /// [`WitnessError`] for inputs that are not the graph's.
    pub fn assign(
        &self,
        graph: &Graph,
        inputs: &[Tensor],
        fault: &mut dyn Fault,
        instance: Vec<Fr>,
    ) -> Result<Assignment, WitnessError> {
        let witness = Witness::with_fault(graph, self.plan(), inputs, fault)?;
        let one = phase_one(self.plan(), &witness, self.fixture.fixed());
        Ok(self.complete(one, instance))
    }

    /// Phases 2 and 3 for given phase-1 columns.
    #[must_use]
    pub fn complete(&self, one: PhaseOne, instance: Vec<Fr>) -> Assignment {
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed);
        let mut draw = || Fr::random(&mut rng);
        let drawn = Drawn {
            alpha: draw(),
            beta: draw(),
            theta: draw(),
        };
        let v = draw();
        let fixed = self.fixture.fixed();
        let two = phase_two(self.plan(), fixed, &one, &drawn);
        let three = phase_three(self.plan(), fixed, &one, &two, drawn.alpha, v);
        Assignment {
            one,
            two,
            three,
            instance,
            drawn,
            v,
        }
    }

    /// Advice columns by halo2 index.
    fn flat<'a>(&self, a: &'a Assignment) -> Flat<'a> {
        let c = &self.columns;
        let mut advice: Vec<&[Fr]> = vec![&[]; self.cs.num_advice_columns()];
        let small = c
            .lanes
            .iter()
            .flat_map(|l| l.all().collect::<Vec<_>>())
            .chain([c.multiplicity]);
        for (column, values) in small.zip(&a.one) {
            advice[column.index()] = values;
        }
        for (column, values) in c.helpers.iter().zip(&a.two.helpers) {
            advice[column.index()] = values;
        }
        let rest = [
            (c.sum, &a.two.sum),
            (c.overhang, &a.two.overhang),
            (c.value, &a.three.value),
            (c.accumulator, &a.three.accumulator),
            (c.k, &a.three.k),
            (c.x, &a.three.x),
            (c.g, &a.three.g),
        ];
        for (column, values) in rest {
            advice[column.index()] = values;
        }
        Flat {
            advice,
            instance: &a.instance,
        }
    }

    fn evaluate(&self, poly: &Expression<Fr>, flat: &Flat<'_>, a: &Assignment, row: usize) -> Fr {
        let n = 1usize << self.plan().k;
        let cell = |values: &[Fr], rotation: i32| {
            let at = (row.cast_signed() + rotation as isize)
                .rem_euclid(n.cast_signed())
                .unsigned_abs();
            values.get(at).copied().unwrap_or_default()
        };
        let challenges = [a.drawn.alpha, a.drawn.beta, a.drawn.theta, a.v];
        poly.evaluate(
            &|c| c,
            &|_| Fr::ZERO,
            &|q| cell(&self.fixed[q.column_index()], q.rotation().0),
            &|q| cell(flat.advice[q.column_index()], q.rotation().0),
            &|q| cell(flat.instance, q.rotation().0),
            &|c| challenges[c.index()],
            &|x| -x,
            &|x, y| x + y,
            &|x, y| x * y,
            &|x, s| x * s,
        )
    }

    /// Every constraint that fails, each with its first row; `rows` limits the rows that are looked at.
    #[must_use]
    pub fn failures(&self, a: &Assignment, rows: Option<&[usize]>) -> Vec<Failure> {
        let flat = self.flat(a);
        let all: Vec<usize> = (0..=self.plan().active_rows()).collect();
        let rows = rows.unwrap_or(&all);
        let mut found = Vec::new();
        for gate in self.cs.gates() {
            for (i, poly) in gate.polynomials().iter().enumerate() {
                let failed = rows
                    .iter()
                    .find(|r| self.evaluate(poly, &flat, a, **r) != Fr::ZERO);
                if let Some(row) = failed {
                    let constraint = format!("{}/{}", gate.name(), gate.constraint_name(i));
                    found.push(Failure {
                        constraint,
                        row: *row,
                    });
                }
            }
        }
        for &((of, from), to) in &self.fixture.fixed().copies {
            let source = match of {
                Evaluated::Value => &a.three.value,
                Evaluated::Accumulator => &a.three.accumulator,
            };
            if source[from] != a.three.x[to] {
                found.push(Failure {
                    constraint: "copy".to_owned(),
                    row: to,
                });
                break;
            }
        }
        found
    }

    /// A small advice column with its name.
    #[must_use]
    pub fn phase_one_columns(&self) -> Vec<Column<Advice>> {
        let _ = FirstPhase;
        self.columns
            .lanes
            .iter()
            .flat_map(|l| l.all().collect::<Vec<_>>())
            .chain([self.columns.multiplicity])
            .collect()
    }
}
