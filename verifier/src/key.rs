//! The verifying key: one network, one backend, one SRS.
//!
//! Bytes, integers in little endian:
//!
//! ```text
//! magic "INFPKEY\n" | version u32 | backend u8
//! descriptor length u32 | descriptor            (bincode 2, fixed-size integers)
//! SRS length u32        | verifier's SRS part   (bincode 2, fixed-size integers)
//! degree u32 | fixed columns u32 | permutation columns u32
//! fixed commitments, 32 each | permutation commitments, 32 each   (compressed, canonical)
//! SHA-256 of everything before it
//! ```
//!
//! The constraint system is not in the bytes: it is built from the descriptor's parameters, and the three
//! numbers must be the ones it has before a commitment is read.

use crate::backend::{Backend, proof_len};
use crate::bytes::{DIGEST_BYTES, POINT_BYTES, Reader, decode, encode};
use crate::domain::verifier_domain;
use crate::error::{KeyError, PointError};
use crate::model_id::ModelId;
use crate::points::{decode_g1, encode_g1};
use crate::srs::SrsVerifier;
use halo2_proofs::{
    halo2curves::{
        bn256::{Bn256, Fr, G1Affine},
        group::prime::PrimeCurveAffine,
    },
    plonk::{self, Circuit, ConstraintSystem, permutation},
    poly::kzg::commitment::ParamsKZG,
};
use inferproof_circuits::{circuit::InferenceCircuit, params::CircuitParams, statement::Descriptor};
use sha2::{Digest, Sha256};

/// Longest verifying key that is read.
pub const MAX_KEY_BYTES: usize = 4 << 20;

/// Most points in one sum that is evaluated. From 8104 on, halo2curves 0.7.3 adds points in affine form,
/// where the point at infinity, which a proof or a zero fixed column may hold, panics or is added wrongly.
pub(crate) const MAX_TERMS: usize = 8000;

const MAGIC: &[u8; 8] = b"INFPKEY\n";
const FORMAT_VERSION: u32 = 2;
const MAX_DESCRIPTOR_BYTES: usize = 3 << 20;
const MAX_SRS_BYTES: usize = 256;
const MAX_NAME_BYTES: usize = 1024;
const MAX_TAIL: usize = 64;
/// The environment variable by which halo2 clamps the constraint degree.
const MAX_DEGREE: &str = "MAX_DEGREE";

/// A verifying key, complete and checked.
#[derive(Clone)]
pub struct VerifyingKey {
    descriptor: Descriptor,
    backend: Backend,
    srs: SrsVerifier,
    halo2: plonk::VerifyingKey<G1Affine>,
    params: ParamsKZG<Bn256>,
    proof_len: usize,
    bytes: Vec<u8>,
    id: ModelId,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            descriptor,
            backend,
            id,
            ..
        } = self;
        let mut out = f.debug_struct("VerifyingKey");
        out.field("id", id)
            .field("backend", backend)
            .field("k", &descriptor.k)
            .finish_non_exhaustive()
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl VerifyingKey {
    /// Assembles the key of a network from what key generation made.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Foreign`] when `halo2` was made from other parameters or another `k`, or with
    /// compressed selectors.
    pub fn from_parts(
        descriptor: Descriptor,
        backend: Backend,
        srs: SrsVerifier,
        halo2: &plonk::VerifyingKey<G1Affine>,
    ) -> Result<Self, KeyError> {
        let header = Header::check(descriptor, backend, srs)?;
        let fixed = halo2.fixed_commitments().clone();
        let permutation = halo2.permutation().commitments().clone();
        header.check_counts(header.degree(), fixed.len(), permutation.len())?;
        let key = header.assemble(fixed, permutation)?;
        if key.halo2.transcript_repr() != halo2.transcript_repr() || halo2.compress_selectors() {
            return Err(KeyError::Foreign);
        }
        Ok(key)
    }

    /// Reads a key. Never panics; time and memory are bounded by the length and [`Descriptor::validate`].
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let (header, mut points) = read_header(bytes)?;
        let fixed = read_points(&mut points, header.cs.num_fixed_columns(), "fixed")?;
        let permutation = read_points(&mut points, header.num_permuted(), "permutation")?;
        let key = header.assemble(fixed, permutation)?;
        if key.bytes != bytes {
            return Err(KeyError::Field { field: "encoding" });
        }
        Ok(key)
    }

    /// The one encoding of the key.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest that names the model.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// The network's public description.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The commitment backend.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The verifier's part of the SRS.
    #[must_use]
    pub fn srs(&self) -> &SrsVerifier {
        &self.srs
    }

    /// True when whoever made the SRS can forge proofs.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.srs.is_insecure()
    }

    /// Length in bytes of every proof under this key.
    #[must_use]
    pub fn proof_len(&self) -> usize {
        self.proof_len
    }

    /// Number of rows that hold values; the rest blind the columns.
    #[must_use]
    pub fn usable_rows(&self) -> usize {
        usable_rows(self.descriptor.k, self.halo2.cs())
    }

    /// Bounds the points of the sums that verifying one proof evaluates.
    pub(crate) fn max_terms(&self) -> usize {
        max_terms(self.proof_len, self.halo2.cs())
    }

    pub(crate) fn halo2(&self) -> &plonk::VerifyingKey<G1Affine> {
        &self.halo2
    }

    pub(crate) fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }
}

