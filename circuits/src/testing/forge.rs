//! An adversary: for every part of the circuit a way to claim something false that only this part stops.
//!
//! Cells of the first phase are changed through the fault hook and everything downstream is computed honestly from them;
//! cells of the later phases are chosen with all challenges known. A forgery counts when the circuit rejects it at the
//! named constraint and at no other, and a circuit without that constraint accepts it.

mod gates;
mod overhang;
mod ranges;

pub use overhang::Refusal;

use super::{Assignment, Checker, Failure, Mutant};
use crate::assign::{Cells, Fault, PhaseOne, Witness, WitnessError, phase_one};
use crate::chips::glue::g_step;
use crate::graph::Graph;
use crate::plan::Plan;
use crate::tensor::Tensor;
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

/// A value on the tape.
#[derive(Debug, Clone, Copy)]
struct Site {
    row: usize,
    lane: usize,
    home: usize,
    position: usize,
    /// Divisor of the requantization.
    d: i64,
    is_input: bool,
    is_max: bool,
    is_public: bool,
    cells: Cells,
}

/// Changed values: home, position, new cells.
type Changes = Vec<(usize, usize, Cells)>;

struct Set<'a>(&'a Changes);

impl Fault for Set<'_> {
    fn touch(&mut self, home: usize, position: usize, _: i64, cells: &mut Cells) {
        if let Some(change) = self.0.iter().find(|c| (c.0, c.1) == (home, position)) {
            *cells = change.2;
        }
    }
}

/// One network with one input, its honest assignment, and everything that a cheat needs.
pub struct Adversary<'a> {
    graph: &'a Graph,
    plan: Plan,
    seed: u64,
    inputs: Vec<Tensor>,
    checker: Checker,
    sites: Vec<Site>,
    honest: Assignment,
}

impl<'a> Adversary<'a> {
    /// Assigns honestly.
    ///
    /// # Errors
    /// [`WitnessError`] for inputs that are not the graph's.
    pub fn new(graph: &'a Graph, plan: Plan, inputs: Vec<Tensor>, seed: u64) -> Result<Self, WitnessError> {
        let checker = Checker::new(graph, plan.clone(), seed, &[]);
        let witness = Witness::new(graph, &plan, &inputs)?;
        let one = phase_one(&plan, &witness, checker.fixture.fixed());
        let instance = checker.statement(&one);
        let honest = checker.complete(one, instance);
        let sites = sites(graph, &plan, &checker, &witness);
        Ok(Self {
            graph,
            plan,
            seed,
            inputs,
            checker,
            sites,
            honest,
        })
    }

    /// The checker with all constraints.
    #[must_use]
    pub fn checker(&self) -> &Checker {
        &self.checker
    }

    /// The honest assignment.
    #[must_use]
    pub fn honest(&self) -> &Assignment {
        &self.honest
    }

    /// The forgery that this part of the circuit alone stops, in words: rejected by the circuit, at the named constraint
    /// (for a lookup: at the end of the lookup argument), and accepted by the circuit without it.
    #[must_use]
    pub fn forge(&self, mutant: &Mutant) -> Option<&'static str> {
        match mutant {
            Mutant::Constraint { name, rows } => self.forge_constraint(name, *rows, mutant),
            Mutant::Lookup { name, end, rows } => self.forge_lookup(name, *end, *rows, mutant),
        }
    }

    /// Every part that can be left out: gate constraints, copies, lookups; then kinds of rows, then ends of ranges.
    #[must_use]
    pub fn mutants(&self) -> Vec<Mutant> {
        let whole = |name: String| Mutant::Constraint { name, rows: None };
        let constraints = self.checker.constraints().into_iter().chain(["copy".to_owned()]);
        let mut all: Vec<Mutant> = constraints.map(whole).collect();
        let lookup = |name: &String, end, rows| Mutant::Lookup {
            name: name.clone(),
            end,
            rows,
        };
        let names = self.checker.lookups();
        all.extend(names.iter().map(|name| lookup(name, None, None)));
        all.extend(self.row_mutants());
        for name in names {
            let ends = self.needed_ends(name).into_iter();
            all.extend(ends.map(|end| lookup(name, Some(end), None)));
        }
        let in_maxima = names.iter().filter(|name| self.needed_in_maxima(name));
        all.extend(in_maxima.map(|name| lookup(name, None, Some("maximum"))));
        all
    }

    /// Phase-1 columns after the changes, with everything downstream computed from them.
    fn columns(&self, changes: &Changes) -> Option<PhaseOne> {
        let witness = Witness::with_fault(self.graph, &self.plan, &self.inputs, &mut Set(changes)).ok()?;
        Some(phase_one(&self.plan, &witness, self.checker.fixture.fixed()))
    }

    /// A completed assignment for a checker when the columns state something false.
    fn complete(&self, checker: &Checker, mut one: PhaseOne) -> Option<Assignment> {
        let instance = checker.statement(&one);
        if instance == self.honest.instance {
            return None;
        }
        checker.count(&mut one);
        Some(checker.complete(one, instance))
    }

    /// As [`Self::complete`], from changed values, for the whole circuit.
    fn changed(&self, changes: &Changes) -> Option<Assignment> {
        self.complete(&self.checker, self.columns(changes)?)
    }

    /// True when the assignment fails at this constraint alone.
    fn only(&self, a: &Assignment, name: &str) -> bool {
        let failures: Vec<Failure> = self.checker.failures(a, None);
        failures.len() == 1 && failures[0].constraint == name
    }

    /// True when the circuit rejects at the named constraint alone and accepts without the mutant's part of it.
    fn killed(&self, a: &Assignment, name: &str, mutant: &Mutant) -> bool {
        let without = std::slice::from_ref(mutant);
        self.only(a, name) && self.checker.failures_without(a, None, without).is_empty()
    }
}

