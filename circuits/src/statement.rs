//! The public side of a circuit: which tensors are stated, and where their bytes stand in the instance column.

mod block;
mod instance;
mod wire;

pub use block::PublicBlock;

use crate::batch::{self, MAX_BATCH};
use crate::graph::Graph;
use crate::params::{CircuitParams, INSTANCE_BYTES, ParamsError};
use crate::plan::{Plan, PlanError};
use crate::tail::{self, TailError, TailOp, Value};
use crate::tensor::{DType, MAX_ELEMENTS, Shape, Tensor, TensorError};
use block::Grid;
use halo2_proofs::halo2curves::bn256::Fr;
use instance::Packed;
use serde::{Deserialize, Serialize};

/// Version of the circuit: any change of a constraint, or of what a descriptor means, changes it.
pub const CIRCUIT_VERSION: u32 = 2;
/// As [`CIRCUIT_VERSION`], of a circuit for several inferences.
pub const BATCH_VERSION: u32 = 3;
/// As [`CIRCUIT_VERSION`], of a circuit with folded public rows, for one inference or several. The newest version.
pub const FOLDED_VERSION: u32 = 4;
/// Most public tensors.
pub const MAX_PORTS: usize = 64;
/// Most public rows.
pub const MAX_PUBLIC_ROWS: usize = 1 << 20;

/// What can be wrong with a descriptor or a statement.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Columns that cannot be.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Another circuit version.
    #[error(
        "circuit version {found}, this program knows versions {CIRCUIT_VERSION} to {FOLDED_VERSION}; make the key again"
    )]
    Version {
        /// Version found.
        found: u32,
    },
    /// Folded public rows of a circuit that an older program made.
    #[error("circuit version {found} with folded public rows is of an older program; make the key again")]
    Folded {
        /// Version found.
        found: u32,
    },
    /// A descriptor whose parts contradict each other.
    #[error("the descriptor is inconsistent: {what}")]
    Descriptor {
        /// Which part.
        what: &'static str,
    },
    /// Another number of tensors.
    #[error("{expected} {side} tensors are stated by the model, {actual} were given")]
    Count {
        /// Inputs or outputs.
        side: &'static str,
        /// Number that the model has.
        expected: usize,
        /// Number given.
        actual: usize,
    },
    /// A tensor of another shape or type.
    #[error("tensor `{name}` is {actual}, the model states {expected}")]
    Tensor {
        /// Name of the port.
        name: String,
        /// What the model states.
        expected: String,
        /// What was given.
        actual: String,
    },
    /// Two ports share a tensor but state different values.
    #[error("`{name}` states another value than a port that shares its tensor")]
    Contradiction {
        /// Name of the port.
        name: String,
    },
}

/// One public tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicPort {
    /// Name of the graph's input or output.
    pub name: String,
    /// Logical shape in one inference.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Scale S.
    pub scale: f32,
    /// Zero point z.
    pub zero_point: i32,
    /// Inputs: the graph's own input is float.
    pub float: bool,
    /// Outputs: operators in the clear.
    pub tail: Vec<TailOp>,
    /// Smallest value that is stated: bytes in the instance are `value - lo`.
    pub lo: i32,
    /// Largest byte.
    pub range: u32,
    /// Where the values of one inference stand.
    pub blocks: Vec<PublicBlock>,
}

/// Everything that a verifier needs beside commitments.
#[derive(Debug, Clone, PartialEq)]
pub struct Descriptor {
    /// [`CIRCUIT_VERSION`] for one inference, [`BATCH_VERSION`] for several, [`FOLDED_VERSION`] where public rows are
    /// folded.
    pub version: u32,
    /// Log2 of the number of rows.
    pub k: u32,
    /// Columns.
    pub params: CircuitParams,
    /// Rows of the instance column.
    pub public_rows: u32,
    /// Inputs, in the graph's order.
    pub inputs: Vec<PublicPort>,
    /// Outputs, in the graph's order.
    pub outputs: Vec<PublicPort>,
    /// Inferences that one proof states; each port states as many tensors, stacked along the first axis
    /// ([`batch::stacked_shape`]).
    pub batch: u32,
}