/// Refuses to go on when the environment changes constraint degrees.
///
/// # Errors
/// [`KeyError::MaxDegreeSet`].
pub(crate) fn check_environment() -> Result<(), KeyError> {
    match std::env::var_os(MAX_DEGREE) {
        None => Ok(()),
        Some(_) => Err(KeyError::MaxDegreeSet),
    }
}

/// Everything of a key but its commitments, checked, with the constraint system that it implies.
struct Header {
    descriptor: Descriptor,
    backend: Backend,
    srs: SrsVerifier,
    cs: ConstraintSystem<Fr>,
    params: ParamsKZG<Bn256>,
}

impl Header {
    fn check(descriptor: Descriptor, backend: Backend, srs: SrsVerifier) -> Result<Self, KeyError> {
        check_environment()?;
        check_descriptor(&descriptor)?;
        if descriptor.k != srs.k() {
            return Err(KeyError::Rows {
                k: descriptor.k,
                srs_k: srs.k(),
            });
        }
        let params = srs.to_params().map_err(|source| KeyError::Srs { source })?;
        let cs = constraint_system(&descriptor.params);
        let header = Self {
            descriptor,
            backend,
            srs,
            cs,
            params,
        };
        header.check_system()?;
        Ok(header)
    }

    fn check_system(&self) -> Result<(), KeyError> {
        let columns = self.cs.num_instance_columns();
        if columns != 1 {
            return Err(KeyError::Count {
                what: "instance columns",
                expected: columns,
                actual: 1,
            });
        }
        if usable_rows(self.descriptor.k, &self.cs) == 0 {
            return Err(KeyError::Rows {
                k: self.descriptor.k,
                srs_k: self.srs.k(),
            });
        }
        Ok(())
    }

    fn degree(&self) -> usize {
        self.cs.degree()
    }

    fn num_permuted(&self) -> usize {
        self.cs.permutation().get_columns().len()
    }

    fn check_counts(&self, degree: usize, fixed: usize, permutation: usize) -> Result<(), KeyError> {
        let counts = [
            ("degree", self.degree(), degree),
            ("fixed columns", self.cs.num_fixed_columns(), fixed),
            ("permutation columns", self.num_permuted(), permutation),
        ];
        counts.into_iter().try_for_each(|(what, expected, actual)| {
            if expected == actual {
                Ok(())
            } else {
                Err(KeyError::Count {
                    what,
                    expected,
                    actual,
                })
            }
        })
    }

    fn assemble(self, fixed: Vec<G1Affine>, permutation: Vec<G1Affine>) -> Result<VerifyingKey, KeyError> {
        let bytes = self.encode(&fixed, &permutation)?;
        let (k, degree) = (self.descriptor.k, self.degree());
        let domain = verifier_domain(k, degree).ok_or(KeyError::Degree { degree, k })?;
        let proof_len = proof_len(self.backend, &self.cs);
        let terms = max_terms(proof_len, &self.cs);
        if terms > MAX_TERMS {
            return Err(KeyError::Terms { terms });
        }
        let permutation = permutation::VerifyingKey::from_commitments(permutation);
        let halo2 = plonk::VerifyingKey::from_parts(domain, fixed, permutation, self.cs, Vec::new(), false);
        let id = ModelId::of_key_bytes(&bytes);
        let Self {
            descriptor,
            backend,
            srs,
            params,
            ..
        } = self;
        Ok(VerifyingKey {
            descriptor,
            backend,
            srs,
            halo2,
            params,
            proof_len,
            bytes,
            id,
        })
    }

    fn encode(&self, fixed: &[G1Affine], permutation: &[G1Affine]) -> Result<Vec<u8>, KeyError> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.push(self.backend.code());
        let descriptor = encode::<MAX_DESCRIPTOR_BYTES, _>(&self.descriptor);
        push_part(&mut out, descriptor, "descriptor")?;
        push_part(&mut out, encode::<MAX_SRS_BYTES, _>(&self.srs), "SRS part")?;
        push_count(&mut out, self.degree(), "degree")?;
        push_count(&mut out, fixed.len(), "fixed columns")?;
        push_count(&mut out, permutation.len(), "permutation columns")?;
        for point in fixed.iter().chain(permutation) {
            out.extend_from_slice(&encode_g1(point));
        }
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        if out.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong { bytes: out.len() });
        }
        Ok(out)
    }
}

