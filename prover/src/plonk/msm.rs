//! Sums of multiples of curve points.
//!
//! Pippenger's buckets with signed digits. The points of a bucket are added pairwise in affine coordinates, all pairs of
//! a round with one inversion. Columns of small integers, which end in a few full-size blinding values, are split into
//! both kinds, and each kind is cut into windows for its own length.

use ff::{Field, PrimeField};
use halo2_proofs::arithmetic::best_multiexp;
use halo2_proofs::halo2curves::bn256::{Fq, Fr, G1, G1Affine};
use halo2_proofs::halo2curves::group::{Group, prime::PrimeCurveAffine};
use rayon::prelude::*;

/// Limbs of a scalar with room for the digits' offset.
type Limbs = [u64; 5];

/// Scalars below 2^this count as small.
const SMALL_BITS: u32 = 32;
/// Below this many terms the curve library's own sum is as fast.
const FEW: usize = 32;
/// Pairs that share one inversion.
const TILE: usize = 1024;
/// Windows are at most this wide.
const MAX_WINDOW: u32 = 15;

/// Relative prices: an addition to a bucket, and closing a bucket.
const PRICE_ADD: u64 = 1;
const PRICE_BUCKET: u64 = 7;

/// `sum scalars_i bases_i`; bases beyond the scalars are ignored. No base is the point at infinity.
pub(super) fn multiply(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    let mut small: Vec<(Limbs, G1Affine)> = Vec::new();
    let mut large: Vec<(Limbs, G1Affine)> = Vec::new();
    for (scalar, base) in scalars.iter().zip(bases) {
        let limbs = limbs(scalar);
        match bits(&limbs) {
            0 => {}
            b if b <= SMALL_BITS => small.push((limbs, *base)),
            _ => large.push((limbs, *base)),
        }
    }
    let (small, large) = rayon::join(|| sum(&small), || sum(&large));
    small + large
}

fn limbs(scalar: &Fr) -> Limbs {
    let repr = scalar.to_repr();
    let bytes: &[u8] = repr.as_ref();
    let mut limbs = [0; 5];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = chunk.try_into().map_or(0, u64::from_le_bytes);
    }
    limbs
}

/// Length of a number in bits.
fn bits(limbs: &Limbs) -> u32 {
    let top = (0u32..5).zip(limbs).rev().find(|(_, l)| **l != 0);
    top.map_or(0, |(i, l)| 64 * i + u64::BITS - l.leading_zeros())
}

/// Width of a window and number of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    width: u32,
    count: u32,
}

impl Windows {
    /// The cheapest windows for this many scalars of this many bits. Two bits of room keep scalar and offset below
    /// `2^(width count)`.
    fn new(terms: usize, bits: u32) -> Self {
        let price = |width: u32| {
            let count = u64::from((bits + 2).div_ceil(width));
            count * (terms as u64 * PRICE_ADD + (PRICE_BUCKET << (width - 1)))
        };
        let width = (2..=MAX_WINDOW).min_by_key(|w| price(*w)).unwrap_or(2);
        Self {
            width,
            count: (bits + 2).div_ceil(width),
        }
    }

