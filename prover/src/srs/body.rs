//! halo2's own layout of an SRS: `u32 k | 2^k G1 | 2^k G1 Lagrange | G2 | tau G2`, points uncompressed with
//! coordinates in Montgomery form (`SerdeFormat::RawBytes`). Other programs exchange setups as such files.

use super::check::{check_lagrange, check_powers, read_g1, read_tau_g2};
use super::container::body_bytes;
use super::fault::{Part, SrsError};
use super::{Trust, lagrange};
use halo2_proofs::halo2curves::bn256::{G1Affine, G2Affine};
use inferproof_verifier::srs::check_k;
use std::io::{Read, Seek, SeekFrom};

/// The parts of an SRS whose generators are the curve's.
pub(super) struct Parts {
    pub(super) k: u32,
    pub(super) g: Vec<G1Affine>,
    pub(super) g_lagrange: Vec<G1Affine>,
    pub(super) tau_g2: G2Affine,
}

/// Reads the layout from where the reader stands. Every point is checked alone; with [`Trust::Nothing`] the
/// points are also tested to be an SRS. The caller has compared k with the length of the input.
pub(super) fn read<R: Read>(reader: &mut R, trust: Trust) -> Result<Parts, SrsError> {
    let k = read_k(reader)?;
    let rows = 1usize << k;
    let g = read_g1(reader, rows, Part::Powers)?;
    let g_lagrange = read_g1(reader, rows, Part::Lagrange)?;
    let tau_g2 = read_tau_g2(reader)?;
    if trust == Trust::Nothing {
        check_powers(&g, &tau_g2)?;
        check_lagrange(k, &g, &g_lagrange)?;
    }
    Ok(Parts {
        k,
        g,
        g_lagrange,
        tau_g2,
    })
}

/// Reads a whole file of this layout, for `wanted` rows (log2) or all of them. For fewer rows than the file has
/// only the points needed are read, and the Lagrange basis is computed.
pub(super) fn read_file<R: Read + Seek>(reader: &mut R, wanted: Option<u32>) -> Result<Parts, SrsError> {
    let found = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    if found < 4 {
        return Err(SrsError::Length {
            what: "the file",
            expected: body_bytes(1),
            found,
        });
    }
    let available = read_k(reader)?;
    let expected = body_bytes(available);
    if found != expected {
        return Err(SrsError::Length {
            what: "a halo2 SRS of the stated size",
            expected,
            found,
        });
    }
    let k = wanted.unwrap_or(available);
    check_k(k)?;
    if k > available {
        return Err(SrsError::TooSmall { wanted: k, available });
    }
    if k == available {
        reader.rewind()?;
        return read(reader, Trust::Nothing);
    }
    let g = read_g1(reader, 1 << k, Part::Powers)?;
    reader.seek(SeekFrom::End(-2 * 128))?;
    let tau_g2 = read_tau_g2(reader)?;
    check_powers(&g, &tau_g2)?;
    let g_lagrange = lagrange::from_powers(k, &g);
    Ok(Parts {
        k,
        g,
        g_lagrange,
        tau_g2,
    })
}

fn read_k<R: Read>(reader: &mut R) -> Result<u32, SrsError> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    let k = u32::from_le_bytes(bytes);
    check_k(k)?;
    Ok(k)
}