/// Checks envelope and header, and gives the bytes of the commitments, exactly as many as the constraint
/// system asks for.
fn read_header(bytes: &[u8]) -> Result<(Header, Reader<'_>), KeyError> {
    let body = read_envelope(bytes)?;
    let mut reader = Reader::new(body);
    let code = reader.byte().ok_or(KeyError::Truncated { field: "backend" })?;
    let backend = Backend::from_code(code).ok_or(KeyError::Backend { code })?;
    let descriptor = read_part(&mut reader, "descriptor")?;
    let descriptor = decode::<MAX_DESCRIPTOR_BYTES, Descriptor>(descriptor);
    let descriptor = descriptor.ok_or(KeyError::Field { field: "descriptor" })?;
    let srs = read_part(&mut reader, "SRS part")?;
    let srs = decode::<MAX_SRS_BYTES, SrsVerifier>(srs).ok_or(KeyError::Field { field: "SRS part" })?;
    let mut count = || reader.count().ok_or(KeyError::Truncated { field: "counts" });
    let (degree, fixed, permutation) = (count()?, count()?, count()?);
    let header = Header::check(descriptor, backend, srs)?;
    header.check_counts(degree, fixed, permutation)?;
    let expected = (fixed + permutation) * POINT_BYTES;
    if reader.len() != expected {
        return Err(KeyError::Count {
            what: "bytes of commitments",
            expected,
            actual: reader.len(),
        });
    }
    Ok((header, reader))
}

/// Checks length, magic, version and checksum, and gives what lies between.
fn read_envelope(bytes: &[u8]) -> Result<&[u8], KeyError> {
    if bytes.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong { bytes: bytes.len() });
    }
    let mut reader = Reader::new(bytes);
    if reader.slice(MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(KeyError::Magic);
    }
    let version = reader.u32().ok_or(KeyError::Truncated { field: "version" })?;
    if version != FORMAT_VERSION {
        return Err(KeyError::Version {
            version,
            supported: FORMAT_VERSION,
        });
    }
    let body = reader
        .len()
        .checked_sub(DIGEST_BYTES)
        .and_then(|len| reader.slice(len));
    let body = body.ok_or(KeyError::Truncated { field: "checksum" })?;
    let checksum: [u8; DIGEST_BYTES] = reader.array().ok_or(KeyError::Truncated { field: "checksum" })?;
    let (covered, _) = bytes.split_at(bytes.len() - DIGEST_BYTES);
    if <[u8; DIGEST_BYTES]>::from(Sha256::digest(covered)) != checksum {
        return Err(KeyError::Checksum);
    }
    Ok(body)
}

fn read_part<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a [u8], KeyError> {
    let len = reader.count().ok_or(KeyError::Truncated { field })?;
    reader.slice(len).ok_or(KeyError::Truncated { field })
}

/// Reads commitments. A fixed column may be zero, so its commitment may be the identity; a permutation
/// polynomial takes 2^k different values and is never zero.
fn read_points(reader: &mut Reader<'_>, count: usize, what: &'static str) -> Result<Vec<G1Affine>, KeyError> {
    let read = |index| {
        let bytes = reader
            .array()
            .ok_or(KeyError::Truncated { field: "commitments" })?;
        let point = decode_g1(&bytes).map_err(|source| KeyError::Commitment { what, index, source })?;
        if what == "permutation" && bool::from(point.is_identity()) {
            return Err(KeyError::Commitment {
                what,
                index,
                source: PointError::Identity,
            });
        }
        Ok(point)
    };
    (0..count).map(read).collect()
}

fn push_part(out: &mut Vec<u8>, part: Option<Vec<u8>>, field: &'static str) -> Result<(), KeyError> {
    let part = part.ok_or(KeyError::Field { field })?;
    push_count(out, part.len(), field)?;
    out.extend_from_slice(&part);
    Ok(())
}

fn push_count(out: &mut Vec<u8>, count: usize, field: &'static str) -> Result<(), KeyError> {
    let count = u32::try_from(count).map_err(|_| KeyError::Field { field })?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

/// The constraint system that the parameters configure, selectors made fixed columns as key generation does.
fn constraint_system(params: &CircuitParams) -> ConstraintSystem<Fr> {
    let mut cs = ConstraintSystem::default();
    InferenceCircuit::configure_with_params(&mut cs, params.clone());
    let selectors = vec![Vec::new(); cs.num_selectors()];
    cs.directly_convert_selectors_to_fixed(selectors).0
}

/// Each point of a proof is in one term or two (the openings), each evaluation in one at most, and each
/// commitment of the key in one for SHPLONK; the generator is one more.
fn max_terms(proof_len: usize, cs: &ConstraintSystem<Fr>) -> usize {
    proof_len / POINT_BYTES + cs.num_fixed_columns() + cs.permutation().get_columns().len() + 16
}

fn usable_rows(k: u32, cs: &ConstraintSystem<Fr>) -> usize {
    let rows = 1usize.checked_shl(k).unwrap_or(0);
    if rows < cs.minimum_rows() {
        0
    } else {
        rows - (cs.blinding_factors() + 1)
    }
}

fn check_descriptor(descriptor: &Descriptor) -> Result<(), KeyError> {
    descriptor
        .validate()
        .map_err(|source| KeyError::Descriptor { source })?;
    let mut ports = descriptor.inputs.iter().chain(&descriptor.outputs);
    match ports.position(|port| port.name.len() > MAX_NAME_BYTES || port.tail.len() > MAX_TAIL) {
        None => Ok(()),
        Some(port) => Err(KeyError::Port { port }),
    }
}
