//! The polynomial identity of each operator.
//!
//! For output planes `o` with accumulators `ACC_o`, input planes `c` and kernels `W_{o,c}` the identity is
//!
//! ```text
//! v^shift * sum_o alpha^o ACC_o(v)  +  Z(v)  =  sum_c [ sum_o alpha^o W_{o,c}(v) ] X_c(v)
//! ```
//!
//! All coefficients of `v` inside the output window are thereby forced. `Z` holds the coefficients outside it, summed over
//! the output planes with the powers of alpha: it is committed after alpha and before v is drawn, so it costs one cell
//! per exponent, not per channel. Exponents of window and overhang are disjoint; [`Builder::finish`] checks it.

use super::PlanError;
use super::layout::Plane;
use std::collections::BTreeMap;

/// Which running evaluation of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evaluated {
    /// `sum (y - z) v^e`.
    Value,
    /// `sum ACC v^e`: what the requantize or max chip ties to the cells of the row.
    Accumulator,
}

/// The evaluation of one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    pub home: usize,
    pub plane: usize,
    pub of: Evaluated,
}

/// `v^exponent * (sum_i alpha^power_i coef_i) * source`.
#[derive(Debug, Clone)]
pub(crate) struct DenseTerm {
    pub exponent: usize,
    pub source: Source,
    /// `(power of alpha, coefficient)`.
    pub coefs: Vec<(usize, i64)>,
}

/// `v^exponent * sum_i alpha^power_i coef_i source_i`, powers strictly ascending.
#[derive(Debug, Clone)]
pub(crate) struct PowerRun {
    pub exponent: usize,
    pub terms: Vec<(usize, Source, i64)>,
}

/// `(sum_j coef_j v^exponent_j) * sum_i alpha^power_i source_i`, powers strictly ascending.
#[derive(Debug, Clone)]
pub(crate) struct FactoredRun {
    pub kernel: Vec<(usize, i64)>,
    pub terms: Vec<(usize, Source)>,
}

/// What must sum to zero at the random point: all terms plus `sum_e Z_e v^e` over the overhang exponents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    pub dense: Vec<DenseTerm>,
    pub powers: Vec<PowerRun>,
    pub factored: Vec<FactoredRun>,
    /// Exponents outside the output window, ascending.
    pub overhang: Vec<usize>,
    /// Largest exponent of v in a term or in the overhang.
    pub degree: usize,
    /// Largest power of alpha.
    pub max_power: usize,
}

/// A kernel tap: input position = output position + (di, dj), in planes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tap {
    pub di: isize,
    pub dj: isize,
}

/// Sizes that fix a plane's exponents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Size {
    pub height: usize,
    pub width: usize,
    pub chunks: usize,
}

impl Size {
    pub fn of(plane: &Plane, lanes: usize) -> Self {
        Self {
            height: plane.height,
            width: plane.width,
            chunks: plane.chunks(lanes),
        }
    }

    fn exponent(self, i: usize, j: usize, at: Point) -> usize {
        at.stride * (self.height - 1 - i) + at.lanes * self.chunks - 1 - j
    }
}

/// What exponents depend on: lanes and the circuit's row stride.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub lanes: usize,
    pub stride: usize,
}

/// Why an identity cannot be closed at this row stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Collision;

/// Collects which exponents an operator reaches.
#[derive(Debug)]
pub(crate) struct Builder {
    at: Point,
    shift: isize,
    window: Vec<bool>,
    reached: Vec<bool>,
}

impl Builder {
    /// `pairs`: every combination of output size, input size and tap that occurs.
    pub fn new(at: Point, pairs: &[(Size, Size, Tap)]) -> Self {
        let lowest = pairs
            .iter()
            .map(|(o, i, t)| relative(at, *o, *i, *t))
            .min()
            .unwrap_or(0);
        Self {
            at,
            shift: (-lowest).max(0),
            window: Vec::new(),
            reached: Vec::new(),
        }
    }

    /// Power of v that multiplies the output's evaluation.
    pub fn shift(&self) -> usize {
        self.shift.unsigned_abs()
    }

    /// Exponent of a tap.
    pub fn exponent(&self, output: Size, input: Size, tap: Tap) -> usize {
        (relative(self.at, output, input, tap) + self.shift).unsigned_abs()
    }

    /// Marks the output window of planes of this size.
    pub fn mark_window(&mut self, output: Size) {
        for i in 0..output.height {
            for j in 0..output.width {
                let e = output.exponent(i, j, self.at) + self.shift();
                set(&mut self.window, e);
            }
        }
    }

