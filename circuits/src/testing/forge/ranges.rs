//! Forgeries that one range stops.

use super::{Adversary, Changes, Site, quotient};
use crate::assign::{Cells, PhaseOne, field};
use crate::quant::DIVISOR_SHIFT;
use crate::testing::mutant::signed;
use crate::testing::{Checker, End, Mutant};

/// A false statement whose only fault is one looked-up value.
struct Forgery {
    changes: Changes,
    label: &'static str,
    /// On which side of its range the value lies.
    end: End,
}

/// `y 3` or `r0 3.1` as group, lane and limb.
fn parse(name: &str) -> Option<(&str, usize, usize)> {
    let (group, rest) = name.split_once(' ')?;
    let (lane, limb) = rest.split_once('.').unwrap_or((rest, "0"));
    Some((group, lane.parse().ok()?, limb.parse().ok()?))
}

impl Adversary<'_> {
    /// Ends of a lookup's range that no other constraint implies. Past the bound of `r1` the gap `d1 - 1 - r1` is negative,
    /// past that of the gap `r1` is. A clamp magnitude past its bound fits no accumulator: the quotient is one integer.
    pub(super) fn needed_ends(&self, name: &str) -> Vec<End> {
        match parse(name) {
            Some(("y", ..)) if self.plan.params.is_paired() => Vec::new(),
            Some(("y" | "r0", ..)) => vec![End::Below, End::Above],
            Some(("a" | "r1" | "gap", ..)) => vec![End::Below],
            _ => Vec::new(),
        }
    }

    /// Whether a lookup is needed in rows of a maximum, where it ranges a difference. That of `r1` is also ranged by the
    /// gap, and `y` is a tap.
    pub(super) fn needed_in_maxima(&self, name: &str) -> bool {
        self.plan.params.max_rows && matches!(parse(name), Some(("a" | "r0", ..)))
    }

    /// The forgery that a lookup, an end of it, or the lookup in some rows, alone stops.
    pub(super) fn forge_lookup(
        &self,
        name: &str,
        end: Option<End>,
        rows: Option<&'static str>,
        mutant: &Mutant,
    ) -> Option<&'static str> {
        let (group, lane, limb) = parse(name)?;
        let without = Checker::of(
            self.checker.fixture.clone(),
            self.seed,
            std::slice::from_ref(mutant),
        );
        let stops = |site: &Site, forgery: Forgery| {
            let mut one = self.columns(&forgery.changes)?;
            self.spread(&mut one, *site, group, limb);
            let accepted = self.complete(&without, one.clone())?;
            if !without.failures(&accepted, None).is_empty() {
                return None;
            }
            let rejected = self.complete(&self.checker, one)?;
            self.only(&rejected, "logup/boundary").then_some(forgery.label)
        };
        let sites = self.sites.iter().filter(|s| s.lane == lane);
        let mut in_rows = sites.filter(|s| self.is_kind(s.row, rows));
        in_rows.find_map(|site| {
            let forgeries = self.range_forgeries(*site, group).into_iter();
            let mut fits = forgeries.filter(|f| end.is_none_or(|end| f.end == end));
            fits.find_map(|forgery| stops(site, forgery))
        })
    }

    /// Writes a value's limbs again so that limb `limb` takes what the lower ones leave, and the higher ones are zero.
    fn spread(&self, one: &mut PhaseOne, site: Site, group: &str, limb: usize) {
        let p = &self.plan.params;
        let (q, na, bits) = (p.limb_split as usize, p.clamp.num_cells() as usize, p.limb_bits());
        let first = site.lane * p.cells_per_lane();
        let Some(cells) = self.cells(one, site) else {
            return;
        };
        let d1 = if site.is_max {
            1 << DIVISOR_SHIFT
        } else {
            site.d >> DIVISOR_SHIFT
        };
        // The gap's limb 0 is an expression of the others.
        let (at, n, skip, value) = match group {
            "a" => (1, na, 0, cells.a),
            "r1" => (1 + na, q, 0, cells.r1),
            "r0" => (1 + na + q, q, 0, cells.r0),
            "gap" => (1 + na + 2 * q, q, 1, d1 - 1 - cells.r1),
            _ => return,
        };
        for i in skip..n {
            let rest = value >> (bits as usize * i);
            let digit = match i.cmp(&limb) {
                std::cmp::Ordering::Less => rest & ((1 << bits) - 1),
                std::cmp::Ordering::Equal => rest,
                std::cmp::Ordering::Greater => 0,
            };
            one[first + at + i - skip][site.row] = field(digit);
        }
    }

    /// The cells that stand in the columns, as integers.
    fn cells(&self, one: &PhaseOne, site: Site) -> Option<Cells> {
        let p = &self.plan.params;
        let (q, na) = (p.limb_split as usize, p.clamp.num_cells() as usize);
        let (first, bits) = (site.lane * p.cells_per_lane(), p.limb_bits() as usize);
        let limb = |at: usize, i: usize| signed(one[first + at + i][site.row]).map(|v| v << (bits * i));
        let sum = |at: usize, n: usize| -> Option<i64> { (0..n).map(|i| limb(at, i)).sum() };
        Some(Cells {
            y: sum(0, 1)?,
            a: sum(1, na)?,
            r1: sum(1 + na, q)?,
            r0: sum(1 + na + q, q)?,
        })
    }

    fn range_forgeries(&self, site: Site, group: &str) -> Vec<Forgery> {
        match (site.is_input, site.is_max) {
            (true, _) => self.carried(site, group),
            (_, true) => lowered_maximum(site, group).into_iter().collect(),
            _ => self.requantized(site, group),
        }
    }

    /// Two inputs of a row that pack to the same public value.
    fn carried(&self, site: Site, group: &str) -> Vec<Forgery> {
        let beside = |s: &&Site| (s.row, s.lane) == (site.row, site.lane + 1) && s.is_input;
        let next = self.sites.iter().find(beside);
        let Some(next) = next.filter(|_| group == "y") else {
            return Vec::new();
        };
        let largest = i64::from(self.plan.lowered.homes[site.home].range);
        let moved = |s: &Site, by: i64| {
            let y = s.cells.y + by;
            (s.home, s.position, Cells { y, ..s.cells })
        };
        let carry = |sign: i64, end, label| Forgery {
            changes: vec![moved(&site, 256 * sign), moved(next, -sign)],
            label,
            end,
        };
        let mut found = Vec::new();
        if next.cells.y > 0 {
            found.push(carry(1, End::Above, "an input carried into the next lane"));
        }
        if next.cells.y < largest {
            found.push(carry(-1, End::Below, "an input borrowed from the next lane"));
        }
        found
    }

    fn requantized(&self, site: Site, group: &str) -> Vec<Forgery> {
        let range = i64::from(self.plan.lowered.homes[site.home].range);
        let low = (1i64 << DIVISOR_SHIFT) - 1;
        let (c, d1, d) = (site.cells, site.d >> DIVISOR_SHIFT, site.d);
        let t = quotient(c, range);
        let inside = c.a == 0 && c.y > 0 && c.y + 1 < range;
        let (up, down) = (c.y + 1, c.y - 1);
        let paired = group == "y" && self.plan.params.is_paired();
        let unclamped = |end, label| (end, Cells { y: t, a: 0, ..c }, label);
        let mut found = Vec::new();
        let (below, above) = (End::Below, End::Above);
        match group {
            "y" if c.a != 0 && t < 0 && !site.is_public => {
                found.push(unclamped(below, "a value below its clamp"));
            }
            "y" if c.a != 0 && t > range && !site.is_public => {
                found.push(unclamped(above, "a value past its clamp"));
            }
            "r0" if inside => {
                let r0 = |r0, y| Cells { r0, y, ..c };
                found.push((below, r0(c.r0 - d, up), "quotient + 1, r0 - d"));
                found.push((above, r0(c.r0 + d, down), "quotient - 1, r0 + d"));
            }
            "r1" if inside && d1 - 1 - (c.r1 - d1) <= low => {
                let cells = Cells {
                    r1: c.r1 - d1,
                    y: up,
                    ..c
                };
                found.push((below, cells, "quotient + 1, r1 - d1"));
            }
            "gap" if inside && c.r1 + d1 <= low => {
                let cells = Cells {
                    r1: c.r1 + d1,
                    y: down,
                    ..c
                };
                found.push((below, cells, "quotient - 1, r1 + d1"));
            }
            _ => {}
        }
        if (group == "a" || paired) && t < range && c.y != range {
            let cells = Cells {
                y: range,
                a: t - range,
                ..c
            };
            found.push((below, cells, "a negative clamp magnitude"));
        }
        let forgery = |(end, cells, label)| Forgery {
            changes: vec![(site.home, site.position, cells)],
            label,
            end,
        };
        found.into_iter().map(forgery).collect()
    }
}

/// The second largest tap instead of the largest, where the named cell holds the difference to the largest.
fn lowered_maximum(site: Site, group: &str) -> Option<Forgery> {
    let Cells { y, a, r1, r0 } = site.cells;
    let others = match group {
        "a" if a == 0 => [r1, r0],
        "r0" if r0 == 0 => [a, r1],
        _ => return None,
    };
    let by = others.into_iter().min().filter(|by| *by > 0)?;
    let cells = Cells {
        y: y - by,
        a: a - by,
        r1: r1 - by,
        r0: r0 - by,
    };
    Some(Forgery {
        changes: vec![(site.home, site.position, cells)],
        label: "the second largest tap as maximum",
        end: End::Below,
    })
}
