//! Strict rounding: an offset that changes along the accumulators, where no single one fits.
//!
//! The staircase is cut into as few pieces as one multiplier and divisor allow, each with an offset of its own:
//! `t = floor((m acc + b + sum_j add_j [acc >= from_j]) / d)`. A piece ends where the interval of offsets that fit all
//! its accumulators would become empty; the longest pieces from the left are the fewest. In the circuit the brackets are
//! planes of zeros and ones, each requantized from the same accumulator by `floor((acc - from) / 2^12 d1) + 1`.

use super::fit::{Candidate, Candidates};
use super::staircase::{Target, steps};
use super::{Affine, ChannelRequantize, Correction, DIVISOR_SHIFT, QuantError};

/// Divisor of a plane of zeros and ones; the accumulators lie within it on either side of the step.
pub const STEP_DIVISOR: i64 = ((1 << DIVISOR_SHIFT) - 1) << DIVISOR_SHIFT;
/// Largest number of corrections of one channel.
const MAX_CORRECTIONS: usize = 256;
/// How many multipliers are tried for the fewest pieces.
const TRIES: usize = 64;

/// Offsets that fit a piece of the staircase which starts at `from`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: i64,
    low: i64,
    up: i64,
}

impl Piece {
    /// The piece with one more accumulator, unless nothing would fit.
    fn with(self, (low, up): (i64, i64)) -> Option<Self> {
        let (low, up) = (self.low.max(low), self.up.min(up));
        (low <= up).then_some(Self { low, up, ..self })
    }

    /// The offset in the middle.
    fn offset(&self) -> i64 {
        match (self.low, self.up) {
            (i64::MIN, i64::MAX) => 0,
            (i64::MIN, up) => up,
            (low, i64::MAX) => low,
            (low, up) => low + (up - low) / 2,
        }
    }
}

/// A staircase by its accumulators on both sides of every step, and the ends.
struct Outline {
    /// Accumulator and output, ascending; between neighbours that are not adjacent the output does not change.
    points: Vec<(i64, i64)>,
    lo: i64,
    hi: i64,
}

impl Outline {
    fn new<F: Fn(i64) -> i32>(target: &Target<F>) -> Self {
        let (start, end) = target.fitted;
        let at = steps(target).lows.into_iter().flat_map(|t| [t.at - 1, t.at]);
        let mut accs: Vec<i64> = at
            .chain([start, end])
            .filter(|a| (start..=end).contains(a))
            .collect();
        accs.sort_unstable();
        accs.dedup();
        Self {
            points: accs
                .into_iter()
                .map(|a| (a, i64::from((target.step)(a))))
                .collect(),
            lo: i64::from(target.lo),
            hi: i64::from(target.hi),
        }
    }

    /// The offsets with which `acc` gives `value`.
    fn offsets(&self, c: &Candidate, acc: i64, value: i64) -> (i64, i64) {
        let at_zero = value * c.divisor() - c.m * acc;
        let low = if value == self.lo { i64::MIN } else { at_zero };
        let up = if value == self.hi {
            i64::MAX
        } else {
            at_zero + c.divisor() - 1
        };
        (low, up)
    }

    /// The fewest pieces, unless they are more than `limit`.
    fn pieces(&self, c: &Candidate, limit: usize) -> Option<Vec<Piece>> {
        let open = |from| Piece {
            from,
            low: i64::MIN,
            up: i64::MAX,
        };
        let mut done = Vec::new();
        let mut piece = open(self.points.first()?.0);
        let mut before = piece.from;
        for &(acc, value) in &self.points {
            let needed = self.offsets(c, acc, value);
            piece = loop {
                if let Some(longer) = piece.with(needed) {
                    break longer;
                }
                if done.len() + 1 >= limit || acc == piece.from {
                    return None;
                }
                let (shorter, from) = self.cut(c, piece, before, (acc, value));
                done.push(shorter);
                piece = open(from).with(self.offsets(c, from, value))?;
                before = from;
            };
            before = acc;
        }
        done.push(piece);
        Some(done)
    }

