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
//!
//! In a batch the same terms hold for every image: `ACC_o` and `X_c` are sums over the images, each set off by its own
//! exponent, and window and overhang are those of all images.

use super::PlanError;
use super::layout::Point;
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

/// Largest exponent of v: each has a row of the glue program.
pub(crate) const MAX_DEGREE: usize = 1 << *super::K_RANGE.end();

/// Why an identity cannot be closed at this row stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Collision;

/// Collects which exponents an operator reaches in the last image. Exponents are relative until [`Builder::shift`] is
/// added.
#[derive(Debug)]
pub(crate) struct Builder {
    at: Point,
    shift: isize,
    window: Vec<isize>,
    reached: Vec<isize>,
}

impl Builder {
    /// `relative`: the relative exponent of every term.
    pub fn new(at: Point, relative: impl Iterator<Item = isize>) -> Self {
        Self {
            at,
            shift: -relative.min().unwrap_or(0),
            window: Vec::new(),
            reached: Vec::new(),
        }
    }

    /// The exponent of a term; beyond [`MAX_DEGREE`] for one below all that the builder was made with.
    pub fn exponent(&self, relative: isize) -> usize {
        usize::try_from(relative + self.shift).unwrap_or(usize::MAX)
    }

    /// Marks an exponent of the output window.
    pub fn mark_window(&mut self, relative: isize) {
        self.window.push(relative + self.shift);
    }

    /// Marks an exponent that a term reaches outside the output window.
    pub fn mark_outside(&mut self, relative: isize) {
        self.reached.push(relative + self.shift);
    }

    /// Overhang exponents of all images, ascending.
    ///
    /// # Errors
    /// [`Collision`] when two exponents of the windows are equal, or one outside its image's window equals one inside the
    /// window of any image: row stride or pitch are too small.
    pub fn finish(mut self) -> Result<Vec<usize>, Collision> {
        self.reached.sort_unstable();
        self.reached.dedup();
        let (window, mut reached) = (self.of_all(&self.window), self.of_all(&self.reached));
        reached.dedup();
        let distinct = window.windows(2).all(|w| w[0] < w[1]);
        if !distinct || reached.iter().any(|e| window.binary_search(e).is_ok()) {
            return Err(Collision);
        }
        Ok(reached.into_iter().map(isize::unsigned_abs).collect())
    }

    /// The exponents in every image, in order.
    fn of_all(&self, exponents: &[isize]) -> Vec<isize> {
        let offsets = self.at.offsets().map(usize::cast_signed);
        let mut all: Vec<isize> = offsets
            .flat_map(|offset| exponents.iter().map(move |e| e + offset))
            .collect();
        all.sort_unstable();
        all
    }
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
    /// [`PlanError::RowStride`], as [`Builder::finish`]; [`PlanError::TooLarge`] for an exponent beyond [`MAX_DEGREE`].
    pub fn close(mut self, builder: Builder) -> Result<Self, PlanError> {
        self.overhang = builder.finish()?;
        let dense = self.dense.iter().map(|t| t.exponent);
        let powers = self.powers.iter().map(|t| t.exponent);
        let top = self.overhang.last().copied();
        self.degree = dense.chain(powers).chain(top).max().unwrap_or(0);
        let kernels = self.factored.iter().flat_map(|t| t.kernel.iter().map(|c| c.0));
        let largest = kernels.max().unwrap_or(0).max(self.degree);
        if largest > MAX_DEGREE {
            return Err(PlanError::TooLarge {
                what: "exponent of an identity",
                size: largest,
                limit: MAX_DEGREE,
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Overhang of a window of three columns with one more on each side, in two images.
    fn overhang(pitch: usize) -> Result<Vec<usize>, Collision> {
        let at = Point {
            lanes: 1,
            images: 2,
            pitch,
        };
        let mut builder = Builder::new(at, std::iter::once(-1));
        (0..3).for_each(|j| builder.mark_window(j));
        builder.mark_outside(-1);
        builder.mark_outside(3);
        builder.finish()
    }

    #[test]
    fn windows_and_overhangs_of_all_images_are_apart() {
        // Windows that overlap; an overhang in the other image's window.
        for pitch in [1, 2, 3] {
            assert!(overhang(pitch).is_err(), "pitch {pitch}");
        }
        // Overhangs may meet.
        assert_eq!(overhang(4).ok(), Some(vec![0, 4, 8]));
        assert_eq!(overhang(5).ok(), Some(vec![0, 4, 5, 9]));
    }
}
