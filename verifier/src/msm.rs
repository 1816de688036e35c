//! Sums of multiples of curve points.
//!
//! Pippenger's buckets with signed digits, for scalars of half the size (`msm/halves.rs`). Points are added pairwise in
//! affine coordinates, many pairs with one inversion, while a bucket has more than one and while buckets are closed.
//! Columns of small integers, which end in a few full-size blinding values, are split into both kinds, and each kind is
//! cut into windows for its own length. Points with equal full-size scalars are added before they are multiplied.

mod halves;

use ff::{Field, PrimeField, WithSmallOrderMulGroup};
use halo2_proofs::arithmetic::best_multiexp;
use halo2_proofs::halo2curves::bn256::{Fq, Fr, G1, G1Affine};
use halo2_proofs::halo2curves::group::{Group, prime::PrimeCurveAffine};
use halves::halves;
use rayon::prelude::*;

/// Scalars below 2^this count as small.
const SMALL_BITS: u32 = 32;
/// Below this many terms the curve library's own sum is as fast.
const FEW: usize = 32;
/// Pairs that share one inversion.
const TILE: usize = 1024;
/// Windows are at most this wide, so that digits fit an i16.
const MAX_WINDOW: u32 = 15;

/// A scalar, lowest limb first.
type Limbs = [u64; 4];

/// Multiples of points.
#[derive(Debug, Default)]
struct Terms {
    magnitudes: Vec<u128>,
    /// Twice the number of the point, plus one for its negative.
    points: Vec<u32>,
}

impl Terms {
    fn push(&mut self, magnitude: u128, point: u32) {
        self.magnitudes.push(magnitude);
        self.points.push(point);
    }
}

/// `sum scalars_i bases_i`; bases beyond the scalars are ignored. Scalars and bases may repeat, in whatever combination.
///
/// There are fewer than 2^30 bases.
#[must_use]
pub fn multiply(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    let mut small = Terms::default();
    let mut large: Vec<(Limbs, u32)> = Vec::new();
    for (i, scalar) in (0u32..).zip(scalars).take(bases.len()) {
        // The point at infinity has no slope with any other.
        if bool::from(bases[i as usize].is_identity()) {
            continue;
        }
        let limbs = limbs(scalar);
        match limbs {
            [0, 0, 0, 0] => {}
            [low, 0, 0, 0] if low >> SMALL_BITS == 0 => small.push(low.into(), 2 * i),
            _ => large.push((limbs, i)),
        }
    }
    let sum_large = || {
        if large.len() < FEW {
            let terms = large
                .iter()
                .map(|(_, i)| (scalars[*i as usize], bases[*i as usize]));
            let (scalars, bases): (Vec<Fr>, Vec<G1Affine>) = terms.unzip();
            return match scalars[..] {
                [] => G1::identity(),
                _ => best_multiexp(&scalars, &bases),
            };
        }
        sum_large(merged(large, bases))
    };
    let (small, large) = rayon::join(|| sum(&small, |i| bases[i]), sum_large);
    small + large
}

fn limbs(scalar: &Fr) -> Limbs {
    let repr = scalar.to_repr();
    let bytes: &[u8] = repr.as_ref();
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = chunk.try_into().map_or(0, u64::from_le_bytes);
    }
    limbs
}

/// A point in a cache line of its own.
#[repr(align(64))]
struct Aligned(G1Affine);

/// Negates the point for odd numbers, without a branch.
fn sign(point: &mut G1Affine, number: u32) {
    point.y = [point.y, -point.y][(number & 1) as usize];
}

/// Adds the bases that have equal scalars.
fn merged(mut terms: Vec<(Limbs, u32)>, bases: &[G1Affine]) -> Vec<(Limbs, G1Affine)> {
    terms.sort_unstable();
    let (mut merged, mut repeated) = (Vec::with_capacity(terms.len()), Vec::new());
    let mut buckets = Buckets::default();
    for run in terms.chunk_by(|a, b| a.0 == b.0) {
        if let [(scalar, i)] = run {
            merged.push((*scalar, bases[*i as usize]));
        } else {
            repeated.push(run[0].0);
            buckets.lengths.push(run.len());
            buckets.points.extend(run.iter().map(|(_, i)| bases[*i as usize]));
        }
    }
    buckets.reduce();
    merged.extend(
        repeated
            .into_iter()
            .zip(buckets.each())
            .filter_map(|(s, p)| Some((s, p?))),
    );
    merged
}