impl Descriptor {
    /// Describes a plan.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] when a count does not fit.
    pub fn new(graph: &Graph, plan: &Plan) -> Result<Self, PlanError> {
        let inputs = graph
            .inputs
            .iter()
            .map(|p| port(graph, plan, p.tensor, &p.name, p.float, &[]));
        let outputs = graph
            .outputs
            .iter()
            .map(|p| port(graph, plan, p.tensor, &p.name, false, &p.tail));
        Ok(Self {
            version: match plan.batch {
                _ if plan.params.folded.is_some() => FOLDED_VERSION,
                1 => CIRCUIT_VERSION,
                _ => BATCH_VERSION,
            },
            k: plan.k,
            params: plan.params.clone(),
            public_rows: to_u32(plan.public_rows)?,
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: outputs.collect::<Result<_, _>>()?,
            batch: to_u32(plan.batch)?,
        })
    }

    /// Inferences that one proof states.
    #[must_use]
    pub fn num_inferences(&self) -> usize {
        self.batch as usize
    }

    /// Shape of the tensor that a port states.
    ///
    /// # Errors
    /// [`TensorError`], for no port of a descriptor that [`Descriptor::validate`] accepts.
    pub fn stated_shape(&self, port: &PublicPort) -> Result<Shape, TensorError> {
        batch::stacked_shape(&port.shape, self.num_inferences())
    }

    fn grid(&self) -> Grid {
        Grid {
            lanes: self.params.num_lanes(),
            images: self.num_inferences(),
        }
    }

    /// Checks a descriptor from outside: bounds, and that every value of a port has exactly one place in the public rows.
    ///
    /// # Errors
    /// [`StatementError`] with the first contradiction.
    pub fn validate(&self) -> Result<(), StatementError> {
        let wrong = |what| StatementError::Descriptor { what };
        match (self.params.folded, self.version) {
            (Some(_), found @ (CIRCUIT_VERSION | BATCH_VERSION)) => {
                return Err(StatementError::Folded { found });
            }
            (None, FOLDED_VERSION) => return Err(wrong("folded rows")),
            _ => {}
        }
        match (self.version, self.num_inferences()) {
            (CIRCUIT_VERSION, 1) | (BATCH_VERSION, 2..=MAX_BATCH) | (FOLDED_VERSION, 1..=MAX_BATCH) => {}
            (CIRCUIT_VERSION | BATCH_VERSION | FOLDED_VERSION, _) => return Err(wrong("batch")),
            _ => return Err(StatementError::Version { found: self.version }),
        }
        self.params.validate()?;
        let rows = self.public_rows as usize;
        if !crate::plan::K_RANGE.contains(&self.k) {
            return Err(wrong("k"));
        }
        if rows > MAX_PUBLIC_ROWS || rows + crate::plan::RESERVED_ROWS > 1 << self.k {
            return Err(wrong("public rows"));
        }
        self.validate_fold(rows).map_err(wrong)?;
        let ports = self.inputs.len() + self.outputs.len();
        if self.inputs.is_empty() || self.outputs.is_empty() || ports > MAX_PORTS {
            return Err(wrong("number of ports"));
        }
        let mut values = 0;
        for port in self.inputs.iter().chain(&self.outputs) {
            values += self.validate_port(port, rows).map_err(wrong)?;
            if values > MAX_ELEMENTS {
                return Err(wrong("number of public values"));
            }
        }
        Ok(())
    }