    /// Ends a piece that fits up to `before` and not up to `acc`; returns it and where the next one starts.
    fn cut(&self, c: &Candidate, piece: Piece, before: i64, (acc, value): (i64, i64)) -> (Piece, i64) {
        if before + 1 == acc {
            return (piece, acc);
        }
        // All accumulators after `before` up to `acc` have the output `value`.
        match piece.with(self.offsets(c, acc - 1, value)) {
            Some(piece) => (piece, acc),
            None => {
                let offset = piece.low;
                let from = ((value + 1) * c.divisor() - offset + c.m - 1).div_euclid(c.m);
                let from = from.clamp(before + 1, acc - 1);
                (Piece { up: offset, ..piece }, from)
            }
        }
    }
}

/// Corrects a fit of `target`, so that no accumulator differs; a fit without differing accumulators stays as it is.
///
/// # Errors
/// [`QuantError::Strict`] where more than 256 corrections would be needed, or the accumulators lie too far from one;
/// [`QuantError::Magnitude`].
pub fn strict_channel<F: Fn(i64) -> i32>(
    channel: usize,
    target: &Target<F>,
    fit: &mut ChannelRequantize,
) -> Result<(), QuantError> {
    if fit.differing.is_empty() {
        return Ok(());
    }
    let differing = fit.differing.len();
    let refuse = |what| QuantError::Strict {
        channel,
        what,
        differing,
    };
    let outline = Outline::new(target);
    let (lo, hi) = fit.reachable;
    let acc = lo.saturating_abs().max(hi.saturating_abs()).saturating_add(1);
    let mut best: Option<(Candidate, Vec<Piece>)> = None;
    let tried = Candidates::new(target.slope)
        .take(usize::MAX)
        .into_iter()
        .filter(|c| c.fits(acc))
        .take(TRIES);
    for candidate in tried {
        let limit = best.as_ref().map_or(MAX_CORRECTIONS + 1, |(_, p)| p.len() - 1);
        if let Some(pieces) = outline.pieces(&candidate, limit) {
            best = Some((candidate, pieces));
        }
    }
    let (candidate, pieces) = best.ok_or(refuse("it would take more than 256 corrections"))?;
    let offsets: Vec<i64> = pieces.iter().map(Piece::offset).collect();
    let correction = |(piece, b): (&Piece, &[i64])| Correction {
        from: piece.from,
        add: b[1] - b[0],
    };
    let (m, d1) = (candidate.m, candidate.d1);
    let corrected = ChannelRequantize {
        affine: Affine {
            m,
            b: offsets.first().copied().unwrap_or(0),
            d1,
        },
        corrections: pieces
            .iter()
            .skip(1)
            .zip(offsets.windows(2))
            .map(correction)
            .collect(),
        differing: Vec::new(),
        ..fit.clone()
    };
    let far = |c: &Correction| c.from - lo > STEP_DIVISOR || hi - c.from >= STEP_DIVISOR;
    if corrected.corrections.iter().any(far) {
        return Err(refuse(
            "a correction has reachable accumulators more than 2^24 away",
        ));
    }
    corrected.validate(channel)?;
    if !outline.holds(&corrected) {
        return Err(refuse("no corrections were found"));
    }
    *fit = corrected;
    Ok(())
}

impl Outline {
    /// True when the corrected integers give every output: at the ends of all pieces on which neither the staircase
    /// nor the offset changes, and so between them, where the quotient grows with the accumulator.
    fn holds(&self, c: &ChannelRequantize) -> bool {
        let gives = |acc: i64, value: i64| c.quotient(acc).clamp(self.lo, self.hi) == value;
        let at = |acc: i64| {
            let next = self.points.partition_point(|p| p.0 <= acc);
            next.checked_sub(1).and_then(|i| self.points.get(i)).map(|p| p.1)
        };
        let ends = c.corrections.iter().flat_map(|e| [e.from - 1, e.from]);
        self.points.iter().all(|&(acc, value)| gives(acc, value))
            && ends
                .into_iter()
                .all(|acc| at(acc).is_some_and(|value| gives(acc, value)))
    }
}
