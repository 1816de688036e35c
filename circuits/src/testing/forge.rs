//! An adversary: for every constraint a way to claim a wrong output that only this constraint stops.
//!
//! Cells of the first phase are changed through the fault hook, everything downstream is computed honestly from them,
//! and cells of the later phases are chosen with all challenges known.

use super::{Assignment, Checker, Failure};
use crate::assign::{Cells, Fault, PhaseOne, Witness, WitnessError, phase_one, to_integer};
use crate::chips::glue::{g_step, k_step};
use crate::graph::Graph;
use crate::params::Clamp;
use crate::plan::{Evaluated, Plan};
use crate::quant::DIVISOR_SHIFT;
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

/// A forged lookup: the change, and the limb that alone leaves its range.
struct Forgery {
    changes: Changes,
    /// Site, group of limbs, limb.
    spread: Option<(Site, &'static str, usize)>,
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

    /// Phase-1 columns after the changes, with everything downstream computed from them.
    fn columns(&self, forgery: &Forgery) -> Option<PhaseOne> {
        let witness =
            Witness::with_fault(self.graph, &self.plan, &self.inputs, &mut Set(&forgery.changes)).ok()?;
        let mut one = phase_one(&self.plan, &witness, self.checker.fixture.fixed());
        if let Some((site, group, limb)) = forgery.spread {
            self.spread(&mut one, site, group, limb);
        }
        Some(one)
    }

    /// Lets one limb carry the whole value.
    fn spread(&self, one: &mut PhaseOne, site: Site, group: &str, limb: usize) {
        let p = &self.plan.params;
        let (q, na, bits) = (p.limb_split as usize, p.clamp.num_cells() as usize, p.limb_bits());
        let first = site.lane * p.cells_per_lane();
        let unit = |i: usize| Fr::from(1u64 << (bits as usize * i));
        let of = |one: &PhaseOne, at: usize, n: usize| -> Fr {
            (0..n).map(|i| one[first + at + i][site.row] * unit(i)).sum()
        };
        let share = |value: Fr| value * Option::<Fr>::from(unit(limb).invert()).unwrap_or_default();
        if group == "gap" {
            let d1 = self.checker.fixture.fixed().d1_minus_1[site.row];
            let gap = d1 - of(one, 1 + na, q);
            for i in 1..q {
                let value = if i == limb { share(gap) } else { Fr::ZERO };
                one[first + na + 2 * q + i][site.row] = value;
            }
            return;
        }
        let (at, n) = match group {
            "a" => (1, na),
            "r1" => (1 + na, q),
            _ => (1 + na + q, q),
        };
        let value = share(of(one, at, n));
        for i in 0..n {
            one[first + at + i][site.row] = if i == limb { value } else { Fr::ZERO };
        }
    }

    /// A completed assignment for a checker when the forgery states something false.
    fn complete(&self, checker: &Checker, forgery: &Forgery) -> Option<Assignment> {
        let mut one = self.columns(forgery)?;
        let instance = checker.statement(&one);
        if instance == self.honest.instance {
            return None;
        }
        checker.count(&mut one);
        Some(checker.complete(one, instance))
    }

    /// True when the assignment fails at this constraint alone.
    fn only(&self, a: &Assignment, name: &str) -> bool {
        let failures: Vec<Failure> = self.checker.failures(a, None);
        failures.len() == 1 && failures[0].constraint == name
    }

    /// The forgery that a lookup alone stops: rejected with it by the boundary of the sum, accepted without it.
    #[must_use]
    pub fn kill_lookup(&self, name: &str) -> Option<&'static str> {
        let (group, rest) = name.split_once(' ')?;
        let (lane, limb) = rest.split_once('.').unwrap_or((rest, "0"));
        let (lane, limb): (usize, usize) = (lane.parse().ok()?, limb.parse().ok()?);
        let without = Checker::new(self.graph, self.plan.clone(), self.seed, &[name.to_owned()]);
        self.sites.iter().filter(|s| s.lane == lane).find_map(|site| {
            let (forgery, label) = self.range_forgery(*site, group, limb)?;
            let accepted = self.complete(&without, &forgery)?;
            if !without.failures(&accepted, None).is_empty() {
                return None;
            }
            let rejected = self.complete(&self.checker, &forgery)?;
            self.only(&rejected, "logup/boundary").then_some(label)
        })
    }

