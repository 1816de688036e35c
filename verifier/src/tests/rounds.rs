//! The order of the rounds: v is drawn after the overhang's commitment, and depends on all that precedes it.
//!
//! `circuits/tests/soundness.rs` shows what a prover could do that knew v first: a wrong output that satisfies every
//! constraint.

use super::fixture::{Model, small, two_proofs};
use crate::statement::instance_column;
use crate::transcript::StrictReader;
use crate::{Backend, ProofFile, statement_scalar};
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::circuit::{CHALLENGES_BEFORE_POINT, early_points};

/// What the verifier draws as v when it reads these bytes under a statement and an instance column.
fn v(model: &Model, statement: Fr, column: &[Fr], proof: &[u8]) -> Fr {
    let params = &model.key.descriptor().params;
    let mut reader = StrictReader::new(statement, params, proof).unwrap();
    reader.absorb(model.key.halo2().transcript_repr()).unwrap();
    column.iter().for_each(|value| reader.absorb(*value).unwrap());
    let advice = model.key.halo2().cs().num_advice_columns();
    let early = early_points(params);
    for _ in 1..early {
        reader.point().unwrap();
    }
    for _ in 0..CHALLENGES_BEFORE_POINT {
        reader.challenge();
    }
    for _ in early..=advice {
        reader.point().unwrap();
    }
    reader.challenge()
}

fn absorbed(model: &Model, file: &ProofFile) -> (Fr, Vec<Fr>) {
    let (inputs, outputs) = (file.input_tensors(), file.output_tensors());
    let statement = statement_scalar(&model.key, &inputs, &outputs, file.nonce.as_ref()).unwrap();
    (statement, instance_column(&model.key, &inputs, &outputs).unwrap())
}

#[test]
fn soundness_v_depends_on_every_commitment_up_to_the_overhang_and_on_none_after_it() {
    for backend in [Backend::Shplonk, Backend::Gwc] {
        let (model, [file, other]) = (small(backend), two_proofs(backend));
        let (statement, column) = absorbed(model, file);
        let honest = v(model, statement, &column, &file.proof);
        let early = early_points(&model.key.descriptor().params);
        for point in 0..model.key.halo2().cs().num_advice_columns() {
            // Another valid point in the place of one commitment.
            let mut swapped = file.proof.clone();
            let at = 32 * point..32 * (point + 1);
            swapped[at.clone()].copy_from_slice(&other.proof[at]);
            let drawn = v(model, statement, &column, &swapped);
            assert_eq!(
                drawn != honest,
                point < early,
                "{backend}, commitment {point} of {early}"
            );
        }
        let (foreign, rows) = absorbed(model, other);
        assert_ne!(v(model, foreign, &column, &file.proof), honest);
        assert_ne!(v(model, statement, &rows, &file.proof), honest);
    }
}
