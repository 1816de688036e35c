//! Reading points and testing that they are an SRS.
//!
//! | test | what it shows |
//! | --- | --- |
//! | canonical, on the curve, not the identity; G2 in the subgroup | the points are group elements of order r |
//! | `g[0] = G1`, `g2 = G2` | the bases are the generators |
//! | `e(sum r_i g[i+1], G2) = e(sum r_i g[i], tau G2)`, random 128-bit `r_i` | `g[i] = tau^i G1`, but for a chance of 2^-128 |
//! | `sum a_i l[i] = sum c_i g[i]`, random `a`, `c` its coefficients | `l` is the Lagrange basis, but for a chance of 2^-128 |

use super::fault::{Part, SrsError};
use crate::entropy;
use halo2_proofs::arithmetic::best_multiexp;
use halo2_proofs::halo2curves::CurveAffine;
use halo2_proofs::halo2curves::bn256::{Bn256, Fq, Fq2, Fr, G1Affine, G2Affine};
use halo2_proofs::halo2curves::group::Curve;
use halo2_proofs::halo2curves::group::prime::PrimeCurveAffine;
use halo2_proofs::halo2curves::pairing::Engine;
use halo2_proofs::halo2curves::serde::SerdeObject;
use halo2_proofs::poly::EvaluationDomain;
use inferproof_verifier::srs::{PointFault, check_g2};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use rayon::prelude::*;
use std::io::Read;

/// Bytes of an uncompressed G1 point: x and y, each four little-endian limbs in Montgomery form.
pub(super) const G1_BYTES: usize = 64;
/// Bytes of an uncompressed G2 point: x.c0, x.c1, y.c0, y.c1.
pub(super) const G2_BYTES: usize = 128;
/// Points that are read at a time.
const CHUNK: usize = 1 << 14;

/// A generator seeded by the operating system; the failure of the latter is an error, not a panic.
pub(super) fn system_rng() -> Result<ChaCha20Rng, SrsError> {
    entropy::system_rng().map_err(|e| SrsError::Entropy {
        reason: e.to_string(),
    })
}

/// Reads `count` G1 points and checks each. `count` must be bounded by the length of the input.
pub(super) fn read_g1<R: Read>(reader: &mut R, count: usize, part: Part) -> Result<Vec<G1Affine>, SrsError> {
    let mut points = vec![G1Affine::identity(); count];
    let mut bytes = vec![0; CHUNK.min(count) * G1_BYTES];
    for (chunk, slots) in points.chunks_mut(CHUNK).enumerate() {
        let bytes = &mut bytes[..slots.len() * G1_BYTES];
        reader.read_exact(bytes)?;
        let parse = |(i, (slot, bytes)): (usize, (&mut G1Affine, &[u8]))| match parse_g1(bytes) {
            Ok(point) => {
                *slot = point;
                Ok(())
            }
            Err(fault) => Err((chunk * CHUNK + i, fault)),
        };
        let pairs = slots.par_iter_mut().zip(bytes.par_chunks_exact(G1_BYTES));
        pairs
            .enumerate()
            .try_for_each(parse)
            .map_err(|(index, fault)| SrsError::Point { part, index, fault })?;
    }
    Ok(points)
}

/// Reads `G2` and `tau G2`, checks both, and returns the latter.
pub(super) fn read_tau_g2<R: Read>(reader: &mut R) -> Result<G2Affine, SrsError> {
    let mut bytes = [0; 2 * G2_BYTES];
    reader.read_exact(&mut bytes)?;
    let (first, second) = bytes.split_at(G2_BYTES);
    let point = |index, bytes| {
        let fail = |fault| SrsError::Point {
            part: Part::G2,
            index,
            fault,
        };
        parse_g2(bytes).map_err(fail)
    };
    if point(0, first)? != G2Affine::generator() {
        return Err(SrsError::Generator { part: Part::G2 });
    }
    point(1, second)
}

fn parse_fq(bytes: &[u8]) -> Result<Fq, PointFault> {
    Fq::from_raw_bytes(bytes).ok_or(PointFault::NotCanonical)
}

fn parse_g1(bytes: &[u8]) -> Result<G1Affine, PointFault> {
    let (x, y) = bytes.split_at(32);
    let point = G1Affine {
        x: parse_fq(x)?,
        y: parse_fq(y)?,
    };
    if bool::from(point.is_identity()) {
        return Err(PointFault::Identity);
    }
    if bool::from(point.is_on_curve()) {
        Ok(point)
    } else {
        Err(PointFault::NotOnCurve)
    }
}

fn parse_g2(bytes: &[u8]) -> Result<G2Affine, PointFault> {
    let part = |i: usize| parse_fq(&bytes[32 * i..32 * (i + 1)]);
    let point = G2Affine {
        x: Fq2::new(part(0)?, part(1)?),
        y: Fq2::new(part(2)?, part(3)?),
    };
    check_g2(&point)?;
    Ok(point)
}

/// Random 128-bit scalars.
fn random_scalars(rng: &mut ChaCha20Rng, count: usize) -> Vec<Fr> {
    (0..count)
        .map(|_| Fr::from_raw([rng.next_u64(), rng.next_u64(), 0, 0]))
        .collect()
}

/// Tests that `g` are the powers of the tau in `tau_g2`. `g` must hold at least two checked points.
pub(super) fn check_powers(g: &[G1Affine], tau_g2: &G2Affine) -> Result<(), SrsError> {
    if g.first() != Some(&G1Affine::generator()) {
        return Err(SrsError::Generator { part: Part::Powers });
    }
    let r = random_scalars(&mut system_rng()?, g.len() - 1);
    let upper = best_multiexp(&r, &g[1..]).to_affine();
    let lower = best_multiexp(&r, &g[..g.len() - 1]).to_affine();
    if Bn256::pairing(&upper, &G2Affine::generator()) == Bn256::pairing(&lower, tau_g2) {
        Ok(())
    } else {
        Err(SrsError::Powers)
    }
}

/// Tests that `lagrange` is the Lagrange basis of the 2^k powers `g`: a random polynomial has one commitment.
pub(super) fn check_lagrange(k: u32, g: &[G1Affine], lagrange: &[G1Affine]) -> Result<(), SrsError> {
    let domain = EvaluationDomain::<Fr>::new(1, k);
    let mut values = domain.empty_lagrange();
    let random = random_scalars(&mut system_rng()?, values.len());
    values.copy_from_slice(&random);
    let by_values = best_multiexp(&values, lagrange);
    let by_coefficients = best_multiexp(&domain.lagrange_to_coeff(values), g);
    if by_values == by_coefficients {
        Ok(())
    } else {
        Err(SrsError::Lagrange)
    }
}