    /// Every instance value states two rows at least, and no more bytes than it has.
    fn validate_fold(&self, rows: usize) -> Result<(), &'static str> {
        let Some(stated) = self.params.folded.map(|rows| rows as usize) else {
            return Ok(());
        };
        let fits = stated > 0
            && 2 * stated <= rows
            && rows.div_ceil(stated) * self.params.num_lanes() <= INSTANCE_BYTES;
        if fits { Ok(()) } else { Err("folded rows") }
    }

    /// Number of values of the port, over all inferences.
    fn validate_port(&self, port: &PublicPort, rows: usize) -> Result<usize, &'static str> {
        Shape::new(port.shape.dims().to_vec()).map_err(|_| "shape of a port")?;
        let in_type = (port.dtype.min()..=port.dtype.max()).contains(&port.zero_point);
        if !in_type || !port.scale.is_finite() || port.scale <= 0.0 {
            return Err("scale or zero point of a port");
        }
        let hi = i64::from(port.lo) + i64::from(port.range);
        if port.lo < port.dtype.min() || hi > i64::from(port.dtype.max()) || port.range == 0 {
            return Err("range of a port");
        }
        let (answer, _) =
            tail::validate(&port.shape, port.dtype, &port.tail).map_err(|_| "tail of a port")?;
        for shape in [&port.shape, &answer] {
            batch::stacked_shape(shape, self.num_inferences()).map_err(|_| "shape of a port in a batch")?;
        }
        let len = port.shape.len();
        let grid = self.grid();
        // Every value has a cell of its own.
        let values = len * self.num_inferences();
        if values > rows.saturating_mul(grid.lanes) {
            return Err("number of values of a port");
        }
        let mut seen = vec![false; len];
        for block in &port.blocks {
            let counted = block.num_values().is_some_and(|n| (1..=len).contains(&n));
            let fits = block.last_row(grid).is_some_and(|last| last <= rows);
            if !counted || !fits {
                return Err("block of a port");
            }
            block.visit(grid, 0, &mut |_, _, at| {
                let cell = usize::try_from(at).ok().and_then(|at| seen.get_mut(at));
                let cell = cell.ok_or("index of a block")?;
                if std::mem::replace(cell, true) {
                    return Err("blocks that overlap");
                }
                Ok(())
            })?;
        }
        if seen.iter().all(|s| *s) {
            Ok(values)
        } else {
            Err("values without a block")
        }
    }

    /// Number of instance values: one for each public row, or fewer where they are folded.
    #[must_use]
    pub fn instance_rows(&self) -> usize {
        self.params.folded.unwrap_or(self.public_rows) as usize
    }

    /// The instance column for a statement: exactly [`Descriptor::instance_rows`] packed values.
    ///
    /// # Errors
    /// [`StatementError`] when the tensors are not those of the model or contradict each other.
    pub fn instance(&self, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Vec<Fr>, StatementError> {
        let mut bytes = Packed::new(self);
        for (side, ports, tensors) in [
            ("input", &self.inputs, inputs),
            ("output", &self.outputs, outputs),
        ] {
            if ports.len() != tensors.len() {
                return Err(StatementError::Count {
                    side,
                    expected: ports.len(),
                    actual: tensors.len(),
                });
            }
            for (port, tensor) in ports.iter().zip(tensors) {
                port.fill(self, &mut bytes, tensor)?;
            }
        }
        Ok(bytes.values())
    }
}

impl PublicPort {
    /// What the network answers where the port is an output: the operators in the clear, on the stated integers of each
    /// inference.
    ///
    /// # Errors
    /// [`TailError`] for a tensor that is not the port's.
    pub fn answer(&self, stated: &Tensor) -> Result<Value, TailError> {
        if stated.data().len() == self.shape.len() {
            return tail::apply(stated, &self.tail);
        }
        let inferences = batch::split(stated, &self.shape)?;
        let answers = inferences.iter().map(|tensor| tail::apply(tensor, &self.tail));
        Ok(batch::stack_values(answers.collect::<Result<_, _>>()?)?)
    }
}

fn to_u32(v: usize) -> Result<u32, PlanError> {
    u32::try_from(v).map_err(|_| PlanError::TooLarge {
        what: "public values",
        size: v,
        limit: u32::MAX as usize,
    })
}

fn port(
    graph: &Graph,
    plan: &Plan,
    id: crate::graph::TensorId,
    name: &str,
    float: bool,
    tail: &[TailOp],
) -> Result<PublicPort, PlanError> {
    let info = graph.tensor(id);
    let operand = plan.lowered.of_tensor[id.0]
        .as_ref()
        .ok_or_else(|| PlanError::unknown_tensor(graph, id))?;
    let home = &plan.lowered.homes[operand.home];
    let view = |l: &u32| i64::from(operand.view(*l));
    let grid = Grid {
        lanes: plan.params.num_lanes(),
        images: plan.batch,
    };
    let blocks = block::blocks(&plan.planes[operand.home], grid, view)?;
    Ok(PublicPort {
        name: name.to_owned(),
        shape: info.shape.clone(),
        dtype: info.dtype,
        scale: info.scale,
        zero_point: info.zero_point,
        float,
        tail: tail.to_vec(),
        lo: home.lo,
        range: home.range,
        blocks,
    })
}
