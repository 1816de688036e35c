//! Checks a circuit without a proof: every gate on every row, every copy, with any cell changed.

mod cell;
mod fold;
pub mod forge;

pub mod models;
mod mutant;
mod sweep;

pub use cell::Hint;
pub use mutant::{End, Mutant};
pub use sweep::Sweep;

use crate::assign::{Drawn, PhaseOne, PhaseThree, PhaseTwo, phase_one, phase_three, phase_two};
use crate::assign::{Fault, Witness, WitnessError};
use crate::chips::columns::Columns;
use crate::chips::logup;
use crate::circuit::{Fixture, configure, fixed_columns};
use crate::graph::Graph;
use crate::params::{EXPRESSIONS_IN_SUM, EXPRESSIONS_PER_HELPER};
use crate::plan::{Evaluated, Plan};
use crate::tensor::Tensor;
use ff::{Field, PrimeField};
use fold::{Cell, Node};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{Advice, Column, ConstraintSystem, Expression};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::HashMap;

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
}

/// A circuit that can be checked cell by cell.
pub struct Checker {
    fixture: Fixture,
    cs: ConstraintSystem<Fr>,
    columns: Columns,
    fixed: Vec<Vec<Fr>>,
    drawn: Drawn,
    v: Fr,
    polys: Vec<Poly>,
    /// Looked-up triples.
    lookups: Vec<[Node; 3]>,
    names: Vec<String>,
    /// What is left out.
    mutants: Vec<Mutant>,
    /// Lookups that are no part of the argument, by mutant; what the mutant keeps of a range is checked row by row.
    dropped: Vec<Option<usize>>,
}

/// A gate constraint with the challenges put in.
struct Poly {
    name: String,
    node: Node,
}

/// Flat view of all columns, indexed as halo2 numbers them.
struct Flat<'a> {
    advice: Vec<&'a [Fr]>,
    instance: &'a [Fr],
    /// Column, row and value of one changed cell.
    change: Option<(usize, usize, Fr)>,
}

impl Checker {
    /// The checker of a plan with challenges from `seed`; the parts that `mutants` name are left out.
    #[must_use]
    pub fn new(graph: &Graph, plan: Plan, seed: u64, mutants: &[Mutant]) -> Self {
        Self::of(Fixture::new(graph, std::sync::Arc::new(plan)), seed, mutants)
    }

    /// The checker of the same circuit.
    pub(crate) fn of(fixture: Fixture, seed: u64, mutants: &[Mutant]) -> Self {
        let params = fixture.plan().params.clone();
        let dropped: Vec<String> = mutants.iter().filter_map(Mutant::lookup).collect();
        let mut cs = ConstraintSystem::default();
        let columns = configure(&mut cs, &params, &dropped);
        let mut fixed = vec![Vec::new(); cs.num_fixed_columns()];
        for (column, values) in fixed_columns(&params, &columns, fixture.fixed()) {
            fixed[column.index()] = values.to_vec();
        }
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let challenges: [Fr; 4] = std::array::from_fn(|_| Fr::random(&mut rng));
        let [alpha, beta, theta, v] = challenges;
        let gates = cs.gates().iter();
        let polys = gates.flat_map(|g| {
            g.polynomials().iter().enumerate().map(|(i, poly)| Poly {
                name: format!("{}/{}", g.name(), g.constraint_name(i)),
                node: fold::fold(poly, &challenges),
            })
        });
        let polys = polys.collect();
        let found = logup::lookups(&params, &columns);
        let node = |e: &Expression<Fr>| fold::fold(e, &challenges);
        let lookup = |l: &logup::Lookup| [node(&l.value), node(&l.tag), node(&l.second)];
        Self {
            lookups: found.iter().map(lookup).collect(),
            dropped: mutants
                .iter()
                .map(|m| found.iter().position(|l| m.lookup().as_ref() == Some(&l.name)))
                .collect(),
            names: found.into_iter().map(|l| l.name).collect(),
            mutants: mutants.to_vec(),
            fixture,
            cs,
            columns,
            fixed,
            drawn: Drawn { alpha, beta, theta },
            v,
            polys,
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
        self.polys.iter().map(|p| p.name.clone()).collect()
    }

    /// Names of all lookups, dropped ones included.
    #[must_use]
    pub fn lookups(&self) -> &[String] {
        &self.names
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
    pub(crate) fn complete(&self, one: PhaseOne, instance: Vec<Fr>) -> Assignment {
        let fixed = self.fixture.fixed();
        let (drawn, v) = (self.drawn, self.v);
        let mut two = phase_two(self.plan(), fixed, &one, &drawn);
        if self.dropped.iter().any(Option::is_some) {
            self.argue(&one, &mut two);
        }
        let three = phase_three(self.plan(), fixed, &one, &two, drawn.alpha, v);
        Assignment {
            one,
            two,
            three,
            instance,
        }
    }

    /// The triple of every lookup in a row; a dropped one looks up the entry of zeros.
    fn entries(&self, one: &[&[Fr]], row: usize) -> Vec<[Fr; 3]> {
        let read = |cell: Cell, _: i32| match cell {
            Cell::Fixed(c) => self.fixed[c][row],
            Cell::Advice(c) => one[c][row],
            Cell::Instance => Fr::ZERO,
        };
        let entry = |(i, lookup): (usize, &[Node; 3])| {
            if self.dropped.contains(&Some(i)) {
                [Fr::ZERO; 3]
            } else {
                lookup.each_ref().map(|node| node.evaluate(&read))
            }
        };
        self.lookups.iter().enumerate().map(entry).collect()
    }

    /// Phase-1 columns by halo2 index.
    fn by_index<'a>(&self, one: &'a PhaseOne) -> Vec<&'a [Fr]> {
        let mut advice: Vec<&[Fr]> = vec![&[]; self.cs.num_advice_columns()];
        for (column, values) in self.phase_one_columns().iter().zip(one) {
            advice[column.index()] = values;
        }
        advice
    }

