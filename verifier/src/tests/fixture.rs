//! A model, its keys, and an honest prover.

use crate::early::{Rounds, Session};
use crate::srs::SrsVerifier;
use crate::{
    Backend, NamedTensor, Nonce, ProofFile, Verified, VerifyError, VerifyOptions, VerifyingKey,
    statement_scalar, verify,
};
use halo2_proofs::{
    halo2curves::bn256::{Bn256, Fr, G1Affine},
    plonk::{self, ProvingKey, create_proof, keygen_pk, keygen_vk, verify_proof},
    poly::{
        self, VerificationStrategy, VerifierQuery,
        commitment::{MSM, Verifier},
        ipa::{
            commitment::{IPACommitmentScheme, ParamsIPA},
            msm::MSMIPA,
            multiopen::VerifierIPA,
            strategy::GuardIPA,
        },
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            multiopen::{ProverGWC, ProverSHPLONK, VerifierGWC, VerifierSHPLONK},
            strategy::SingleStrategy,
        },
    },
    transcript::{
        Blake2bRead, Challenge255, EncodedChallenge, Transcript, TranscriptRead, TranscriptReadBuffer,
        TranscriptWrite,
    },
};
use inferproof_circuits::{
    assign::Witness,
    circuit::{Fixture, InferenceCircuit},
    graph::{Graph, InputPort, Node, OutputPort, TensorId, TensorInfo},
    ops::{Dense, Op},
    plan::{Plan, PlanOptions},
    quant::OutputQuant,
    statement::{Descriptor, PublicPort},
    tail::TailOp,
    tensor::{DType, Shape, Tensor},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, SeedableRng};
use std::{
    io,
    sync::{Arc, OnceLock},
};

type Kzg = KZGCommitmentScheme<Bn256>;

/// Number of values in the inputs of [`small`].
pub const VALUES: usize = 4;

/// A dense layer, how to lay it out, and on which setup.
#[derive(Clone, Copy)]
pub struct Spec {
    pub values: usize,
    pub outputs: usize,
    pub lanes: u32,
    pub limb_split: u32,
    pub backend: Backend,
    pub tau: u64,
}

impl Spec {
    /// The smallest model.
    pub const fn small(backend: Backend) -> Self {
        Self {
            values: VALUES,
            outputs: 3,
            lanes: 1,
            limb_split: 3,
            backend,
            tau: 1,
        }
    }
}

/// What the tests may do as a prover.
pub struct Model {
    pub graph: Graph,
    pub fixture: Fixture,
    pub srs: Arc<ParamsKZG<Bn256>>,
    pub proving: ProvingKey<G1Affine>,
    pub key: VerifyingKey,
}

fn info(name: &str, len: usize, scale: f32) -> TensorInfo {
    let shape = Shape::new(vec![1, len]).unwrap();
    TensorInfo {
        name: name.to_owned(),
        shape,
        dtype: DType::I8,
        scale,
        zero_point: 3,
    }
}

fn graph(spec: Spec) -> Graph {
    let tensors = vec![info("x", spec.values, 0.5), info("y", spec.outputs, 1.5)];
    let weights = (0..spec.values * spec.outputs)
        .map(|i| i32::try_from(i * 37 % 19).unwrap() - 9)
        .collect();
    let quant = OutputQuant {
        scales: vec![0.125],
        zero_point: 3,
        lo: -128,
        hi: 127,
    };
    let x = tensors[0].quant();
    let dense = Dense::new(1, spec.values, spec.outputs, weights, &x, &[], &quant).unwrap();
    let node = Node {
        name: "fc".to_owned(),
        op: Op::Dense(dense),
        inputs: vec![TensorId(0)],
        output: TensorId(1),
    };
    let tail = vec![
        TailOp::Dequantize {
            scale: 1.5,
            zero_point: 3,
        },
        TailOp::Softmax { axis: 1 },
    ];
    Graph {
        tensors,
        nodes: vec![node],
        inputs: vec![InputPort {
            name: "x".to_owned(),
            tensor: TensorId(0),
            float: true,
        }],
        outputs: vec![OutputPort {
            name: "y".to_owned(),
            tensor: TensorId(1),
            tail,
        }],
    }
}

pub fn srs(k: u32, tau: u64) -> ParamsKZG<Bn256> {
    ParamsKZG::setup(k, ChaCha20Rng::seed_from_u64(tau))
}

pub fn srs_verifier(k: u32, srs: &ParamsKZG<Bn256>, insecure: bool) -> SrsVerifier {
    SrsVerifier::new(k, &srs.s_g2(), insecure).unwrap()
}