/// The unclamped stored quotient.
fn quotient(c: Cells, range: i64) -> i64 {
    match c.y {
        0 => -c.a,
        y if y == range => y + c.a,
        y => y,
    }
}

/// Outputs first, then the rest of the tape.
fn sites(graph: &Graph, plan: &Plan, checker: &Checker, witness: &Witness) -> Vec<Site> {
    let max = &checker.fixture.fixed().max;
    let affines = plan.affines(graph);
    let mut found = Vec::new();
    for (row, tape) in plan.rows.iter().enumerate() {
        let d = affines[row].map_or(1, |a| a.divisor());
        for lane in 0..tape.valid {
            let position = plan.position(tape, lane);
            found.push(Site {
                row,
                lane,
                home: tape.home,
                position,
                d,
                is_input: tape.home < graph.inputs.len(),
                is_max: max[row] == Fr::ONE,
                is_public: row < plan.public_rows,
                cells: witness.homes[tape.home][position],
            });
        }
    }
    found.sort_by_key(|s| (s.is_input, !s.is_public));
    found
}

impl Checker {
    /// The public rows that the phase-1 columns state.
    pub(crate) fn statement(&self, one: &PhaseOne) -> Vec<Fr> {
        let plan = self.plan();
        let width = plan.params.cells_per_lane();
        let pack = |(r, row): (usize, &crate::plan::TapeRow)| {
            (0..row.valid)
                .rev()
                .fold(Fr::ZERO, |sum, l| sum * Fr::from(256) + one[l * width][r])
        };
        let rows: Vec<Fr> = plan
            .rows
            .iter()
            .enumerate()
            .take(plan.public_rows)
            .map(pack)
            .collect();
        let stated = plan.params.folded.map_or(rows.len(), |rows| rows as usize);
        let shift = Fr::from(256).pow_vartime([u64::from(plan.params.lanes)]);
        let fold = |r: usize| {
            let chain = rows[r..].iter().step_by(stated).rev();
            chain.fold(Fr::ZERO, |sum, row| sum * shift + row)
        };
        (0..stated).map(fold).collect()
    }

    /// The assignment of an input, with the statement that its public rows make.
    ///
    /// # Errors
    /// [`WitnessError`] for inputs that are not the graph's.
    pub fn state(
        &self,
        graph: &Graph,
        inputs: &[Tensor],
        fault: &mut dyn Fault,
    ) -> Result<(Witness, Assignment), WitnessError> {
        let witness = Witness::with_fault(graph, self.plan(), inputs, fault)?;
        let one = phase_one(self.plan(), &witness, self.fixture.fixed());
        let instance = self.statement(&one);
        let assignment = self.complete(one, instance);
        Ok((witness, assignment))
    }

    /// False when a constraint fails that an honest completion leaves open: every gate but those over the whole
    /// lookup argument is looked at in the rows that carry checks, boundaries, public values and clamps.
    #[must_use]
    pub fn may_hold(&self, a: &Assignment) -> bool {
        let rows = self.plan().active_rows();
        let fixed = self.fixture.fixed();
        let check = Fr::from(g_step::CHECK);
        a.two.sum[rows] == Fr::ZERO && (0..rows).all(|r| fixed.g_step[r] != check || a.three.g[r] == Fr::ZERO)
    }
}
