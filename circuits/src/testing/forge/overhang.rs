//! Overhang cells where a window lies.

use super::{Adversary, Site};
use crate::assign::Cells;
use crate::plan::{Evaluated, GStep};
use crate::testing::{Assignment, Checker, Failure};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use std::sync::Arc;

/// What two circuits say of one forgery.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Of the circuit as it is planned.
    pub planned: Vec<Failure>,
    /// Of a circuit that reads the overhang at that exponent.
    pub open: Vec<Failure>,
}

impl Adversary<'_> {
    /// A wrong quotient in inference `image` of the batch, hidden by the one overhang cell, known before v is drawn, that its
    /// exponent in the window would need.
    #[must_use]
    pub fn overhang_in_window(&self, image: usize) -> Option<Refusal> {
        let of_image = |site: &&Site| self.plan.rows[site.row].image == image;
        self.inside().filter(of_image).find_map(|site| {
            let (row, power) = self.window_row(site)?;
            let cells = Cells {
                y: site.cells.y + 1,
                ..site.cells
            };
            let forged = self.changed(&vec![(site.home, site.position, cells)])?;
            // The accumulator goes up by the divisor.
            let divisor = Fr::from(u64::try_from(site.d).ok()?);
            let missing = self.checker.drawn.alpha.pow_vartime([power as u64]) * divisor;
            let planned = self.with_overhang(&self.checker, &forged, row, missing);
            let mut plan = self.plan.clone();
            plan.program.rows[row].g_step = GStep::ShiftOverhang;
            let fixture = crate::circuit::Fixture::new(self.graph, Arc::new(plan));
            let open = Checker::of(fixture, self.seed, &[]);
            let accepted = self.with_overhang(&open, &forged, row, missing);
            Some(Refusal {
                planned: self.checker.failures(&planned, None),
                open: open.failures(&accepted, None),
            })
        })
    }

    /// Row of the program at which the site's exponent in its operator's window is passed, and its power of alpha.
    fn window_row(&self, site: &Site) -> Option<(usize, usize)> {
        let plan = &self.plan;
        let number = plan.lowered.steps.iter().position(|s| s.output == site.home)?;
        let identity = &plan.identities[number];
        let tape = &plan.rows[site.row];
        let own = |run: &crate::plan::PowerRun| {
            let of_site = |t: &(usize, crate::plan::Source, i64)| {
                (t.1.of, t.1.home, t.1.plane) == (Evaluated::Accumulator, tape.home, tape.plane)
            };
            let power = run.terms.iter().find(|t| of_site(t))?.0;
            Some((run.exponent, power))
        };
        let (exponent, power) = identity.powers.iter().find_map(own)?;
        let (plane, at) = (&plan.planes[tape.home][tape.plane], plan.point());
        let value = tape.offset + site.lane;
        let scale = plan.lowered.homes[tape.home].accumulator_scale;
        let exponent = exponent
            + at.offsets().nth(tape.image)?
            + plane.exponent(value / plane.width, value % plane.width, at, scale);
        let rows = plan.program.rows.iter().enumerate().skip(plan.glue_begins());
        let starts = rows.clone().filter(|(_, row)| row.g_step == GStep::Reset);
        let start = starts.map(|(r, _)| r).nth(number)?;
        let shifts =
            rows.filter(|(r, row)| *r > start && matches!(row.g_step, GStep::Shift | GStep::ShiftOverhang));
        let row = shifts
            .map(|(r, _)| r)
            .nth(identity.degree.checked_sub(exponent)?)?;
        Some((row, power))
    }

    /// The assignment with one overhang cell more, and the glue computed from it by the checker's circuit.
    fn with_overhang(&self, checker: &Checker, a: &Assignment, row: usize, by: Fr) -> Assignment {
        let (fixed, plan) = (checker.fixture.fixed(), checker.plan());
        let mut two = a.two.clone();
        two.overhang[row] += by;
        let (alpha, v) = (checker.drawn.alpha, checker.v);
        let three = crate::assign::phase_three(plan, fixed, &a.one, &two, alpha, v);
        Assignment {
            two,
            three,
            ..a.clone()
        }
    }
}
