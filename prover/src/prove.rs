//! One proof.

use crate::entropy::system_rng;
use crate::keys::{KeysError, ModelKeys, check_environment};
use crate::plonk::{PlonkError, create_proof};
use crate::profile::Profile;
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::{
    assign::{Witness, WitnessError},
    batch,
    graph::{Graph, GraphError, InputPort, NodeDifference, TensorId},
    statement::StatementError,
    tail::Value,
    tensor::{Tensor, TensorError},
};
use inferproof_verifier::{
    NamedTensor, Nonce, ProofFile, Trusted, Verified, VerifyError, VerifyOptions, statement_scalar, verify,
};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The environment is refused.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The network cannot be run on these inputs.
    #[error("the network cannot be run on these inputs")]
    Graph {
        /// Why.
        #[from]
        source: GraphError,
    },
    /// The inputs give no witness.
    #[error("the inputs give no witness")]
    Witness {
        /// Why.
        #[from]
        source: WitnessError,
    },
    /// The public tensors give no instance.
    #[error("the public tensors cannot be stated")]
    Statement {
        /// Why.
        #[from]
        source: StatementError,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness ({reason}); nothing was proved")]
    Entropy {
        /// The system's reason.
        reason: String,
    },
    /// The prover stopped.
    #[error(transparent)]
    Plonk(#[from] PlonkError),
    /// The statement is refused, or the proof that was made is; no proof is handed out.
    #[error("the proof that was made is not accepted; please report this")]
    Check {
        /// Why.
        #[from]
        source: VerifyError,
    },
}

/// A run of a network in the clear. In a batch every tensor is the stack of those of the inferences
/// ([`inferproof_circuits::batch`]).
#[derive(Debug, Clone)]
pub struct Ran {
    /// Public inputs.
    pub inputs: Vec<Tensor>,
    /// The proved integers of the outputs.
    pub tensors: Vec<Tensor>,
    /// What the runtime returns: the outputs after the operators in the clear.
    pub outputs: Vec<Value>,
    /// Where the runtime is known to differ, by position in the stack.
    pub differing: Vec<NodeDifference>,
}

/// Runs the network in the clear.
///
/// # Errors
/// [`GraphError`]: the inputs do not fit.
pub fn run(graph: &Graph, inputs: &[Tensor]) -> Result<Ran, GraphError> {
    let values = graph.run(inputs)?;
    let tensor = |id: TensorId| values[id.0].clone();
    Ok(Ran {
        inputs: inputs.to_vec(),
        tensors: graph.outputs.iter().map(|port| tensor(port.tensor)).collect(),
        outputs: graph.outputs(&values)?,
        differing: graph.differing(&values)?,
    })
}

/// Runs the network in the clear on each inference of a batch; `inputs` are stacked.
///
/// # Errors
/// As [`run`].
pub fn run_batch(graph: &Graph, inputs: &[Tensor], batch: usize) -> Result<Ran, GraphError> {
    if batch == 1 {
        return run(graph, inputs);
    }
    let stacks = split_inputs(graph, inputs, batch)?;
    let one = |image: usize| {
        let inputs: Vec<Tensor> = stacks
            .iter()
            .filter_map(|stack| stack.get(image).cloned())
            .collect();
        run(graph, &inputs)
    };
    let runs = (0..batch).map(one).collect::<Result<Vec<Ran>, _>>()?;
    let mut ran = Ran {
        inputs: inputs.to_vec(),
        tensors: Vec::new(),
        outputs: Vec::new(),
        differing: Vec::new(),
    };
    for (at, port) in graph.outputs.iter().enumerate() {
        let named = |source: TensorError| GraphError::Tail {
            output: port.name.clone(),
            source: source.into(),
        };
        let tensors: Vec<Tensor> = runs.iter().map(|run| run.tensors[at].clone()).collect();
        ran.tensors.push(batch::stack(&tensors).map_err(named)?);
        let outputs = runs.iter().map(|run| run.outputs[at].clone()).collect();
        ran.outputs.push(batch::stack_values(outputs).map_err(named)?);
    }
    for (image, run) in runs.into_iter().enumerate() {
        ran.differing.extend(run.differing.into_iter().map(|d| {
            let len = graph.tensor(graph.nodes[d.node].output).shape.len();
            NodeDifference {
                index: image * len + d.index,
                ..d
            }
        }));
    }
    Ok(ran)
}

/// The inputs of each inference.
fn split_inputs(graph: &Graph, inputs: &[Tensor], batch: usize) -> Result<Vec<Vec<Tensor>>, GraphError> {
    if inputs.len() != graph.inputs.len() {
        return Err(GraphError::Count {
            expected: graph.inputs.len(),
            actual: inputs.len(),
        });
    }
    let split = |(port, tensor): (&InputPort, &Tensor)| {
        let info = graph.tensor(port.tensor);
        let expected = batch::stacked_shape(&info.shape, batch).ok();
        let parts = batch::split(tensor, &info.shape).ok();
        parts
            .filter(|_| expected.as_ref() == Some(tensor.shape()) && tensor.dtype() == info.dtype)
            .ok_or_else(|| GraphError::Given {
                tensor: info.name.clone(),
                expected: expected.unwrap_or_else(|| info.shape.clone()),
                expected_type: info.dtype,
                actual: tensor.shape().clone(),
                actual_type: tensor.dtype(),
            })
    };
    graph.inputs.iter().zip(inputs).map(split).collect()
}

/// A proof with what it is about.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The proof file, ready to be sent.
    pub file: ProofFile,
    /// The run that it is about.
    pub ran: Ran,
    /// What verifying it gave.
    pub verified: Verified,
    /// Milliseconds in the prover, the check of the proof not counted.
    pub prove_ms: f64,
    /// Milliseconds in the check.
    pub verify_ms: f64,
    /// Where the prover's time went.
    pub profile: Profile,
}