    /// Marks what input planes of this size reach through the tap. Returns how many output positions have this tap
    /// outside the input.
    pub fn mark_tap(&mut self, output: Size, input: Size, tap: Tap) -> usize {
        let e_w = self.exponent(output, input, tap);
        let mut inside = 0;
        for i in 0..input.height {
            for j in 0..input.width {
                let (oi, oj) = (i.cast_signed() - tap.di, j.cast_signed() - tap.dj);
                let hit =
                    oi >= 0 && oj >= 0 && oi < output.height.cast_signed() && oj < output.width.cast_signed();
                if hit {
                    inside += 1;
                } else {
                    set(&mut self.reached, e_w + input.exponent(i, j, self.at));
                }
            }
        }
        output.height * output.width - inside
    }

    /// Overhang exponents, ascending.
    ///
    /// # Errors
    /// [`Collision`] when an exponent outside the window equals one inside it: the row stride is too small.
    pub fn finish(self) -> Result<Vec<usize>, Collision> {
        let collides = self.reached.iter().zip(&self.window).any(|(r, w)| *r && *w);
        if collides {
            return Err(Collision);
        }
        Ok(self
            .reached
            .iter()
            .enumerate()
            .filter_map(|(e, r)| r.then_some(e))
            .collect())
    }
}

fn set(marks: &mut Vec<bool>, e: usize) {
    if marks.len() <= e {
        marks.resize(e + 1, false);
    }
    marks[e] = true;
}

/// Exponent of the tap's weight before the common shift: window exponent minus input exponent.
fn relative(at: Point, output: Size, input: Size, tap: Tap) -> isize {
    let d = |a: usize, b: usize| a.cast_signed() - b.cast_signed();
    at.stride.cast_signed() * (d(output.height, input.height) + tap.di)
        + at.lanes.cast_signed() * d(output.chunks, input.chunks)
        + tap.dj
}

/// Groups `(exponent, source) -> (power, coefficient)` entries into dense terms or power runs, whichever takes fewer
/// rows with `weight_lanes` weights in a row.
pub(crate) fn group(
    entries: BTreeMap<usize, BTreeMap<Source, Vec<(usize, i64)>>>,
    weight_lanes: usize,
    identity: &mut Identity,
) {
    for (exponent, by_source) in entries {
        let span = |c: &[(usize, i64)]| c.iter().map(|t| t.0 + 1).max().unwrap_or(0);
        let dense_rows: usize = by_source.values().map(|c| span(c).div_ceil(weight_lanes)).sum();
        let most = by_source.values().map(|c| span(c)).max().unwrap_or(0);
        let single = by_source.values().map(Vec::len).sum::<usize>();
        let mut terms: Vec<(usize, Source, i64)> = by_source
            .iter()
            .flat_map(|(s, c)| c.iter().map(|&(p, w)| (p, *s, w)))
            .collect();
        terms.sort_by_key(|t| t.0);
        let distinct = terms.windows(2).all(|w| w[0].0 < w[1].0);
        if distinct && single > 0 && most < dense_rows {
            identity.powers.push(PowerRun { exponent, terms });
        } else {
            for (source, coefs) in by_source {
                identity.dense.push(DenseTerm {
                    exponent,
                    source,
                    coefs,
                });
            }
        }
    }
}

impl Identity {
    /// Sets overhang and degree from the builder, and the largest power of alpha from the terms.
    ///
    /// # Errors
    /// [`Collision`], as [`Builder::finish`].
    pub fn close(mut self, builder: Builder) -> Result<Self, Collision> {
        self.overhang = builder.finish()?;
        let dense = self.dense.iter().map(|t| t.exponent);
        let powers = self.powers.iter().map(|t| t.exponent);
        let top = self.overhang.last().copied();
        self.degree = dense.chain(powers).chain(top).max().unwrap_or(0);
        let dense = self.dense.iter().flat_map(|t| t.coefs.iter().map(|c| c.0));
        let powers = self.powers.iter().flat_map(|t| t.terms.iter().map(|c| c.0));
        let factored = self.factored.iter().flat_map(|t| t.terms.iter().map(|c| c.0));
        self.max_power = dense.chain(powers).chain(factored).max().unwrap_or(0);
        Ok(self)
    }
}

impl From<Collision> for PlanError {
    fn from(_: Collision) -> Self {
        Self::RowStride
    }
}