/// Two dense layers side by side: two inputs and two outputs, alike in shape and type.
fn pair_graph(spec: Spec) -> Graph {
    let (mut a, b) = (graph(spec), graph(spec));
    let Op::Dense(dense) = &b.nodes[0].op else {
        panic!("a dense layer")
    };
    let weights = dense.weights.iter().map(|w| 3 - w).collect();
    let quant = OutputQuant {
        scales: vec![0.125],
        zero_point: 3,
        lo: -128,
        hi: 127,
    };
    let x = a.tensors[0].quant();
    let dense = Dense::new(1, spec.values, spec.outputs, weights, &x, &[], &quant).unwrap();
    a.tensors.extend(b.tensors.into_iter().map(|t| TensorInfo {
        name: format!("{}2", t.name),
        ..t
    }));
    a.nodes.push(Node {
        name: "fc2".to_owned(),
        op: Op::Dense(dense),
        inputs: vec![TensorId(2)],
        output: TensorId(3),
    });
    a.inputs.push(InputPort {
        name: "x2".to_owned(),
        tensor: TensorId(2),
        float: true,
    });
    let tail = a.outputs[0].tail.clone();
    a.outputs.push(OutputPort {
        name: "y2".to_owned(),
        tensor: TensorId(3),
        tail,
    });
    a
}

impl Model {
    pub fn new(spec: Spec) -> Self {
        Self::of(graph(spec), spec)
    }

    /// A model with two inputs and two outputs.
    pub fn pair(spec: Spec) -> Self {
        Self::of(pair_graph(spec), spec)
    }

    fn of(graph: Graph, spec: Spec) -> Self {
        let options = PlanOptions {
            lanes: Some(spec.lanes),
            limb_split: Some(spec.limb_split),
            ..PlanOptions::default()
        };
        let plan = Plan::new(&graph, &options).unwrap();
        let descriptor = Descriptor::new(&graph, &plan).unwrap();
        let k = plan.k;
        let fixture = Fixture::new(&graph, Arc::new(plan));
        let srs = srs(k, spec.tau);
        let halo2 = keygen_vk(&srs, &fixture.keygen()).unwrap();
        let part = srs_verifier(k, &srs, false);
        let key = VerifyingKey::from_parts(descriptor, spec.backend, part, &halo2).unwrap();
        let proving = keygen_pk(&srs, halo2, &fixture.keygen()).unwrap();
        Self {
            graph,
            fixture,
            srs: Arc::new(srs),
            proving,
            key,
        }
    }

    pub fn k(&self) -> u32 {
        self.key.descriptor().k
    }

    /// The key with another backend or SRS part.
    pub fn rekey(&self, backend: Backend, part: SrsVerifier) -> VerifyingKey {
        let descriptor = self.key.descriptor().clone();
        VerifyingKey::from_parts(descriptor, backend, part, self.proving.get_vk()).unwrap()
    }

    fn input(&self, x: &[i32]) -> Tensor {
        let shape = self.key.descriptor().inputs[0].shape.clone();
        Tensor::new(shape, DType::I8, x.to_vec()).unwrap()
    }

    fn circuit(&self, inputs: &[Tensor], session: &Session<ChaCha20Rng>) -> InferenceCircuit {
        let witness = Witness::new(&self.graph, self.fixture.plan(), inputs).unwrap();
        let vk = self.proving.get_vk();
        let column = vk.get_domain().empty_lagrange();
        let source = session.point_source(self.srs.clone(), column, vk.cs().blinding_factors() + 1);
        self.fixture.prove(&witness, source)
    }

    fn session(&self, statement: Fr) -> Session<ChaCha20Rng> {
        let rng = ChaCha20Rng::from_rng(OsRng).unwrap();
        Session::new(statement, &self.key.descriptor().params, rng)
    }

    pub fn prove(&self, x: &[i32], nonce: Option<Nonce>) -> ProofFile {
        self.prove_all(&[x], nonce)
    }

    /// A proof for a model with several inputs.
    pub fn prove_all(&self, x: &[&[i32]], nonce: Option<Nonce>) -> ProofFile {
        let inputs: Vec<Tensor> = x.iter().map(|x| self.input(x)).collect();
        let values = self.graph.run(&inputs).unwrap();
        let outputs: Vec<Tensor> = self
            .graph
            .outputs
            .iter()
            .map(|o| values[o.tensor.0].clone())
            .collect();
        let instance = self.key.descriptor().instance(&inputs, &outputs).unwrap();
        let statement = statement_scalar(&self.key, &inputs, &outputs, nonce.as_ref()).unwrap();
        let named = |ports: &[PublicPort], tensors: &[Tensor]| {
            let named = |(port, tensor): (&PublicPort, &Tensor)| NamedTensor {
                name: port.name.clone(),
                tensor: tensor.clone(),
            };
            ports.iter().zip(tensors).map(named).collect()
        };
        let descriptor = self.key.descriptor();
        let proof = self.transcript(&inputs, &instance, statement);
        ProofFile {
            backend: self.key.backend(),
            model: self.key.id(),
            key: self.key.to_bytes().to_vec(),
            inputs: named(&descriptor.inputs, &inputs),
            outputs: named(&descriptor.outputs, &outputs),
            nonce,
            proof,
        }
    }

