//! Strict decoding of compressed points of G1: one byte string for each point.
//!
//! The bytes of x in little endian, with two flags in the spare bits on top: the point at infinity (bit 7), and the lowest
//! bit of y (bit 6).

use crate::bytes::POINT_BYTES;
use crate::error::PointError;
use ff::{Field, PrimeField};
use group::GroupEncoding;
use halo2_proofs::halo2curves::bn256::{Fq, G1Affine};

const IDENTITY_BIT: u8 = 0b1000_0000;
const SIGN_BIT: u8 = 0b0100_0000;
/// The encoding of the point at infinity.
const IDENTITY: [u8; POINT_BYTES] = {
    let mut bytes = [0; POINT_BYTES];
    bytes[POINT_BYTES - 1] = IDENTITY_BIT;
    bytes
};
/// The curve is `y^2 = x^3 + B`.
const B: u64 = 3;
/// Bits of an exponent that are taken at a time.
const WINDOW: usize = 4;

/// Decodes a point of G1, the identity included. On BN254 every point of the curve is in the group.
///
/// # Errors
/// [`PointError::Encoding`] for bytes that are no point, [`PointError::NotCanonical`] for bytes that stand
/// for a point but are not its encoding.
pub(crate) fn decode_g1(bytes: &[u8; POINT_BYTES]) -> Result<G1Affine, PointError> {
    let flags = bytes[POINT_BYTES - 1];
    if flags & IDENTITY_BIT != 0 {
        return if *bytes == IDENTITY {
            Ok(G1Affine::default())
        } else {
            Err(PointError::NotCanonical)
        };
    }
    let mut x = *bytes;
    x[POINT_BYTES - 1] &= !(IDENTITY_BIT | SIGN_BIT);
    let x = Option::<Fq>::from(Fq::from_repr(x)).ok_or(PointError::Encoding)?;
    let y = square_root(x.square() * x + Fq::from(B)).ok_or(PointError::Encoding)?;
    let sign = flags & SIGN_BIT != 0;
    let y = if bool::from(y.is_odd()) == sign { y } else { -y };
    Ok(G1Affine { x, y })
}

/// A square root, where there is one. p = 3 mod 4, so that `a^((p + 1) / 4)` is one if any.
fn square_root(a: Fq) -> Option<Fq> {
    let mut powers = [Fq::ONE; 1 << WINDOW];
    for i in 1..powers.len() {
        powers[i] = powers[i - 1] * a;
    }
    // (p - 3) / 4 is (p - 1) / 4 rounded down.
    let most = (-Fq::ONE).to_repr();
    let digit = |i: usize| {
        let bit = WINDOW * i + 2;
        let next = most.get(bit / 8 + 1).copied().unwrap_or(0);
        let pair = u16::from_le_bytes([most[bit / 8], next]);
        usize::from(pair >> (bit % 8)) % powers.len()
    };
    let digits = most.len() * 8 / WINDOW;
    let power = (0..digits).rev().fold(Fq::ONE, |power, i| {
        (0..WINDOW).fold(power, |p, _| p.square()) * powers[digit(i)]
    });
    let root = power * a;
    (root.square() == a).then_some(root)
}

/// The one encoding of a point of G1.
pub(crate) fn encode_g1(point: &G1Affine) -> [u8; POINT_BYTES] {
    let mut bytes = [0; POINT_BYTES];
    bytes.copy_from_slice(point.to_bytes().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::halo2curves::{
        CurveAffine,
        bn256::G1,
        group::{Curve, Group},
    };
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    const ROUNDS: usize = 10_000;

    /// What the curve library makes of the bytes, where they are the encoding of what it makes.
    fn library(bytes: &[u8; POINT_BYTES]) -> Option<G1Affine> {
        let mut repr = <G1Affine as GroupEncoding>::Repr::default();
        repr.as_mut().copy_from_slice(bytes);
        let point = Option::<G1Affine>::from(G1Affine::from_bytes(&repr))?;
        (encode_g1(&point) == *bytes).then_some(point)
    }

    #[test]
    fn points_survive_their_encoding() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..ROUNDS {
            let point = G1::random(&mut rng).to_affine();
            assert_eq!(decode_g1(&encode_g1(&point)), Ok(point));
            let minus = -point;
            assert_eq!(decode_g1(&encode_g1(&minus)), Ok(minus));
        }
        assert_eq!(
            decode_g1(&encode_g1(&G1Affine::default())),
            Ok(G1Affine::default())
        );
    }

    #[test]
    fn bytes_are_points_where_the_curve_library_says_so() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut points = 0;
        for round in 0..ROUNDS {
            let mut bytes = [0; POINT_BYTES];
            rng.fill_bytes(&mut bytes);
            if round % 2 == 0 {
                bytes[POINT_BYTES - 1] &= !IDENTITY_BIT;
            }
            let ours = decode_g1(&bytes).ok();
            assert_eq!(ours, library(&bytes));
            if let Some(point) = ours {
                assert!(bool::from(point.is_on_curve()));
                points += 1;
            }
        }
        assert!(points > ROUNDS / 8);
        let mut modulus = (-Fq::ONE).to_repr();
        modulus[0] += 1;
        for (low, flags) in [
            (0u8, 0),
            (0, SIGN_BIT),
            (0, IDENTITY_BIT | SIGN_BIT),
            (1, IDENTITY_BIT),
        ] {
            let mut bytes = [0; POINT_BYTES];
            bytes[0] = low;
            bytes[POINT_BYTES - 1] = flags;
            assert_eq!(decode_g1(&bytes).ok(), library(&bytes));
        }
        assert_eq!(decode_g1(&modulus), Err(PointError::Encoding));
    }
}