    /// Counts the multiplicities again; values outside the table are not counted.
    pub(crate) fn count(&self, one: &mut PhaseOne) {
        let fixed = self.fixture.fixed();
        let mut first = HashMap::new();
        for row in (0..self.plan().params.table_rows()).rev() {
            let entry = [
                fixed.table_value[row],
                fixed.table_tag[row],
                fixed.table_second[row],
            ];
            first.insert(entry.map(|e| e.to_repr()), row);
        }
        let rows = self.plan().active_rows();
        let mut counts = vec![0u64; rows + 1];
        let columns = self.by_index(one);
        for row in 0..rows {
            for entry in self.entries(&columns, row) {
                if let Some(at) = first.get(&entry.map(|e| e.to_repr())) {
                    counts[*at] += 1;
                }
            }
        }
        if let Some(column) = one.last_mut() {
            *column = counts.into_iter().map(Fr::from).collect();
        }
    }

    /// Helpers and running sum for the lookups that are left.
    fn argue(&self, one: &PhaseOne, two: &mut PhaseTwo) {
        let fixed = self.fixture.fixed();
        let Drawn { beta, theta, .. } = self.drawn;
        let columns = self.by_index(one);
        let part = |[value, tag, second]: [Fr; 3]| beta + value + theta * (tag + theta * second);
        for row in 0..self.plan().active_rows() {
            let mut parts: Vec<Fr> = self.entries(&columns, row).into_iter().map(part).collect();
            parts.push(part([
                fixed.table_value[row],
                fixed.table_tag[row],
                fixed.table_second[row],
            ]));
            logup::invert_all(&mut parts);
            let table = parts.pop().unwrap_or_default();
            let (in_sum, in_helpers) = parts.split_at(EXPRESSIONS_IN_SUM);
            let mut next = two.sum[row] + in_sum.iter().sum::<Fr>() - one[one.len() - 1][row] * table;
            for (part, column) in in_helpers.chunks(EXPRESSIONS_PER_HELPER).zip(&mut two.helpers) {
                column[row] = part.iter().sum();
                next += column[row];
            }
            two.sum[row + 1] = next;
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
            change: None,
        }
    }

    fn evaluate(&self, poly: &Node, flat: &Flat<'_>, row: usize) -> Fr {
        let n = 1usize << self.plan().k;
        poly.evaluate(&|cell, rotation| {
            let at = (row.cast_signed() + rotation as isize)
                .rem_euclid(n.cast_signed())
                .unsigned_abs();
            let values = match cell {
                Cell::Fixed(c) => &self.fixed[c],
                Cell::Advice(c) => {
                    if let Some((column, changed, value)) = flat.change
                        && (column, changed) == (c, at)
                    {
                        return value;
                    }
                    flat.advice[c]
                }
                Cell::Instance => flat.instance,
            };
            values.get(at).copied().unwrap_or_default()
        })
    }

    /// Every constraint that fails, each with its first row; `rows` limits the rows that are looked at.
    #[must_use]
    pub fn failures(&self, a: &Assignment, rows: Option<&[usize]>) -> Vec<Failure> {
        self.failures_without(a, rows, &self.mutants)
    }

    /// As [`Checker::failures`], with a constraint or the copies left out.
    pub(crate) fn failures_without(
        &self,
        a: &Assignment,
        rows: Option<&[usize]>,
        mutants: &[Mutant],
    ) -> Vec<Failure> {
        let flat = self.flat(a);
        let all: Vec<usize> = (0..=self.plan().active_rows()).collect();
        let rows = rows.unwrap_or(&all);
        let mut found = Vec::new();
        let left_out = |name: &str, row| mutants.iter().any(|m| m.leaves_out(name, &|| self.kinds(row)));
        for poly in &self.polys {
            let fails =
                |r: usize| self.evaluate(&poly.node, &flat, r) != Fr::ZERO && !left_out(&poly.name, r);
            if let Some(row) = rows.iter().copied().find(|r| fails(*r)) {
                found.push(Failure {
                    constraint: poly.name.clone(),
                    row,
                });
            }
        }
        for &((of, from), to) in &self.fixture.fixed().copies {
            let source = match of {
                Evaluated::Value => &a.three.value,
                Evaluated::Accumulator => &a.three.accumulator,
            };
            if source[from] != a.three.x[to] && !left_out("copy", to) {
                found.push(Failure {
                    constraint: "copy".to_owned(),
                    row: to,
                });
                break;
            }
        }
        found.extend(self.kept_ranges(&flat, rows));
        found
    }

    /// Small advice columns in the order of the witness, the multiplicities last.
    fn phase_one_columns(&self) -> Vec<Column<Advice>> {
        self.columns
            .lanes
            .iter()
            .flat_map(|l| l.all().collect::<Vec<_>>())
            .chain([self.columns.multiplicity])
            .collect()
    }
}
