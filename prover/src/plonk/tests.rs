use super::domain::{Coset, Domain};
use super::expression::{Column, Graph, Linear};
use super::program::Program;
use crate::keys::{Model, Store, setup};
use crate::prove::prove;
use crate::srs::Srs;
use ff::{Field, PrimeField};
use halo2_proofs::arithmetic::{best_multiexp, eval_polynomial};
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use halo2_proofs::halo2curves::group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::poly::EvaluationDomain;
use inferproof_circuits::graph::InputPort;
use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tensor::Tensor;
use inferproof_verifier::{Backend, msm};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::HashSet;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn random(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = rng(seed);
    (0..count).map(|_| Fr::random(&mut rng)).collect()
}

fn bases(count: usize) -> Vec<G1Affine> {
    let mut rng = rng(1);
    let points: Vec<G1> = (0..count).map(|_| G1::random(&mut rng)).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}

#[test]
fn matches_reference_transforms_by_evaluation() {
    for k in [1, 4, 7] {
        let omega = EvaluationDomain::<Fr>::new(5, k).get_omega();
        let domain = Domain::new(k, omega);
        let coefficients = random(domain.n, u64::from(k));
        let mut values = coefficients.clone();
        domain.evaluate(&mut values);
        for (i, value) in (0u64..).zip(&values) {
            assert_eq!(*value, eval_polynomial(&coefficients, omega.pow_vartime([i])));
        }
        domain.interpolate(&mut values);
        assert_eq!(values, coefficients);

        let shift = Fr::MULTIPLICATIVE_GENERATOR;
        let coset = Coset::new(&domain, shift);
        coset.evaluate(&domain, &coefficients, &mut values);
        let last = omega.pow_vartime([domain.n as u64 - 1]) * shift;
        assert_eq!(values[domain.n - 1], eval_polynomial(&coefficients, last));
        Coset::interpolate(&domain, shift.invert().unwrap(), &mut values);
        assert_eq!(values, coefficients);
    }
}

#[test]
fn matches_reference_sums_of_the_curve_library() {
    let bases = bases(700);
    let small = |seed: u64, bits: u64| {
        let values = random(bases.len(), seed);
        let cut = |v: &Fr| Fr::from(u64::from(v.to_repr().as_ref()[0]) % (1 << bits));
        values.iter().map(cut).collect::<Vec<_>>()
    };
    let mut mixed = small(2, 8);
    mixed[690..].copy_from_slice(&random(10, 3));
    let edges = [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(u64::MAX), -Fr::from(2)];
    let cases = [
        random(700, 4),
        random(5, 5),
        small(6, 1),
        small(7, 7),
        mixed,
        vec![Fr::ZERO; 700],
        vec![-Fr::ONE; 700],
        vec![Fr::from(1 << 31); 700],
        edges.iter().cycle().take(700).copied().collect(),
        random(40, 9).into_iter().cycle().take(700).collect(),
        Vec::new(),
    ];
    for scalars in cases {
        let expected = match scalars.len() {
            0 => G1::identity(),
            n => best_multiexp(&scalars, &bases[..n]),
        };
        assert_eq!(
            msm::multiply(&scalars, &bases),
            expected,
            "{} scalars",
            scalars.len()
        );
    }
}

/// Enough terms for windows of every width up to that of a large column, in both kinds of scalars.
#[test]
fn matches_reference_sums_of_many_terms() {
    let bases: Vec<G1Affine> = bases(500).into_iter().cycle().take(9000).collect();
    let full = random(bases.len(), 10);
    let bits = |count: u32| {
        let cut = |v: &Fr| {
            v.to_repr().as_ref()[..4]
                .iter()
                .fold(0, |sum, b| sum << 8 | u64::from(*b))
        };
        let values = full.iter().map(cut).map(|v| Fr::from(v >> (32 - count)));
        values.collect::<Vec<_>>()
    };
    for scalars in [bits(8), bits(12), bits(13), bits(32), full.clone()] {
        assert_eq!(msm::multiply(&scalars, &bases), best_multiexp(&scalars, &bases));
    }
}

#[test]
fn equal_and_opposite_points_are_added() {
    let one = G1Affine::generator();
    let bases: Vec<G1Affine> = [one, -one, one, one].into_iter().cycle().take(512).collect();
    for scalars in [vec![Fr::from(5); 512], random(512, 8)] {
        let total: Fr = scalars
            .iter()
            .zip(&bases)
            .map(|(s, b)| if *b == one { *s } else { -*s })
            .sum();
        assert_eq!(msm::multiply(&scalars, &bases), G1::generator() * total);
    }
}