    /// `sum_i 2^(width - 1) 2^(width i)`: added to a scalar, it makes every digit a window less `2^(width - 1)`.
    fn offset(self) -> Limbs {
        let mut offset = [0; 5];
        for i in 0..self.count {
            let bit = self.width * i + self.width - 1;
            offset[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        offset
    }

    /// Signed digit of a scalar to which the offset was added.
    fn digit(self, limbs: &Limbs, window: u32) -> i32 {
        let first = self.width * window;
        let (limb, shift) = ((first / 64) as usize, first % 64);
        let mut value = limbs[limb] >> shift;
        if shift + self.width > 64
            && let Some(next) = limbs.get(limb + 1)
        {
            value |= next << (64 - shift);
        }
        let mask = (1u64 << self.width) - 1;
        let half = 1i32 << (self.width - 1);
        i32::try_from(value & mask).unwrap_or(0) - half
    }
}

fn plus(a: &Limbs, b: &Limbs) -> Limbs {
    let mut sum = [0; 5];
    let mut carry = false;
    for ((s, a), b) in sum.iter_mut().zip(a).zip(b) {
        let (low, first) = a.overflowing_add(*b);
        let (low, second) = low.overflowing_add(u64::from(carry));
        *s = low;
        carry = first || second;
    }
    sum
}

fn sum(terms: &[(Limbs, G1Affine)]) -> G1 {
    if terms.len() < FEW {
        return few(terms);
    }
    let longest = terms.iter().map(|t| bits(&t.0)).max().unwrap_or(0);
    let windows = Windows::new(terms.len(), longest);
    let offset = windows.offset();
    let shifted: Vec<Limbs> = terms.iter().map(|t| plus(&t.0, &offset)).collect();
    let sums: Vec<G1> = (0..windows.count)
        .into_par_iter()
        .map(|w| Buckets::new(terms, &shifted, windows, w).close())
        .collect();
    sums.into_iter().rev().fold(G1::identity(), |total, window| {
        (0..windows.width).fold(total, |t, _| t.double()) + window
    })
}

fn few(terms: &[(Limbs, G1Affine)]) -> G1 {
    let scalar = |limbs: &Limbs| {
        let shift = Fr::from(1 << 32).square();
        limbs
            .iter()
            .rev()
            .fold(Fr::ZERO, |acc, l| acc * shift + Fr::from(*l))
    };
    let scalars: Vec<Fr> = terms.iter().map(|t| scalar(&t.0)).collect();
    let bases: Vec<G1Affine> = terms.iter().map(|t| t.1).collect();
    match terms {
        [] => G1::identity(),
        _ => best_multiexp(&scalars, &bases),
    }
}

/// The points of one window, bucket by bucket.
struct Buckets {
    points: Vec<G1Affine>,
    /// Number of points in each bucket; bucket i is for the digits +-(i + 1).
    lengths: Vec<usize>,
}

impl Buckets {
    fn new(terms: &[(Limbs, G1Affine)], shifted: &[Limbs], windows: Windows, window: u32) -> Self {
        let mut lengths = vec![0; 1 << (windows.width - 1)];
        let bucket = |digit: i32| (digit.unsigned_abs() as usize).checked_sub(1);
        let digits: Vec<i32> = shifted.iter().map(|s| windows.digit(s, window)).collect();
        for digit in &digits {
            if let Some(b) = bucket(*digit) {
                lengths[b] += 1;
            }
        }
        let mut next = Vec::with_capacity(lengths.len());
        let mut used = 0;
        for length in &lengths {
            next.push(used);
            used += length;
        }
        let mut points = vec![G1Affine::identity(); used];
        for (digit, (_, base)) in digits.iter().zip(terms) {
            if let Some(b) = bucket(*digit) {
                points[next[b]] = if *digit < 0 { -*base } else { *base };
                next[b] += 1;
            }
        }
        Self { points, lengths }
    }

    /// `sum_i (i + 1) bucket_i`.
    fn close(mut self) -> G1 {
        while self.lengths.iter().any(|l| *l > 1) {
            self.halve();
        }
        let mut rest = self.points.iter().rev();
        let (mut running, mut total) = (G1::identity(), G1::identity());
        for length in self.lengths.iter().rev() {
            if *length == 1
                && let Some(point) = rest.next()
            {
                running += point;
            }
            total += running;
        }
        total
    }

    /// Adds the points of every bucket pairwise.
    fn halve(&mut self) {
        let mut moves = Vec::with_capacity(TILE);
        let mut adder = Adder::default();
        let (mut read, mut written) = (0, 0);
        for length in &mut self.lengths {
            let end = read + *length;
            *length = length.div_ceil(2);
            while read < end {
                let pair = read + 1 < end;
                moves.push(Move {
                    from: read,
                    to: written,
                    pair,
                });
                read += 1 + usize::from(pair);
                written += 1;
                if moves.len() == TILE {
                    adder.run(&mut self.points, &mut moves);
                }
            }
        }
        adder.run(&mut self.points, &mut moves);
        self.points.truncate(written);
        if adder.met_identity {
            self.drop_identities();
        }
    }

    /// A pair of opposite points leaves the point at infinity, which no later addition may meet.
    fn drop_identities(&mut self) {
        let mut kept = Vec::with_capacity(self.points.len());
        let mut read = 0;
        for length in &mut self.lengths {
            let own = &self.points[read..read + *length];
            read += *length;
            let before = kept.len();
            kept.extend(own.iter().filter(|p| !bool::from(p.is_identity())));
            *length = kept.len() - before;
        }
        self.points = kept;
    }
}

/// Puts the point at `from`, or its sum with the next one, at `to`, which is not behind `from`.
#[derive(Debug, Clone, Copy)]
struct Move {
    from: usize,
    to: usize,
    pair: bool,
}

impl Move {
    /// Denominator of the slope.
    fn denominator(self, points: &[G1Affine]) -> Fq {
        if !self.pair {
            return Fq::ONE;
        }
        let (p, q) = (points[self.from], points[self.from + 1]);
        if p.x != q.x {
            q.x - p.x
        } else if p.y == q.y {
            p.y.double()
        } else {
            // Opposite points: the slope is not used.
            Fq::ONE
        }
    }
}

/// Room for a batch of moves.
#[derive(Default)]
struct Adder {
    denominators: Vec<Fq>,
    /// Products of all denominators before, then inverses.
    inverses: Vec<Fq>,
    /// Whether a sum was the point at infinity.
    met_identity: bool,
}

impl Adder {
    /// Makes all moves, whose places ascend, and empties the list.
    fn run(&mut self, points: &mut [G1Affine], moves: &mut Vec<Move>) {
        self.denominators.clear();
        self.inverses.clear();
        let mut product = Fq::ONE;
        for step in moves.iter() {
            let denominator = step.denominator(points);
            self.denominators.push(denominator);
            self.inverses.push(product);
            if step.pair {
                product *= denominator;
            }
        }
        // No denominator is zero: the curve has no point of order two.
        let mut inverse = Option::<Fq>::from(product.invert()).unwrap_or_default();
        let backwards = self.inverses.iter_mut().zip(&self.denominators).zip(moves.iter());
        for ((before, denominator), step) in backwards.rev() {
            if step.pair {
                *before *= inverse;
                inverse *= denominator;
            }
        }
        for (step, inverse) in moves.drain(..).zip(&self.inverses) {
            points[step.to] = if step.pair {
                let sum = sum_of(points[step.from], points[step.from + 1], *inverse);
                self.met_identity |= sum.is_none();
                sum.unwrap_or_default()
            } else {
                points[step.from]
            };
        }
    }
}

/// `p + q`, given the inverse of the slope's denominator; `None` for opposite points.
fn sum_of(p: G1Affine, q: G1Affine, inverse: Fq) -> Option<G1Affine> {
    let slope = if p.x != q.x {
        (q.y - p.y) * inverse
    } else if p.y == q.y {
        let square = p.x.square();
        (square.double() + square) * inverse
    } else {
        return None;
    };
    let x = slope.square() - p.x - q.x;
    let y = slope * (p.x - x) - p.y;
    Some(G1Affine { x, y })
}
