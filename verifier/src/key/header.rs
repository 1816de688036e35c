//! What a key holds beside its commitments, and the constraint system that it implies.

use super::wire::{MAX_DESCRIPTOR_BYTES, MAX_SRS_BYTES, begin, push_count, push_part, seal};
use super::{VerifyingKey, check_environment};
use crate::backend::{Backend, proof_len};
use crate::bytes::encode;
use crate::domain::verifier_domain;
use crate::error::KeyError;
use crate::model_id::ModelId;
use crate::plonk::System;
use crate::points::encode_g1;
use crate::scheme::Scheme;
use crate::srs::SrsVerifier;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    plonk::{self, Circuit, ConstraintSystem, permutation},
};
use inferproof_circuits::{circuit::InferenceCircuit, params::CircuitParams, statement::Descriptor};

const MAX_NAME_BYTES: usize = 1024;
const MAX_TAIL: usize = 64;

/// Everything of a key but its commitments, checked, with the constraint system that it implies.
pub(super) struct Header {
    pub(super) descriptor: Descriptor,
    pub(super) backend: Backend,
    pub(super) srs: SrsVerifier,
    pub(super) cs: ConstraintSystem<Fr>,
    scheme: Scheme,
    system: System,
}

impl Header {
    pub(super) fn check(
        descriptor: Descriptor,
        backend: Backend,
        srs: SrsVerifier,
    ) -> Result<Self, KeyError> {
        check_environment()?;
        check_descriptor(&descriptor)?;
        if descriptor.k != srs.k() {
            return Err(KeyError::Rows {
                k: descriptor.k,
                srs_k: srs.k(),
            });
        }
        if backend.is_transparent() != srs.is_transparent() {
            return Err(KeyError::Setup { backend });
        }
        let cs = constraint_system(&descriptor.params);
        let system = System::new(&cs).ok_or(KeyError::System)?;
        let scheme = srs.scheme().map_err(|source| KeyError::Srs { source })?;
        let header = Self {
            descriptor,
            backend,
            srs,
            cs,
            scheme,
            system,
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

    pub(super) fn degree(&self) -> usize {
        self.cs.degree()
    }

    pub(super) fn num_permuted(&self) -> usize {
        self.cs.permutation().get_columns().len()
    }

    pub(super) fn check_counts(
        &self,
        degree: usize,
        fixed: usize,
        permutation: usize,
    ) -> Result<(), KeyError> {
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

    pub(super) fn assemble(
        self,
        fixed: Vec<G1Affine>,
        permutation: Vec<G1Affine>,
    ) -> Result<VerifyingKey, KeyError> {
        let bytes = self.encode(&fixed, &permutation)?;
        let (k, degree) = (self.descriptor.k, self.degree());
        let domain = verifier_domain(k, degree).ok_or(KeyError::Degree { degree, k })?;
        let proof_len = proof_len(self.backend, &self.system.layout, k);
        let permutation = permutation::VerifyingKey::from_commitments(permutation);
        let halo2 = plonk::VerifyingKey::from_parts(domain, fixed, permutation, self.cs, Vec::new(), false);
        let id = ModelId::of_key_bytes(&bytes);
        let Self {
            descriptor,
            backend,
            srs,
            scheme,
            system,
            ..
        } = self;
        Ok(VerifyingKey {
            descriptor,
            backend,
            srs,
            halo2,
            scheme,
            system,
            proof_len,
            bytes,
            id,
        })
    }

    fn encode(&self, fixed: &[G1Affine], permutation: &[G1Affine]) -> Result<Vec<u8>, KeyError> {
        let mut out = begin();
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
        seal(out)
    }
}

/// The constraint system that the parameters configure, selectors made fixed columns as key generation does.
fn constraint_system(params: &CircuitParams) -> ConstraintSystem<Fr> {
    let mut cs = ConstraintSystem::default();
    InferenceCircuit::configure_with_params(&mut cs, params.clone());
    let selectors = vec![Vec::new(); cs.num_selectors()];
    cs.directly_convert_selectors_to_fixed(selectors).0
}

pub(super) fn usable_rows(k: u32, cs: &ConstraintSystem<Fr>) -> usize {
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