fn sum_large(terms: Vec<(Limbs, G1Affine)>) -> G1 {
    let image = |base: &G1Affine| G1Affine {
        x: base.x * Fq::ZETA,
        y: base.y,
    };
    let table: Vec<Aligned> = terms
        .iter()
        .flat_map(|(_, base)| [*base, image(base)].map(Aligned))
        .collect();
    let mut parts = Terms::default();
    for (i, (scalar, _)) in (0u32..).zip(terms) {
        for (j, half) in (0u32..).zip(halves(scalar)) {
            parts.push(half.unsigned_abs(), 4 * i + 2 * j + u32::from(half < 0));
        }
    }
    sum(&parts, |i| table[i].0)
}

/// Width of a window and number of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    width: u32,
    count: u32,
}

impl Windows {
    /// The cheapest windows for this many scalars of this many bits. One bit of room holds the last digit's carry.
    fn new(terms: usize, bits: u32) -> Self {
        let count = |width: u32| (bits + 1).div_ceil(width);
        // A point is added to a bucket once, and a bucket to others twice, less the first point of each.
        let price = |width: u32| u64::from(count(width)) * (terms as u64 + (1 << (width - 1)));
        let width = (2..=MAX_WINDOW).min_by_key(|w| price(*w)).unwrap_or(2);
        Self {
            width,
            count: count(width),
        }
    }

    /// Signed digits, window by window: all digits of one window lie together.
    fn digits(self, magnitudes: &[u128]) -> Vec<i16> {
        let mut digits = vec![0; magnitudes.len() * self.count as usize];
        let half = 1i32 << (self.width - 1);
        let mask = (1u128 << self.width) - 1;
        for (t, magnitude) in magnitudes.iter().enumerate() {
            let (mut rest, mut carry) = (*magnitude, 0);
            for digit in digits[t..].iter_mut().step_by(magnitudes.len()) {
                let value = i32::try_from(rest & mask).unwrap_or(0) + carry;
                rest >>= self.width;
                carry = i32::from(value > half);
                *digit = i16::try_from(value - (carry << self.width)).unwrap_or(0);
            }
        }
        digits
    }
}

fn sum(terms: &Terms, point: impl Fn(usize) -> G1Affine + Sync) -> G1 {
    let Some(largest) = terms.magnitudes.iter().max() else {
        return G1::identity();
    };
    let windows = Windows::new(terms.points.len(), u128::BITS - largest.leading_zeros());
    let digits = windows.digits(&terms.magnitudes);
    let sums: Vec<G1> = digits
        .par_chunks_exact(terms.points.len())
        .map(|digits| Buckets::new(&terms.points, digits, windows, &point).close())
        .collect();
    weighted(&sums, windows.width)
}

/// `sum_i 2^(width i) points_i`.
fn weighted(points: &[G1], width: u32) -> G1 {
    points.iter().rev().fold(G1::identity(), |total, point| {
        (0..width).fold(total, |t, _| t.double()) + point
    })
}

/// Points bucket by bucket.
#[derive(Default)]
struct Buckets {
    points: Vec<G1Affine>,
    /// Number of points in each bucket.
    lengths: Vec<usize>,
    /// Room for the points of the next round.
    spare: Vec<G1Affine>,
}

impl Buckets {
    /// The points of one window; bucket i is for the digits +-i.
    fn new(numbers: &[u32], digits: &[i16], windows: Windows, point: impl Fn(usize) -> G1Affine) -> Self {
        let mut lengths = vec![0; (1 << (windows.width - 1)) + 1];
        for digit in digits {
            lengths[usize::from(digit.unsigned_abs())] += 1;
        }
        lengths[0] = 0;
        let mut next = Vec::with_capacity(lengths.len());
        let mut used = 0;
        for length in &lengths {
            next.push(used);
            used += length;
        }
        let mut sorted = vec![0; used];
        for (digit, number) in digits.iter().zip(numbers) {
            if *digit != 0 {
                let place = &mut next[usize::from(digit.unsigned_abs())];
                sorted[*place] = number ^ u32::from(*digit < 0);
                *place += 1;
            }
        }
        let mut buckets = Self {
            lengths,
            ..Self::default()
        };
        buckets.halve(|i| point((sorted[i] >> 1) as usize), |i, p| sign(p, sorted[i]));
        buckets.reduce();
        buckets
    }

    /// Leaves one point in a bucket at most.
    fn reduce(&mut self) {
        while self.lengths.iter().any(|l| *l > 1) {
            let points = std::mem::take(&mut self.points);
            self.halve(|i| points[i], |_, _| ());
            self.spare = points;
        }
    }