    fn transcript(&self, inputs: &[Tensor], instance: &[Fr], statement: Fr) -> Vec<u8> {
        let mut session = self.session(statement);
        let circuit = self.circuit(inputs, &session);
        let columns = [instance];
        let (srs, pk, circuits, instances) = (&*self.srs, &self.proving, &[circuit], &[columns.as_slice()]);
        let rng = session.clone();
        match self.key.backend() {
            Backend::Shplonk => create_proof::<Kzg, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
                srs,
                pk,
                circuits,
                instances,
                rng,
                &mut session,
            ),
            Backend::Gwc => create_proof::<Kzg, ProverGWC<'_, Bn256>, _, _, _, _>(
                srs,
                pk,
                circuits,
                instances,
                rng,
                &mut session,
            ),
            backend => panic!("halo2's prover does not make proofs for {backend} here"),
        }
        .unwrap();
        session.finish().unwrap()
    }

    pub fn check(&self, file: &ProofFile) -> Result<Verified, VerifyError> {
        verify(crate::Trusted::Key(&self.key), file, &VerifyOptions::default())
    }
}

/// Writes a proof, and absorbs another instance column than the prover's own.
struct Swapped<'a> {
    inner: Session<ChaCha20Rng>,
    /// Scalars that halo2 absorbs before its first point: the key's digest and the instance column.
    skip: usize,
    column: &'a [Fr],
}

impl Transcript<G1Affine, Challenge255<G1Affine>> for Swapped<'_> {
    fn squeeze_challenge(&mut self) -> Challenge255<G1Affine> {
        self.inner.squeeze_challenge()
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.inner.common_point(point)
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        if self.skip == 0 {
            return self.inner.common_scalar(scalar);
        }
        self.skip -= 1;
        if self.skip > 0 {
            return Ok(());
        }
        self.column
            .iter()
            .try_for_each(|value| self.inner.common_scalar(*value))
    }
}

impl TranscriptWrite<G1Affine, Challenge255<G1Affine>> for Swapped<'_> {
    fn write_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.inner.write_point(point)
    }

    fn write_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.inner.write_scalar(scalar)
    }
}

/// A cheat's proof about `column`, which is the honest column after rows are taken modulo their number.
pub fn wrapped_proof(model: &Model, x: &[i32], honest: &[Fr], column: &[Fr], statement: Fr) -> Vec<u8> {
    let session = model.session(statement);
    let circuit = model.circuit(&[model.input(x)], &session);
    let mut inner = session.clone();
    inner
        .common_scalar(model.proving.get_vk().transcript_repr())
        .unwrap();
    let mut transcript = Swapped {
        inner,
        skip: 1 + honest.len(),
        column,
    };
    let columns = [honest];
    let instances = &[columns.as_slice()];
    create_proof::<Kzg, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        &*model.srs,
        &model.proving,
        &[circuit],
        instances,
        session.clone(),
        &mut transcript,
    )
    .unwrap();
    session.finish().unwrap()
}

/// halo2's own reader, with v drawn early.
struct Stock<'a> {
    hash: Blake2bRead<&'a [u8], G1Affine, Challenge255<G1Affine>>,
    rounds: Rounds,
}

impl<'a> Stock<'a> {
    fn new(model: &Model, statement: Fr, proof: &'a [u8]) -> Self {
        let mut hash = Blake2bRead::init(proof);
        hash.common_scalar(statement).unwrap();
        Self {
            hash,
            rounds: Rounds::new(&model.key.descriptor().params),
        }
    }
}

impl Transcript<G1Affine, Challenge255<G1Affine>> for Stock<'_> {
    fn squeeze_challenge(&mut self) -> Challenge255<G1Affine> {
        let ordinary = self.hash.squeeze_challenge();
        self.rounds.challenge(ordinary)
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.hash.common_point(point)
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.hash.common_scalar(scalar)
    }
}

impl TranscriptRead<G1Affine, Challenge255<G1Affine>> for Stock<'_> {
    fn read_point(&mut self) -> io::Result<G1Affine> {
        let point = self.hash.read_point()?;
        self.rounds.point(&self.hash)?;
        Ok(point)
    }

    fn read_scalar(&mut self) -> io::Result<Fr> {
        self.hash.read_scalar()
    }
}

