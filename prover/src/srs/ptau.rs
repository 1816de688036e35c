//! Powers of tau as snarkjs writes them (`.ptau`, version 1). Integers are little-endian.
//!
//! ```text
//! "ptau" | u32 version | u32 number of sections | { u32 type | u64 length | contents }*
//!  1  header    u32 32 | prime of Fq, 32 bytes | u32 power p | u32 power of the ceremony
//!  2  tau G1    2^(p+1) - 1 points
//!  3  tau G2    2^p points
//! 12  Lagrange  for each j in 0..=p+1: the 2^j points of that domain (files prepared for phase 2 only)
//! ```
//!
//! Points are uncompressed, coordinates in Montgomery form with R = 2^256, as in halo2's own layout. The root of
//! unity differs from halo2's, so the Lagrange points stand in another order.

use super::body::Parts;
use super::check::{G1_BYTES, G2_BYTES, check_lagrange, check_powers, read_g1, read_tau_g2};
use super::fault::{Part, SectionFault, SrsError};
use super::lagrange;
use inferproof_verifier::srs::{MAX_K, check_k};
use std::io::{Read, Seek, SeekFrom};

const FORMAT: &str = "ptau";
const MAGIC: [u8; 4] = *b"ptau";
const VERSION: u32 = 1;
const MAX_SECTIONS: u32 = 64;
/// Largest power that a file may have: the two-adicity of Fr.
const MAX_POWER: u32 = 28;
const HEADER: u32 = 1;
const HEADER_BYTES: u64 = 44;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const LAGRANGE_G1: u32 = 12;
/// The prime of Fq for BN254, little-endian.
const PRIME: [u8; 32] = [
    0x47, 0xfd, 0x7c, 0xd8, 0x16, 0x8c, 0x20, 0x3c, 0x8d, 0xca, 0x71, 0x68, 0x91, 0x6a, 0x81, 0x97, 0x5d,
    0x58, 0x81, 0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
];

/// Where a section's contents lie.
#[derive(Debug, Clone, Copy)]
struct Section {
    kind: u32,
    start: u64,
    length: u64,
}

/// Reads the points for `wanted` rows (log2), or for as many as the file and [`MAX_K`] allow, and tests them.
pub(super) fn read<R: Read + Seek>(reader: &mut R, wanted: Option<u32>) -> Result<Parts, SrsError> {
    let sections = read_table(reader)?;
    let power = read_header(reader, &sections)?;
    let k = wanted.unwrap_or(power.min(MAX_K));
    check_k(k)?;
    if k > power {
        return Err(SrsError::TooSmall {
            wanted: k,
            available: power,
        });
    }
    let tau_g1 = find(&sections, TAU_G1)?;
    check_length(
        "section 2 (tau G1)",
        tau_g1,
        ((2u64 << power) - 1) * G1_BYTES as u64,
    )?;
    let tau_g2 = find(&sections, TAU_G2)?;
    check_length("section 3 (tau G2)", tau_g2, (1u64 << power) * G2_BYTES as u64)?;

    reader.seek(SeekFrom::Start(tau_g2.start))?;
    let tau_g2 = read_tau_g2(reader)?;
    reader.seek(SeekFrom::Start(tau_g1.start))?;
    let g = read_g1(reader, 1 << k, Part::Powers)?;
    check_powers(&g, &tau_g2)?;
    let g_lagrange = match find(&sections, LAGRANGE_G1) {
        Ok(section) => {
            check_length(
                "section 12 (Lagrange G1)",
                section,
                ((4u64 << power) - 1) * G1_BYTES as u64,
            )?;
            let offset = ((1u64 << k) - 1) * G1_BYTES as u64;
            reader.seek(SeekFrom::Start(section.start + offset))?;
            let points = lagrange::from_snarkjs_order(k, &read_g1(reader, 1 << k, Part::Lagrange)?);
            check_lagrange(k, &g, &points)?;
            points
        }
        Err(SrsError::Section {
            fault: SectionFault::Missing,
            ..
        }) => lagrange::from_powers(k, &g),
        Err(other) => return Err(other),
    };
    Ok(Parts {
        k,
        g,
        g_lagrange,
        tau_g2,
    })
}

fn read_u32<R: Read>(reader: &mut R) -> Result<u32, SrsError> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_u64<R: Read>(reader: &mut R) -> Result<u64, SrsError> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads the section table: the sections must fill the file to its end.
fn read_table<R: Read + Seek>(reader: &mut R) -> Result<Vec<Section>, SrsError> {
    let end = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    let mut magic = [0; 4];
    let read = reader.read_exact(&mut magic);
    if read.is_err() || magic != MAGIC {
        return Err(SrsError::Magic { format: FORMAT });
    }
    let version = read_u32(reader)?;
    if version != VERSION {
        return Err(SrsError::Version {
            format: FORMAT,
            found: version,
            supported: VERSION,
        });
    }
    let count = read_u32(reader)?;
    if count > MAX_SECTIONS {
        return Err(SrsError::Header {
            field: "number of sections",
        });
    }
    let mut sections = Vec::new();
    let mut position = 12u64;
    for _ in 0..count {
        let (kind, length) = (read_u32(reader)?, read_u64(reader)?);
        let start = position + 12;
        let fault = SrsError::Section {
            section: kind,
            fault: SectionFault::PastTheEnd,
        };
        position = start
            .checked_add(length)
            .filter(|next| *next <= end)
            .ok_or(fault)?;
        sections.push(Section { kind, start, length });
        reader.seek(SeekFrom::Start(position))?;
    }
    if position != end {
        return Err(SrsError::Length {
            what: "the file",
            expected: position,
            found: end,
        });
    }
    Ok(sections)
}

fn find(sections: &[Section], kind: u32) -> Result<Section, SrsError> {
    let mut found = sections.iter().filter(|section| section.kind == kind);
    let fault = match (found.next(), found.next()) {
        (Some(section), None) => return Ok(*section),
        (None, _) => SectionFault::Missing,
        (Some(_), Some(_)) => SectionFault::Duplicate,
    };
    Err(SrsError::Section { section: kind, fault })
}

fn check_length(what: &'static str, section: Section, expected: u64) -> Result<(), SrsError> {
    if section.length == expected {
        Ok(())
    } else {
        Err(SrsError::Length {
            what,
            expected,
            found: section.length,
        })
    }
}

/// Checks the curve and returns the power.
fn read_header<R: Read + Seek>(reader: &mut R, sections: &[Section]) -> Result<u32, SrsError> {
    let section = find(sections, HEADER)?;
    check_length("section 1 (header)", section, HEADER_BYTES)?;
    reader.seek(SeekFrom::Start(section.start))?;
    let mut prime = [0; 32];
    let prime_bytes = read_u32(reader)?;
    reader.read_exact(&mut prime)?;
    if prime_bytes != 32 || prime != PRIME {
        return Err(SrsError::Curve);
    }
    let (power, ceremony) = (read_u32(reader)?, read_u32(reader)?);
    if power == 0 || power > MAX_POWER || ceremony < power || ceremony > MAX_POWER {
        return Err(SrsError::Header { field: "power" });
    }
    Ok(power)
}
