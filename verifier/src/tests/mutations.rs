//! Two thousand false statements around true proofs: the verifier refuses each.

use super::fixture::{Model, Spec, VALUES, parallel, small, srs, srs_verifier, two_proofs};
use super::statements::relabelled;
use crate::statement::instance_column;
use crate::verify::run;
use crate::{Backend, ProofFile, Trusted, VerifyOptions, VerifyingKey, statement_scalar, verify};
use halo2_proofs::halo2curves::{bn256::Fr, ff::Field};
use inferproof_circuits::tensor::{DType, Shape, Tensor};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::Mutex;

const MUTATIONS: usize = 2_000;
const BACKENDS: [Backend; 2] = [Backend::Shplonk, Backend::Gwc];
const KINDS: [&str; 13] = [
    "a value of the input",
    "a value of the output",
    "a value by one",
    "two values swapped",
    "nonce",
    "length by one",
    "type",
    "rank",
    "instance value",
    "instance padded",
    "instance wrapped around",
    "key or setup",
    "order of tensors",
];

/// What is attacked, made once.
struct Targets {
    /// A model with two inputs and outputs, and a proof.
    pair: (Model, ProofFile),
    /// Other keys for each backend: another tau, another SRS part, marked insecure.
    others: [Vec<VerifyingKey>; 2],
}

impl Targets {
    fn new() -> Self {
        let pair = Model::pair(Spec::small(Backend::Shplonk));
        let file = pair.prove_all(&[&[1, 2, 3, 4], &[-9, 8, 70, -6]], None);
        assert!(pair.check(&file).is_ok());
        let others = BACKENDS.map(|backend| {
            let (model, spec) = (small(backend), Spec::small(backend));
            let k = model.k();
            vec![
                model.rekey(backend, srs_verifier(k, &srs(k, 99), false)),
                model.rekey(backend, srs_verifier(k, &model.srs, true)),
                Model::new(Spec { tau: 99, ..spec }).key,
                Model::new(Spec {
                    limb_split: 2,
                    ..spec
                })
                .key,
                Model::new(Spec { outputs: 4, ..spec }).key,
            ]
        });
        Self {
            pair: (pair, file),
            others,
        }
    }
}

struct Random(ChaCha20Rng);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    /// An int8 other than `old`.
    fn other(&mut self, old: i32) -> i32 {
        let by = i32::try_from(1 + self.below(255)).unwrap();
        (old + 128 + by) % 256 - 128
    }
}

fn set(tensor: &mut Tensor, change: impl FnOnce(&mut Vec<i32>)) {
    let mut data = tensor.data().to_vec();
    change(&mut data);
    *tensor = Tensor::new(tensor.shape().clone(), tensor.dtype(), data).unwrap();
}

/// The file with another statement, of the kinds that a file can say.
fn changed(file: &ProofFile, kind: usize, random: &mut Random) -> ProofFile {
    let mut other = file.clone();
    let output = match kind {
        0 => false,
        1 => true,
        _ => random.below(2) == 1,
    };
    let tensor = match output {
        false => &mut other.inputs[0].tensor,
        true => &mut other.outputs[0].tensor,
    };
    let at = random.below(tensor.data().len());
    let shape = |dims: Vec<usize>| Shape::new(dims).unwrap();
    match kind {
        0 | 1 => set(tensor, |data| data[at] = random.other(data[at])),
        2 => set(tensor, |data| {
            let up = random.below(2) == 0 && data[at] < 127 || data[at] == -128;
            data[at] += if up { 1 } else { -1 };
        }),
        3 => set(tensor, |data| {
            let unlike = data.iter().position(|v| *v != data[at]);
            match unlike {
                Some(unlike) => data.swap(at, unlike),
                None => data[at] = random.other(data[at]),
            }
        }),
        4 => {
            let mut nonce = file.nonce.unwrap_or_default();
            nonce[random.below(32)] ^= 1 << random.below(8);
            let removed = file.nonce.is_some() && random.below(8) == 0;
            other.nonce = (!removed).then_some(nonce);
        }
        5 => {
            let mut data = tensor.data().to_vec();
            if random.below(2) == 0 {
                data.push(data[at]);
            } else {
                data.remove(at);
            }
            *tensor = Tensor::new(shape(vec![1, data.len()]), DType::I8, data).unwrap();
        }
        6 => {
            let data = tensor.data().iter().map(|v| v.rem_euclid(256)).collect();
            *tensor = Tensor::new(tensor.shape().clone(), DType::U8, data).unwrap();
        }
        _ => {
            let n = tensor.data().len();
            let dims = [vec![n], vec![n, 1], vec![1, 1, n], vec![1, n, 1]][random.below(4)].clone();
            *tensor = Tensor::new(shape(dims), DType::I8, tensor.data().to_vec()).unwrap();
        }
    }
    assert_ne!(other, *file, "{}", KINDS[kind]);
    other
}