    /// `sum_i i bucket_i` for buckets of one point at most: `sum_b 2^b odd_b`, where `odd_b` sums the buckets whose
    /// number has bit b.
    fn close(mut self) -> G1 {
        let mut odd = Self::default();
        while self.lengths.len() > 1 {
            let before = odd.points.len();
            let mut at = 0;
            for pair in self.lengths.chunks(2) {
                let (even_points, odd_points) = (pair[0], pair.get(1).copied().unwrap_or(0));
                at += even_points;
                odd.points.extend_from_slice(&self.points[at..at + odd_points]);
                at += odd_points;
            }
            odd.lengths.push(odd.points.len() - before);
            // Bucket i of the next round is for the numbers 2 i and 2 i + 1 of this one.
            self.lengths = self.lengths.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.reduce();
        }
        odd.reduce();
        let sums = odd.each().map(|point| point.map_or(G1::identity(), G1::from));
        weighted(&sums.collect::<Vec<_>>(), 1)
    }

    /// The points of all buckets, which have one at most.
    fn each(&self) -> impl Iterator<Item = Option<G1Affine>> {
        let mut points = self.points.iter();
        self.lengths.iter().map(move |length| {
            if *length == 0 {
                None
            } else {
                points.next().copied()
            }
        })
    }

    /// Adds the points of every bucket pairwise. `read` yields a point by its position, and `finish` changes it when a
    /// whole batch was read: reads from all over memory go on side by side while nothing is computed between them.
    fn halve(&mut self, read: impl Fn(usize) -> G1Affine, finish: impl Fn(usize, &mut G1Affine)) {
        let left: usize = self.lengths.iter().map(|l| l.div_ceil(2)).sum();
        self.points = std::mem::take(&mut self.spare);
        self.points.resize(left, G1Affine::identity());
        let mut adder = Adder::default();
        let (mut at, mut to) = (0, 0);
        for length in &mut self.lengths {
            let end = at + *length;
            *length = length.div_ceil(2);
            while at + 1 < end {
                adder.pairs.push(Pair {
                    from: at,
                    to,
                    points: [read(at), read(at + 1)],
                });
                if adder.pairs.len() == TILE {
                    adder.run(&mut self.points, &finish);
                }
                at += 2;
                to += 1;
            }
            if at < end {
                self.points[to] = read(at);
                finish(at, &mut self.points[to]);
                at += 1;
                to += 1;
            }
        }
        adder.run(&mut self.points, &finish);
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

/// Two points to add.
struct Pair {
    /// Position of the first point, which the other follows.
    from: usize,
    /// Place of the sum.
    to: usize,
    points: [G1Affine; 2],
}

/// Adds a batch of pairs.
#[derive(Default)]
struct Adder {
    pairs: Vec<Pair>,
    /// Denominators of the slopes, each with the product of all before.
    denominators: Vec<(Fq, Fq)>,
    /// Whether a sum was the point at infinity.
    met_identity: bool,
}

impl Adder {
    /// Writes all sums into `points` and empties the list.
    fn run(&mut self, points: &mut [G1Affine], finish: impl Fn(usize, &mut G1Affine)) {
        self.denominators.clear();
        let mut product = Fq::ONE;
        for Pair { from, points, .. } in &mut self.pairs {
            let [p, q] = points;
            finish(*from, p);
            finish(*from + 1, q);
            let denominator = denominator(p, q);
            self.denominators.push((denominator, product));
            product *= denominator;
        }
        // No denominator is zero: the curve has no point of order two.
        let mut inverse = Option::<Fq>::from(product.invert()).unwrap_or_default();
        for (pair, (denominator, before)) in self.pairs.iter().zip(&self.denominators).rev() {
            let [p, q] = &pair.points;
            let sum = sum_of(p, q, inverse * before);
            inverse *= denominator;
            self.met_identity |= sum.is_none();
            points[pair.to] = sum.unwrap_or_default();
        }
        self.pairs.clear();
    }
}

/// Denominator of the slope.
fn denominator(p: &G1Affine, q: &G1Affine) -> Fq {
    if p.x != q.x {
        q.x - p.x
    } else if p.y == q.y {
        p.y.double()
    } else {
        // Opposite points: the slope is not used.
        Fq::ONE
    }
}

/// `p + q`, given the inverse of the slope's denominator; `None` for opposite points.
fn sum_of(p: &G1Affine, q: &G1Affine, inverse: Fq) -> Option<G1Affine> {
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
