//! One proof.

use crate::entropy::system_rng;
use crate::keys::{KeysError, ModelKeys, check_environment};
use crate::plonk::{PlonkError, create_proof};
use crate::profile::Profile;
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::{
    assign::{Witness, WitnessError},
    graph::{GraphError, NodeDifference, TensorId},
    statement::StatementError,
    tail::Value,
    tensor::Tensor,
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

/// A run of a network in the clear.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Public inputs.
    pub inputs: Vec<Tensor>,
    /// The proved integers of the outputs.
    pub tensors: Vec<Tensor>,
    /// What the runtime returns: the outputs after the operators in the clear.
    pub outputs: Vec<Value>,
    /// Where the runtime is known to differ.
    pub differing: Vec<NodeDifference>,
}

/// Runs the network in the clear.
///
/// # Errors
/// [`GraphError`]: the inputs do not fit.
pub fn run(graph: &inferproof_circuits::graph::Graph, inputs: &[Tensor]) -> Result<Ran, GraphError> {
    let values = graph.run(inputs)?;
    let tensor = |id: TensorId| values[id.0].clone();
    Ok(Ran {
        inputs: inputs.to_vec(),
        tensors: graph.outputs.iter().map(|port| tensor(port.tensor)).collect(),
        outputs: graph.outputs(&values)?,
        differing: graph.differing(&values)?,
    })
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

/// Runs the network on `inputs`, proves it, and checks the proof.
///
/// # Errors
/// [`ProveError`].
pub fn prove(keys: &ModelKeys, inputs: &[Tensor], nonce: Option<Nonce>) -> Result<Proved, ProveError> {
    check_environment()?;
    let started = std::time::Instant::now();
    let ran = run(keys.graph(), inputs)?;
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