#[test]
fn the_point_at_infinity_counts_for_nothing() {
    let mut bases = bases(600);
    let scalars = [random(300, 30), vec![Fr::from(7); 300]].concat();
    let expected: G1 = (0..600)
        .filter(|i| i % 3 != 0)
        .map(|i| bases[i] * scalars[i])
        .sum();
    bases
        .iter_mut()
        .step_by(3)
        .for_each(|b| *b = G1Affine::identity());
    assert_eq!(msm::multiply(&scalars, &bases), expected);
    let nothing = vec![G1Affine::identity(); 600];
    assert_eq!(msm::multiply(&scalars, &nothing), G1::identity());
}

/// `(2 a + b') (c - 3) + f (a + b' b') + d + e + 7`, where `d` and `e` occur nowhere else.
#[test]
fn matches_reference_programs_row_by_row() {
    let n = 40;
    let columns: Vec<Vec<Fr>> = (0..6).map(|i| random(n + 1, 20 + i)).collect();
    let mut graph = Graph::default();
    let advice = |graph: &mut Graph, i: usize, rotation: i32| graph.column(Column::Advice(i), rotation);
    let (a, b) = (advice(&mut graph, 0, 0), advice(&mut graph, 1, 1));
    let (c, d, e) = (
        advice(&mut graph, 2, 0),
        advice(&mut graph, 3, 0),
        advice(&mut graph, 4, 0),
    );
    let f = graph.column(Column::Fixed(0), 0);
    let left = a.clone().scaled(Fr::from(2)).plus(&b);
    let right = c.plus(&Linear::constant(-Fr::from(3)));
    let product = graph.product(left, right);
    let square = graph.product(b.clone(), b);
    let selected = graph.product(f, a.plus(&square));
    let form = product
        .plus(&selected)
        .plus(&d)
        .plus(&e.scaled(Fr::from(9)))
        .plus(&Linear::constant(Fr::from(7)));
    let program = Program::new(graph, form);
    assert_eq!(
        program.combined,
        [vec![
            (Column::Advice(3), Fr::ONE),
            (Column::Advice(4), Fr::from(9))
        ]]
    );
    assert_eq!(program.rotations, (0, 1));
    assert!(program.num_products() <= 6, "{}", program.num_products());
    let source = |column: &Column| match column {
        Column::Advice(i) => columns[*i].clone(),
        Column::Combined(_) => (0..=n)
            .map(|r| columns[3][r] + columns[4][r] * Fr::from(9))
            .collect(),
        _ => columns[5].clone(),
    };
    let inputs: Vec<Vec<Fr>> = program.columns.iter().map(source).collect();
    let mut out = vec![Fr::ZERO; n];
    program.run(&inputs, &mut program.registers(), 0, &mut out);
    for (r, out) in out.iter().enumerate() {
        let [a, c, d, e, f] = [0, 2, 3, 4, 5].map(|i| columns[i][r]);
        let b = columns[1][r + 1];
        let expected =
            (a.double() + b) * (c - Fr::from(3)) + f * (a + b * b) + d + e * Fr::from(9) + Fr::from(7);
        assert_eq!(*out, expected, "row {r}");
    }
}

/// A column without blinding would be committed to alike in both proofs.
#[test]
fn soundness_two_proofs_of_one_statement_share_no_commitment() {
    for (backend, onnx) in [
        (
            Backend::Shplonk,
            &include_bytes!("../../../models/tiny_cnn.onnx")[..],
        ),
        (Backend::Gwc, &include_bytes!("../../../models/tiny_mlp.onnx")[..]),
        (Backend::Ipa, &include_bytes!("../../../models/tiny_mlp.onnx")[..]),
    ] {
        let model = Model::load(onnx, &PlanOptions::default()).unwrap();
        let zeros = |port: &InputPort| {
            let info = model.graph().tensor(port.tensor);
            Tensor::new(info.shape.clone(), info.dtype, vec![0; info.shape.len()]).unwrap()
        };
        let inputs: Vec<Tensor> = model.graph().inputs.iter().map(zeros).collect();
        let k = model.plan().k;
        let srs = match backend {
            Backend::Ipa => Srs::transparent(k),
            _ => Srs::generate_insecure(k),
        };
        let keys = setup(model, backend, srs.unwrap(), Store::Nowhere).unwrap();
        let cs = keys.proving().get_vk().cs();
        // Advice, the permutation's product, the random polynomial, the quotient's pieces.
        let points = cs.num_advice_columns() + 1 + 1 + (cs.degree() - 1);
        let proofs = [0, 1].map(|_| prove(&keys, &inputs, None).unwrap().file.proof);
        let commitments = proofs.iter().flat_map(|proof| proof[..32 * points].chunks(32));
        let distinct: HashSet<&[u8]> = commitments.collect();
        assert_eq!(distinct.len(), 2 * points, "{backend}");
        println!(
            "figure: the prover with {backend}: two proofs of one statement, {points} commitments each, none shared"
        );
    }
}