/// Whether another instance column is accepted, for the honest statement's hash.
fn column_accepted(model: &Model, file: &ProofFile, kind: usize, random: &mut Random) -> bool {
    let key = &model.key;
    let (inputs, outputs) = (file.input_tensors(), file.output_tensors());
    let statement = statement_scalar(key, &inputs, &outputs, file.nonce.as_ref()).unwrap();
    let honest = instance_column(key, &inputs, &outputs).unwrap();
    let n = 1usize << key.descriptor().k;
    let mut column = honest.clone();
    let at = random.below(column.len());
    match kind {
        8 => {
            column[at] += match random.below(4) {
                0 => Fr::ONE,
                1 => -Fr::ONE,
                2 => Fr::from(256),
                _ => Fr::random(&mut random.0),
            };
        }
        9 => {
            let len = honest.len() + 1 + random.below(n + 2 - honest.len());
            let padding = [Fr::ZERO, Fr::ONE, honest[at]][random.below(3)];
            column.resize(len, padding);
        }
        _ => {
            let alias = Fr::random(&mut random.0);
            column.resize(n + at + 1, Fr::ZERO);
            column[at] -= alias;
            column[n + at] = alias;
        }
    }
    assert_ne!(column, honest);
    run(key, &column, statement, &file.proof).is_ok()
}

fn accepted(targets: &Targets, n: usize, kind: usize) -> bool {
    let mut random = Random(ChaCha20Rng::seed_from_u64(u64::try_from(n).unwrap()));
    let which = random.below(2);
    let model = small(BACKENDS[which]);
    let file = &two_proofs(BACKENDS[which])[random.below(2)];
    let options = VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    };
    match kind {
        8..=10 => column_accepted(model, file, kind, &mut random),
        11 => {
            let others = &targets.others[which];
            let key = &others[random.below(others.len())];
            let relabelled = relabelled(file, key);
            let trusted = [Trusted::Key(key), Trusted::ModelId(key.id())][random.below(2)];
            let file = if random.below(3) == 0 { file } else { &relabelled };
            verify(trusted, file, &options).is_ok()
        }
        12 => {
            let (model, file) = &targets.pair;
            let mut other = file.clone();
            let swap = 1 + random.below(3);
            for (side, tensors) in [(1, &mut other.inputs), (2, &mut other.outputs)] {
                if swap & side != 0 {
                    let (a, b) = tensors.split_at_mut(1);
                    std::mem::swap(&mut a[0].tensor, &mut b[0].tensor);
                    if random.below(2) == 0 {
                        std::mem::swap(&mut a[0].name, &mut b[0].name);
                    }
                }
            }
            model.check(&other).is_ok()
        }
        _ => model.check(&changed(file, kind, &mut random)).is_ok(),
    }
}

#[test]
fn soundness_two_thousand_statement_mutations_are_refused() {
    assert_eq!(two_proofs(BACKENDS[0])[0].inputs[0].tensor.data().len(), VALUES);
    let targets = Targets::new();
    let wrong = Mutex::new(Vec::new());
    parallel(MUTATIONS, |n| {
        let kind = n % KINDS.len();
        if accepted(&targets, n, kind) {
            wrong.lock().unwrap().push(format!("{n}: {}", KINDS[kind]));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!(
        "figure: {MUTATIONS} statement mutations of {} kinds: {} accepted",
        KINDS.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:?}");
}
