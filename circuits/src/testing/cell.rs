//! One cell set to any field element, and everything after it computed from that.

use super::{Assignment, Checker};
use crate::assign::{phase_three, phase_two};
use halo2_proofs::halo2curves::bn256::Fr;

/// The cell that is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A small cell, by column in the order of the witness.
    Small(usize),
    /// A multiplicity.
    Multiplicity,
    /// A lookup helper, by column.
    Helper(usize),
    /// The overhang.
    Overhang,
}

impl Checker {
    /// All kinds of cells that a prover chooses before v is drawn. (Those after it are a program's results: a forged one is in
    /// [`super::forge`].)
    #[must_use]
    pub fn hints(&self) -> Vec<Hint> {
        let p = &self.plan().params;
        let small = (0..p.num_small_columns() - 1).map(Hint::Small);
        let helpers = (0..p.num_helpers()).map(Hint::Helper);
        let others = [Hint::Multiplicity, Hint::Overhang];
        small.chain(helpers).chain(others).collect()
    }

    /// The assignment with one cell changed by `change` (which gets the old value), and everything that an honest prover
    /// computes after it, the statement included, computed from it.
    #[must_use]
    pub fn with_hint(&self, a: &Assignment, hint: Hint, row: usize, change: impl Fn(Fr) -> Fr) -> Assignment {
        let mut one = a.one.clone();
        let last = one.len() - 1;
        let alpha = self.drawn.alpha;
        let (plan, fixed) = (self.plan(), self.fixture.fixed());
        match hint {
            Hint::Small(column) => {
                one[column][row] = change(one[column][row]);
                let instance = self.statement(&one);
                self.count(&mut one);
                return self.complete(one, instance);
            }
            Hint::Multiplicity => {
                one[last][row] = change(one[last][row]);
                return self.complete(one, a.instance.clone());
            }
            _ => {}
        }
        let mut two = phase_two(plan, fixed, &one, &self.drawn);
        match hint {
            Hint::Helper(column) => {
                let old = two.helpers[column][row];
                two.helpers[column][row] = change(old);
                let by = two.helpers[column][row] - old;
                two.sum[row + 1..].iter_mut().for_each(|sum| *sum += by);
            }
            Hint::Overhang => two.overhang[row] = change(two.overhang[row]),
            _ => {}
        }
        let three = phase_three(plan, fixed, &one, &two, alpha, self.v);
        Assignment {
            one,
            two,
            three,
            instance: a.instance.clone(),
        }
    }

    /// True when both state the same public rows.
    #[must_use]
    pub fn same_statement(a: &Assignment, b: &Assignment) -> bool {
        a.instance == b.instance
    }

    /// A field element's quotient, as a prover would use that trades a division for a multiplication.
    #[must_use]
    pub fn quotient(numerator: Fr, denominator: u64) -> Fr {
        let inverse: Option<Fr> = Fr::from(denominator).invert().into();
        numerator * inverse.unwrap_or_default()
    }
}