/// Runs the network on `inputs`, proves it, and checks the proof. Where the plan is one of a batch, the inputs are
/// stacked along the first axis.
///
/// # Errors
/// [`ProveError`].
pub fn prove(keys: &ModelKeys, inputs: &[Tensor], nonce: Option<Nonce>) -> Result<Proved, ProveError> {
    check_environment()?;
    let started = std::time::Instant::now();
    let ran = run_batch(keys.graph(), inputs, keys.plan().batch)?;
    let key = keys.verifying();
    let instance = key.descriptor().instance(inputs, &ran.tensors)?;
    let statement = statement_scalar(key, inputs, &ran.tensors, nonce.as_ref())?;
    let (proof, profile) = transcript(keys, inputs, &instance, statement)?;
    let ports = |ports: &[inferproof_circuits::statement::PublicPort], tensors: &[Tensor]| {
        let named = |(port, tensor): (&inferproof_circuits::statement::PublicPort, &Tensor)| NamedTensor {
            name: port.name.clone(),
            tensor: tensor.clone(),
        };
        ports.iter().zip(tensors).map(named).collect()
    };
    let file = ProofFile {
        backend: key.backend(),
        model: key.id(),
        key: key.to_bytes().to_vec(),
        inputs: ports(&key.descriptor().inputs, inputs),
        outputs: ports(&key.descriptor().outputs, &ran.tensors),
        nonce,
        proof,
    };
    let prove_ms = started.elapsed().as_secs_f64() * 1e3;
    let started = std::time::Instant::now();
    let options = VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    };
    let verified = verify(Trusted::Key(key), &file, &options)?;
    Ok(Proved {
        file,
        ran,
        verified,
        prove_ms,
        verify_ms: started.elapsed().as_secs_f64() * 1e3,
        profile,
    })
}

fn transcript(
    keys: &ModelKeys,
    inputs: &[Tensor],
    instance: &[Fr],
    statement: Fr,
) -> Result<(Vec<u8>, Profile), ProveError> {
    let witness = Witness::new(keys.graph(), keys.plan(), inputs)?;
    let rng = system_rng().map_err(|e| ProveError::Entropy {
        reason: e.to_string(),
    })?;
    Ok(create_proof(keys, &witness, instance, statement, rng)?)
}
