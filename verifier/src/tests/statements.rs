//! Statements: another value, shape, name, nonce, model, backend or SRS is refused.

use super::fixture::{Model, Spec, VALUES, small, srs, srs_verifier, two_proofs};
use crate::statement::instance_column;
use crate::verify::run;
use crate::{
    Backend, ModelId, ProofFile, StatementMismatch, Trusted, VerifyError, VerifyOptions, VerifyingKey,
    statement_scalar, verify,
};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::tensor::{DType, Shape, Tensor};

const BACKENDS: [Backend; 2] = [Backend::Shplonk, Backend::Gwc];

fn default_check(trusted: Trusted<'_>, file: &ProofFile) -> Result<(), VerifyError> {
    verify(trusted, file, &VerifyOptions::default()).map(|_| ())
}

fn changed(tensor: &Tensor, at: usize, by: i32) -> Option<Tensor> {
    let mut data = tensor.data().to_vec();
    data[at] += by;
    Tensor::new(tensor.shape().clone(), tensor.dtype(), data).ok()
}

#[test]
fn every_public_value_changed_by_one_is_rejected() {
    for backend in BACKENDS {
        for file in two_proofs(backend) {
            for by in [-1, 1] {
                for at in 0..file.inputs[0].tensor.data().len() {
                    let Some(tensor) = changed(&file.inputs[0].tensor, at, by) else {
                        continue;
                    };
                    let mut other = file.clone();
                    other.inputs[0].tensor = tensor;
                    assert_eq!(small(backend).check(&other), Err(VerifyError::Rejected));
                }
                for at in 0..file.outputs[0].tensor.data().len() {
                    let Some(tensor) = changed(&file.outputs[0].tensor, at, by) else {
                        continue;
                    };
                    let mut other = file.clone();
                    other.outputs[0].tensor = tensor;
                    assert_eq!(small(backend).check(&other), Err(VerifyError::Rejected));
                }
            }
        }
    }
}

#[test]
fn instance_columns_of_other_lengths_or_values_are_refused() {
    for backend in BACKENDS {
        let (key, file) = (&small(backend).key, &two_proofs(backend)[0]);
        let (inputs, outputs) = (file.input_tensors(), file.output_tensors());
        let statement = statement_scalar(key, &inputs, &outputs, None).unwrap();
        let column = instance_column(key, &inputs, &outputs).unwrap();
        let check = |column: &[Fr]| run(key, column, statement, &file.proof);
        check(&column).unwrap();
        assert_eq!(check(&column[..column.len() - 1]), Err(VerifyError::Rejected));
        assert_eq!(check(&column[1..]), Err(VerifyError::Rejected));
        let rows = key.usable_rows();
        let n = 1 << key.descriptor().k;
        for len in column.len() + 1..=n + 2 {
            let mut padded = column.clone();
            padded.resize(len, Fr::ZERO);
            let refused = if len <= rows {
                VerifyError::Rejected
            } else {
                StatementMismatch::Rows { rows, actual: len }.into()
            };
            assert_eq!(check(&padded), Err(refused));
        }
        for at in 0..column.len() {
            for value in [
                column[at] + Fr::ONE,
                column[at] - Fr::ONE,
                -column[at] - Fr::ONE,
                Fr::ZERO,
            ] {
                let mut other = column.clone();
                other[at] = value;
                if other != column {
                    assert_eq!(check(&other), Err(VerifyError::Rejected));
                }
            }
        }
    }
}

#[test]
fn a_column_that_wraps_around_is_refused_where_halo2_accepts_it() {
    let model = small(Backend::Shplonk);
    let file = &two_proofs(Backend::Shplonk)[0];
    let (inputs, outputs) = (file.input_tensors(), file.output_tensors());
    let statement = statement_scalar(&model.key, &inputs, &outputs, None).unwrap();
    let honest = instance_column(&model.key, &inputs, &outputs).unwrap();
    let n = 1 << model.key.descriptor().k;
    let mut aliased = honest.clone();
    aliased.resize(n + 1, Fr::ZERO);
    aliased[0] = honest[0] - Fr::from(41);
    aliased[n] = Fr::from(41);
    let proof = super::fixture::wrapped_proof(model, &[1, -2, 3, 100], &honest, &aliased, statement);
    assert!(super::fixture::stock_accepts(model, &aliased, statement, &proof));
    let result = run(&model.key, &aliased, statement, &proof);
    let rows = model.key.usable_rows();
    assert_eq!(
        result,
        Err(StatementMismatch::Rows { rows, actual: n + 1 }.into())
    );
}