/// What halo2's own verifier says of a proof.
pub fn stock_accepts(model: &Model, column: &[Fr], statement: Fr, proof: &[u8]) -> bool {
    let mut transcript = Stock::new(model, statement, proof);
    let strategy = SingleStrategy::new(&*model.srs);
    let columns = [column];
    let instances = &[columns.as_slice()];
    let (srs, vk) = (&*model.srs, model.proving.get_vk());
    let result = match model.key.backend() {
        Backend::Shplonk => verify_proof::<Kzg, VerifierSHPLONK<'_, Bn256>, _, _, _>(
            srs,
            vk,
            strategy,
            instances,
            &mut transcript,
        ),
        Backend::Gwc => verify_proof::<Kzg, VerifierGWC<'_, Bn256>, _, _, _>(
            srs,
            vk,
            strategy,
            instances,
            &mut transcript,
        ),
        backend => panic!("{backend} is not a KZG backend"),
    };
    result.is_ok()
}

/// halo2's verifier of the inner product argument, with an instance column that the verifier evaluates itself, as with KZG.
#[derive(Debug)]
struct Direct<'a>(VerifierIPA<'a, G1Affine>);

impl<'a> Verifier<'a, IPACommitmentScheme<G1Affine>> for Direct<'a> {
    type Guard = GuardIPA<'a, G1Affine>;
    type MSMAccumulator = MSMIPA<'a, G1Affine>;
    const QUERY_INSTANCE: bool = false;

    fn new(params: &'a ParamsIPA<G1Affine>) -> Self {
        Self(VerifierIPA::new(params))
    }

    fn verify_proof<'com, E, T, I>(
        &self,
        transcript: &mut T,
        queries: I,
        msm: MSMIPA<'a, G1Affine>,
    ) -> Result<Self::Guard, poly::Error>
    where
        'a: 'com,
        E: EncodedChallenge<G1Affine>,
        T: TranscriptRead<G1Affine, E>,
        I: IntoIterator<Item = VerifierQuery<'com, G1Affine, MSMIPA<'a, G1Affine>>> + Clone,
    {
        self.0.verify_proof(transcript, queries, msm)
    }
}

/// Ends halo2's check of the inner product argument.
struct Finish<'a>(&'a ParamsIPA<G1Affine>);

impl<'a> VerificationStrategy<'a, IPACommitmentScheme<G1Affine>, Direct<'a>> for Finish<'a> {
    type Output = bool;

    fn new(params: &'a ParamsIPA<G1Affine>) -> Self {
        Self(params)
    }

    fn process(
        self,
        f: impl FnOnce(MSMIPA<'a, G1Affine>) -> Result<GuardIPA<'a, G1Affine>, plonk::Error>,
    ) -> Result<bool, plonk::Error> {
        Ok(f(MSMIPA::new(self.0))?.use_challenges().check())
    }

    fn finalize(self) -> bool {
        false
    }
}

/// What halo2's own verifier of the inner product argument says of a proof under the model's commitments.
pub fn stock_accepts_ipa(
    model: &Model,
    params: &ParamsIPA<G1Affine>,
    column: &[Fr],
    statement: Fr,
    proof: &[u8],
) -> bool {
    let mut transcript = Stock::new(model, statement, proof);
    let columns = [column];
    let instances = &[columns.as_slice()];
    let vk = model.proving.get_vk();
    verify_proof::<_, Direct<'_>, _, _, _>(params, vk, Finish(params), instances, &mut transcript)
        .unwrap_or(false)
}

/// The smallest model, for tests that verify thousands of times.
pub fn small(backend: Backend) -> &'static Model {
    static SHPLONK: OnceLock<Model> = OnceLock::new();
    static GWC: OnceLock<Model> = OnceLock::new();
    let cell = match backend {
        Backend::Shplonk => &SHPLONK,
        Backend::Gwc => &GWC,
        backend => panic!("no model for {backend}"),
    };
    cell.get_or_init(|| Model::new(Spec::small(backend)))
}

/// Two statements about [`small`], with their proofs.
pub fn two_proofs(backend: Backend) -> &'static [ProofFile; 2] {
    static SHPLONK: OnceLock<[ProofFile; 2]> = OnceLock::new();
    static GWC: OnceLock<[ProofFile; 2]> = OnceLock::new();
    let make = || {
        let model = small(backend);
        [
            model.prove(&[1, -2, 3, 100], None),
            model.prove(&[5, 6, -128, 0], Some([7; 32])),
        ]
    };
    let cell = match backend {
        Backend::Shplonk => &SHPLONK,
        Backend::Gwc => &GWC,
        backend => panic!("no model for {backend}"),
    };
    cell.get_or_init(make)
}

/// Requires that a proof is refused, as malformed or as rejected.
pub fn assert_refused(model: &Model, file: &ProofFile, what: &str) {
    match model.check(file) {
        Err(VerifyError::Rejected) => {}
        Err(error) if error.is_malformed() => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// Runs `check` for `0..count` on all processors.
pub fn parallel(count: usize, check: impl Fn(usize) + Sync) {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    check(n);
                }
            });
        }
    });
}