    #[allow(clippy::too_many_lines, reason = "one case per kind of range, side by side")]
    fn range_forgery(&self, site: Site, group: &str, limb: usize) -> Option<(Forgery, &'static str)> {
        let range = i64::from(self.plan.lowered.homes[site.home].range);
        let low = (1i64 << DIVISOR_SHIFT) - 1;
        let c = site.cells;
        let t = quotient(c, range);
        let d1 = site.d >> DIVISOR_SHIFT;
        if group == "y" && site.is_input {
            // (y + 256, next - 1) packs to the same public row as (y, next).
            let next = self
                .sites
                .iter()
                .find(|s| (s.row, s.lane) == (site.row, site.lane + 1))?;
            let ok = next.cells.y >= 1 && next.is_input;
            let moved = |s: &Site, by: i64| {
                (
                    s.home,
                    s.position,
                    Cells {
                        y: s.cells.y + by,
                        ..s.cells
                    },
                )
            };
            let changes = vec![moved(&site, 256), moved(next, -1)];
            return ok.then_some((
                Forgery {
                    changes,
                    spread: None,
                },
                "input carried into the next lane",
            ));
        }
        if site.is_input || site.is_max {
            return None;
        }
        let inside = c.a == 0 && c.y > 0 && c.y + 1 < range;
        let (cells, label) = match group {
            "y" if c.a != 0 && !site.is_public => (Cells { y: t, a: 0, ..c }, "value past its clamp"),
            "a" if t < range && c.y != range => (
                Cells {
                    y: range,
                    a: t - range,
                    ..c
                },
                "negative clamp magnitude",
            ),
            "r0" if inside => (
                Cells {
                    y: c.y + 1,
                    r0: c.r0 - site.d,
                    ..c
                },
                "quotient + 1, r0 - d",
            ),
            "r1" if inside && d1 - 1 - (c.r1 - d1) <= low => (
                Cells {
                    y: c.y + 1,
                    r1: c.r1 - d1,
                    ..c
                },
                "quotient + 1, r1 - d1",
            ),
            "gap" if inside && c.r1 + d1 <= low => (
                Cells {
                    y: c.y - 1,
                    r1: c.r1 + d1,
                    ..c
                },
                "quotient - 1, r1 + d1",
            ),
            _ => return None,
        };
        let spread = match group {
            "a" => Some((site, "a", limb)),
            "r0" => Some((site, "r0", limb)),
            "r1" => Some((site, "r1", limb)),
            "gap" => Some((site, "gap", limb)),
            _ => None,
        };
        let changes = vec![(site.home, site.position, cells)];
        Some((Forgery { changes, spread }, label))
    }