fn statement_error(file: &ProofFile) -> StatementMismatch {
    match small(Backend::Shplonk).check(file) {
        Err(VerifyError::Statement { source }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tensors_unlike_the_ports_are_statement_mismatches() {
    let file = &two_proofs(Backend::Shplonk)[0];
    for values in [2, 4] {
        let mut other = file.clone();
        let shape = Shape::new(vec![1, values]).unwrap();
        other.outputs[0].tensor = Tensor::new(shape, DType::I8, vec![0; values]).unwrap();
        assert!(matches!(
            statement_error(&other),
            StatementMismatch::Shape { side: "output", .. }
        ));
    }
    let mut other = file.clone();
    let flat = Shape::new(vec![VALUES]).unwrap();
    other.inputs[0].tensor = Tensor::new(flat, DType::I8, file.inputs[0].tensor.data().to_vec()).unwrap();
    assert!(matches!(
        statement_error(&other),
        StatementMismatch::Shape { side: "input", .. }
    ));
    let mut other = file.clone();
    let shape = file.inputs[0].tensor.shape().clone();
    other.inputs[0].tensor = Tensor::new(shape, DType::U8, vec![1; VALUES]).unwrap();
    assert!(matches!(statement_error(&other), StatementMismatch::DType { .. }));
    let mut other = file.clone();
    other.inputs[0].name.push('x');
    assert!(matches!(statement_error(&other), StatementMismatch::Name { .. }));
    let mut other = file.clone();
    other.inputs.push(file.inputs[0].clone());
    assert!(matches!(
        statement_error(&other),
        StatementMismatch::Count {
            expected: 1,
            actual: 2,
            ..
        }
    ));
    let mut other = file.clone();
    other.outputs.clear();
    assert!(matches!(
        statement_error(&other),
        StatementMismatch::Count {
            expected: 1,
            actual: 0,
            ..
        }
    ));
}

#[test]
fn expectations_are_enforced() {
    let (key, file) = (&small(Backend::Gwc).key, &two_proofs(Backend::Gwc)[1]);
    let honest = VerifyOptions {
        allow_insecure_srs: false,
        expected_inputs: Some(file.input_tensors()),
        expected_outputs: Some(file.output_tensors()),
        nonce: file.nonce,
    };
    let check = |options: &VerifyOptions| verify(Trusted::Key(key), file, options).map(|_| ());
    check(&honest).unwrap();
    let wrong = changed(&file.inputs[0].tensor, 0, 1).unwrap();
    let mismatch = |side| Err(StatementMismatch::Value { side, index: 0 }.into());
    let options = VerifyOptions {
        expected_inputs: Some(vec![wrong.clone()]),
        ..honest.clone()
    };
    assert_eq!(check(&options), mismatch("input"));
    let options = VerifyOptions {
        expected_outputs: Some(vec![wrong]),
        ..honest.clone()
    };
    assert_eq!(check(&options), mismatch("output"));
    let options = VerifyOptions {
        expected_outputs: Some(vec![]),
        ..honest.clone()
    };
    assert!(matches!(check(&options), Err(VerifyError::Statement { .. })));
    let options = VerifyOptions {
        nonce: Some([8; 32]),
        ..honest
    };
    assert_eq!(check(&options), Err(StatementMismatch::Nonce.into()));
}

#[test]
fn the_nonce_is_bound() {
    let model = small(Backend::Shplonk);
    let [plain, bound] = two_proofs(Backend::Shplonk);
    for (file, nonce) in [(plain, Some([0; 32])), (bound, None), (bound, Some([8; 32]))] {
        let other = ProofFile {
            nonce,
            ..file.clone()
        };
        assert_eq!(model.check(&other), Err(VerifyError::Rejected));
    }
}

#[test]
fn the_model_comes_from_the_caller() {
    let (shplonk, gwc) = (small(Backend::Shplonk), small(Backend::Gwc));
    let file = &two_proofs(Backend::Shplonk)[0];
    default_check(Trusted::ModelId(shplonk.key.id()), file).unwrap();
    for trusted in [Trusted::ModelId(gwc.key.id()), Trusted::Key(&gwc.key)] {
        let error = default_check(trusted, file).unwrap_err();
        let (expected, actual) = (gwc.key.id(), shplonk.key.id());
        assert_eq!(error, VerifyError::WrongModel { expected, actual });
    }
    let renamed = ProofFile {
        model: gwc.key.id(),
        ..file.clone()
    };
    for trusted in [
        Trusted::ModelId(gwc.key.id()),
        Trusted::Key(&gwc.key),
        Trusted::Key(&shplonk.key),
    ] {
        let error = default_check(trusted, &renamed).unwrap_err();
        assert!(matches!(error, VerifyError::WrongModel { .. }), "{error}");
    }
    let mut junk = file.clone();
    junk.key = b"junk".to_vec();
    junk.model = ModelId::of_key_bytes(&junk.key);
    let error = default_check(Trusted::ModelId(junk.model), &junk).unwrap_err();
    assert!(matches!(error, VerifyError::MalformedKey { .. }), "{error}");
}

/// The file as a cheat would write it for another key.
pub fn relabelled(file: &ProofFile, key: &VerifyingKey) -> ProofFile {
    let (backend, model, key) = (key.backend(), key.id(), key.to_bytes().to_vec());
    ProofFile {
        backend,
        model,
        key,
        ..file.clone()
    }
}

#[test]
fn a_proof_is_rejected_under_another_key() {
    for backend in BACKENDS {
        let (model, file) = (small(backend), &two_proofs(backend)[0]);
        let k = model.k();
        let honest_part = model.key.srs().clone();
        let other_srs = model.rekey(backend, srs_verifier(k, &srs(k, 99), false));
        let insecure = model.rekey(backend, srs_verifier(k, &model.srs, true));
        let other_tau = Model::new(Spec {
            tau: 99,
            ..Spec::small(backend)
        });
        for key in [&other_srs, &other_tau.key, &insecure] {
            let file = relabelled(file, key);
            let options = VerifyOptions {
                allow_insecure_srs: true,
                ..VerifyOptions::default()
            };
            let result = verify(Trusted::Key(key), &file, &options);
            assert_eq!(result, Err(VerifyError::Rejected), "{key:?}");
        }
        let other = if backend == Backend::Gwc {
            Backend::Shplonk
        } else {
            Backend::Gwc
        };
        let key = model.rekey(other, honest_part);
        let error = default_check(Trusted::Key(&key), &relabelled(file, &key)).unwrap_err();
        assert!(matches!(error, VerifyError::MalformedLength { .. }), "{error}");
        let mut mixed = file.clone();
        mixed.backend = other;
        assert!(matches!(
            model.check(&mixed),
            Err(VerifyError::WrongBackend { .. })
        ));
    }
}

#[test]
fn an_insecure_srs_needs_permission_and_stays_visible() {
    let mut model = Model::new(Spec {
        tau: 4,
        ..Spec::small(Backend::Shplonk)
    });
    model.key = model.rekey(Backend::Shplonk, srs_verifier(model.k(), &model.srs, true));
    let file = model.prove(&[1, 2, 3, 4], None);
    for trusted in [Trusted::Key(&model.key), Trusted::ModelId(model.key.id())] {
        assert_eq!(default_check(trusted, &file), Err(VerifyError::InsecureSrs));
        let options = VerifyOptions {
            allow_insecure_srs: true,
            ..VerifyOptions::default()
        };
        assert!(verify(trusted, &file, &options).unwrap().insecure_srs);
    }
}