    /// The forgery that a gate constraint or the copies alone stop.
    #[must_use]
    pub fn kill_gate(&self, name: &str) -> Option<&'static str> {
        let (gate, constraint) = name.split_once('/').unwrap_or((name, ""));
        let number = || constraint.split_once(' ').and_then(|c| c.1.parse::<usize>().ok());
        match gate {
            "tape" => {
                let mut a = self.honest.clone();
                *a.instance.last_mut()? += Fr::ONE;
                self.only(&a, name).then_some("another output in the statement")
            }
            "requantize" => self.kill_clamp(name, number()?),
            "max" => self.kill_max(name, number()?),
            "logup" => self.kill_logup(name),
            _ => self.kill_evaluation(name),
        }
    }

    fn kill_clamp(&self, name: &str, lane: usize) -> Option<&'static str> {
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
                let forgery = Forgery {
                    changes: vec![change],
                    spread: None,
                };
                let a = self.complete(&self.checker, &forgery)?;
                self.only(&a, name)
                    .then_some("another value with a fitting clamp")
            })
    }

    fn kill_max(&self, name: &str, lane: usize) -> Option<&'static str> {
        self.sites
            .iter()
            .filter(|s| s.lane == lane && s.is_max)
            .find_map(|s| {
                let Cells { y, a, r1, r0 } = s.cells;
                let above = Cells {
                    y: y + 1,
                    a: a + 1,
                    r1: r1 + 1,
                    r0: r0 + 1,
                };
                let forgery = Forgery {
                    changes: vec![(s.home, s.position, above)],
                    spread: None,
                };
                let a = self.complete(&self.checker, &forgery)?;
                self.only(&a, name).then_some("a maximum above all taps")
            })
    }

    fn kill_logup(&self, name: &str) -> Option<&'static str> {
        self.sites.iter().find_map(|s| {
            let (forgery, _) = self.range_forgery(*s, "r0", 0)?;
            let mut a = self.complete(&self.checker, &forgery)?;
            let rows = self.plan.active_rows();
            let open = a.two.sum[rows];
            let label = if let Some(i) = name.strip_prefix("logup/helper ") {
                a.two.helpers[i.parse::<usize>().ok()?][0] -= open;
                a.two.sum[1..].iter_mut().for_each(|sum| *sum -= open);
                "remainder out of range, its fraction taken off a helper"
            } else if name == "logup/running sum" {
                a.two.sum[rows] = Fr::ZERO;
                "remainder out of range, the sum jumps to zero"
            } else {
                "remainder out of range, the sum stays open"
            };
            self.only(&a, name).then_some(label)
        })
    }

    /// Outputs that are off by one in their quotient, and a later-phase cell that hides it.
    fn kill_evaluation(&self, name: &str) -> Option<&'static str> {
        let candidates = self
            .sites
            .iter()
            .filter(|s| !s.is_input && !s.is_max && s.cells.a == 0);
        candidates.take(200).find_map(|s| {
            let range = i64::from(self.plan.lowered.homes[s.home].range);
            if s.cells.y + 1 >= range || s.cells.y == 0 {
                return None;
            }
            let cells = Cells {
                y: s.cells.y + 1,
                ..s.cells
            };
            let forgery = Forgery {
                changes: vec![(s.home, s.position, cells)],
                spread: None,
            };
            let a = self.complete(&self.checker, &forgery)?;
            self.hide(a, name)
        })
    }

    fn hide(&self, a: Assignment, name: &str) -> Option<&'static str> {
        let fixed = self.checker.fixture.fixed();
        let is = |column: &[Fr], r: usize, op: u64| column[r] == Fr::from(op);
        let end = (0..a.three.g.len())
            .find(|r| is(&fixed.g_step, *r, g_step::CHECK) && a.three.g[*r] != Fr::ZERO)?;
        let start = (0..end).rev().find(|r| is(&fixed.g_step, *r, g_step::RESET))?;
        let sources = || fixed.copies.iter().filter(|c| (start..=end).contains(&c.1));
        let attempts: Vec<(Assignment, &'static str)> = match name {
            "glue/check" => vec![(a, "an identity that does not hold")],
            "glue/identity" => {
                let mut a = a;
                a.three.g[end] = Fr::ZERO;
                vec![(a, "a sum that jumps to zero")]
            }
            "glue/weights" => {
                let rows = (start..=end).filter(|r| fixed.coef[*r] != Fr::ZERO);
                let solved = rows
                    .take(20)
                    .filter_map(|r| self.solve(&a, end, &[(r, true)], None));
                solved.map(|a| (a, "another weight")).collect()
            }
            "copy" => {
                let solved = sources()
                    .take(20)
                    .filter_map(|c| self.solve(&a, end, &[(c.1, false)], None));
                solved
                    .map(|a| (a, "another evaluation than the plane's"))
                    .collect()
            }
            "horner/value" | "horner/accumulator" => {
                let of = if name == "horner/value" {
                    Evaluated::Value
                } else {
                    Evaluated::Accumulator
                };
                let solved = sources().filter(|c| c.0.0 == of).take(40).filter_map(|c| {
                    let all = fixed.copies.iter().filter(|o| o.0 == c.0);
                    let rows: Vec<(usize, bool)> = all.map(|o| (o.1, false)).collect();
                    self.solve(&a, end, &rows, Some(c.0))
                });
                solved.map(|a| (a, "another evaluation of the tensor")).collect()
            }
            _ => Vec::new(),
        };
        attempts
            .iter()
            .find(|(a, _)| self.only(a, name))
            .map(|(_, label)| *label)
    }

    /// Changes cells of K (`true`) or X, all by the amount that makes the check at `end` hold, and the evaluation that
    /// the cells of X copy.
    fn solve(
        &self,
        a: &Assignment,
        end: usize,
        cells: &[(usize, bool)],
        evaluation: Option<(Evaluated, usize)>,
    ) -> Option<Assignment> {
        let by = |delta: Fr| {
            let mut changed = a.clone();
            if let Some((of, row)) = evaluation {
                let column = match of {
                    Evaluated::Value => &mut changed.three.value,
                    Evaluated::Accumulator => &mut changed.three.accumulator,
                };
                column[row] += delta;
            }
            let k: Vec<usize> = cells.iter().filter(|c| c.1).map(|c| c.0).collect();
            cells
                .iter()
                .filter(|c| !c.1)
                .for_each(|c| changed.three.x[c.0] += delta);
            self.glue(&mut changed, &k, delta);
            changed
        };
        let open = a.three.g[end];
        let slope: Option<Fr> = (by(Fr::ONE).three.g[end] - open).invert().into();
        Some(by(-open * slope?))
    }

    /// Recomputes K and G from X, with `delta` added to K in some rows.
    fn glue(&self, a: &mut Assignment, k_rows: &[usize], delta: Fr) {
        let fixed = self.checker.fixture.fixed();
        let (alpha, v) = (self.checker.drawn.alpha, self.checker.v);
        let chunk = alpha.pow_vartime([u64::from(self.plan.params.weight_lanes)]);
        let (mut k, mut g) = (Fr::ZERO, Fr::ZERO);
        for r in 0..self.plan.active_rows() {
            let op = |column: &[Fr]| to_integer(&column[r]).unwrap_or(0);
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
            k = factor * k + weights;
            if k_rows.contains(&r) {
                k += delta;
            }
            let before = match op(&fixed.g_step) {
                g_step::CARRY | g_step::CHECK => g,
                g_step::SHIFT => v * g,
                g_step::SHIFT_OVERHANG => v * g + a.two.overhang[r],
                _ => Fr::ZERO,
            };
            g = before + fixed.coef[r] * k * a.three.x[r];
            (a.three.k[r], a.three.g[r]) = (k, g);
        }
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
    let mut found = Vec::new();
    for (row, tape) in plan.rows.iter().enumerate() {
        let plane = &plan.planes[tape.home][tape.plane];
        let d = plan
            .affine(graph, tape.home, tape.plane)
            .map_or(1, |a| a.divisor());
        for lane in 0..tape.valid {
            let position = plane.index[tape.offset + lane] as usize;
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
