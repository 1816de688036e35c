//! The public side of a circuit: which tensors are stated, and where their bytes stand in the instance column.

use crate::graph::Graph;
use crate::params::{CircuitParams, ParamsError};
use crate::plan::{Plan, PlanError};
use crate::tail::TailOp;
use crate::tensor::{DType, Shape, Tensor};
use halo2_proofs::halo2curves::bn256::Fr;
use serde::{Deserialize, Serialize};

/// Version of the circuit: any change of a constraint or of the layout changes it.
pub const CIRCUIT_VERSION: u32 = 1;
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
    #[error("circuit version {found}, this program knows version {CIRCUIT_VERSION}; make the key again")]
    Version {
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

/// Successive tape rows with the same number of values: value `(r, l)` of the block has the flat logical index
/// `first + r * row_stride + l * stride` and lies in instance row `row + r`, byte `l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicBlock {
    /// First instance row.
    pub row: u32,
    /// Number of rows.
    pub rows: u32,
    /// Values in a row.
    pub width: u32,
    /// Flat logical index of the first value.
    pub first: u32,
    /// Distance of logical indices within a row.
    pub stride: i32,
    /// Distance of logical indices from row to row.
    pub row_stride: i32,
}

impl PublicBlock {
    /// `(row, lane, logical index)` of every value; an index may be out of bounds in a block from outside.
    fn cells(&self) -> impl Iterator<Item = (usize, usize, i64)> + '_ {
        (0..self.rows).flat_map(move |r| {
            (0..self.width).map(move |l| {
                let at = i64::from(self.first)
                    + i64::from(r) * i64::from(self.row_stride)
                    + i64::from(l) * i64::from(self.stride);
                (self.row as usize + r as usize, l as usize, at)
            })
        })
    }
}

/// One public tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicPort {
    /// Name of the graph's input or output.
    pub name: String,
    /// Logical shape.
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
    /// Where the values stand.
    pub blocks: Vec<PublicBlock>,
}

/// Everything that a verifier needs beside commitments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// [`CIRCUIT_VERSION`].
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
            version: CIRCUIT_VERSION,
            k: plan.k,
            params: plan.params.clone(),
            public_rows: to_u32(plan.public_rows)?,
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: outputs.collect::<Result<_, _>>()?,
        })
    }

    /// Checks a descriptor from outside: bounds, and that every public row is filled by exactly one value per lane in use.
    ///
    /// # Errors
    /// [`StatementError`] with the first contradiction.
    pub fn validate(&self) -> Result<(), StatementError> {
        if self.version != CIRCUIT_VERSION {
            return Err(StatementError::Version { found: self.version });
        }
        self.params.validate()?;
        let wrong = |what| StatementError::Descriptor { what };
        let rows = self.public_rows as usize;
        if !crate::plan::K_RANGE.contains(&self.k) {
            return Err(wrong("k"));
        }
        if rows > MAX_PUBLIC_ROWS || rows + crate::plan::RESERVED_ROWS > 1 << self.k {
            return Err(wrong("public rows"));
        }
        let ports = self.inputs.len() + self.outputs.len();
        if self.inputs.is_empty() || self.outputs.is_empty() || ports > MAX_PORTS {
            return Err(wrong("number of ports"));
        }
        for port in self.inputs.iter().chain(&self.outputs) {
            self.validate_port(port, rows).map_err(wrong)?;
        }
        Ok(())
    }

    fn validate_port(&self, port: &PublicPort, rows: usize) -> Result<(), &'static str> {
        Shape::new(port.shape.dims().to_vec()).map_err(|_| "shape of a port")?;
        let in_type = (port.dtype.min()..=port.dtype.max()).contains(&port.zero_point);
        if !in_type || !port.scale.is_finite() || port.scale <= 0.0 {
            return Err("scale or zero point of a port");
        }
        let hi = i64::from(port.lo) + i64::from(port.range);
        if port.lo < port.dtype.min() || hi > i64::from(port.dtype.max()) || port.range == 0 {
            return Err("range of a port");
        }
        crate::tail::validate(&port.shape, port.dtype, &port.tail).map_err(|_| "tail of a port")?;
        let len = port.shape.len();
        let mut seen = vec![false; len];
        for block in &port.blocks {
            let values = u64::from(block.rows) * u64::from(block.width);
            let last_row = block.row as usize + block.rows as usize;
            let fits = block.width as usize <= self.params.num_lanes() && last_row <= rows;
            if values == 0 || values > len as u64 || !fits {
                return Err("block of a port");
            }
            for (_, _, at) in block.cells() {
                let cell = usize::try_from(at)
                    .ok()
                    .and_then(|at| seen.get_mut(at))
                    .ok_or("index of a block")?;
                if std::mem::replace(cell, true) {
                    return Err("blocks that overlap");
                }
            }
        }
        if seen.iter().all(|s| *s) {
            Ok(())
        } else {
            Err("values without a block")
        }
    }

    /// The instance column for a statement: exactly [`Descriptor::public_rows`] packed rows.
    ///
    /// # Errors
    /// [`StatementError`] when the tensors are not those of the model or contradict each other.
    pub fn instance(&self, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Vec<Fr>, StatementError> {
        let lanes = self.params.num_lanes();
        let mut bytes: Vec<Option<u8>> = vec![None; self.public_rows as usize * lanes];
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
                port.fill(&mut bytes, lanes, tensor)?;
            }
        }
        let pack = |row: &[Option<u8>]| {
            row.iter().rev().fold(Fr::zero(), |sum, b| {
                sum * Fr::from(256) + Fr::from(u64::from(b.unwrap_or(0)))
            })
        };
        Ok(bytes.chunks(lanes).map(pack).collect())
    }
}

impl PublicPort {
    /// Writes the tensor's bytes to their rows.
    fn fill(&self, bytes: &mut [Option<u8>], lanes: usize, tensor: &Tensor) -> Result<(), StatementError> {
        let mismatch = |actual: String| StatementError::Tensor {
            name: self.name.clone(),
            expected: format!(
                "{} {} in {}..={}",
                self.shape,
                self.dtype,
                self.lo,
                i64::from(self.lo) + i64::from(self.range)
            ),
            actual,
        };
        if tensor.shape() != &self.shape || tensor.dtype() != self.dtype {
            return Err(mismatch(format!("{} {}", tensor.shape(), tensor.dtype())));
        }
        for (row, lane, at) in self.blocks.iter().flat_map(PublicBlock::cells) {
            let value = usize::try_from(at).ok().and_then(|at| tensor.data().get(at));
            let value = *value.ok_or(StatementError::Descriptor {
                what: "index of a block",
            })?;
            let byte = u8::try_from(value - self.lo)
                .ok()
                .filter(|b| u32::from(*b) <= self.range);
            let byte = byte.ok_or_else(|| mismatch(format!("{value} at flat index {at}")))?;
            let cell = bytes.get_mut(row * lanes + lane);
            let cell = cell.ok_or(StatementError::Descriptor {
                what: "row of a block",
            })?;
            if cell.is_some_and(|old| old != byte) {
                return Err(StatementError::Contradiction {
                    name: self.name.clone(),
                });
            }
            *cell = Some(byte);
        }
        Ok(())
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
    let mut blocks: Vec<PublicBlock> = Vec::new();
    let lanes = plan.params.num_lanes();
    for plane in &plan.planes[operand.home] {
        let rows = plane
            .index
            .chunks(plane.width.max(1))
            .flat_map(|image_row| image_row.chunks(lanes));
        for (i, values) in rows.enumerate() {
            let at: Vec<i64> = values.iter().map(|l| i64::from(operand.view(*l))).collect();
            push_row(&mut blocks, &at, to_u32(plane.first_row + i)?)?;
        }
    }
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

/// Appends one tape row, joined to the last block where that is exact.
fn push_row(blocks: &mut Vec<PublicBlock>, at: &[i64], row: u32) -> Result<(), PlanError> {
    let mut rest = at;
    let mut lane_rows = row;
    while let [first, tail @ ..] = rest {
        let stride = tail.first().map_or(0, |second| second - first);
        let width = 1 + rest.windows(2).take_while(|w| w[1] - w[0] == stride).count();
        if width < at.len() {
            return Err(PlanError::TooLarge {
                what: "distinct strides in one public row",
                size: 2,
                limit: 1,
            });
        }
        let block = PublicBlock {
            row: lane_rows,
            rows: 1,
            width: to_u32(width)?,
            first: u32::try_from(*first).unwrap_or(u32::MAX),
            stride: i32::try_from(stride).unwrap_or(i32::MAX),
            row_stride: 0,
        };
        if !blocks.last_mut().is_some_and(|last| last.absorb(&block)) {
            blocks.push(block);
        }
        rest = &rest[width..];
        lane_rows += 1;
    }
    Ok(())
}

impl PublicBlock {
    /// Takes one more row if it continues this block.
    fn absorb(&mut self, next: &Self) -> bool {
        let continues =
            self.row + self.rows == next.row && self.width == next.width && self.stride == next.stride;
        let jump = i64::from(next.first) - i64::from(self.first);
        let row_stride = if self.rows == 1 {
            jump
        } else {
            i64::from(self.row_stride)
        };
        let Ok(stride) = i32::try_from(row_stride) else {
            return false;
        };
        if !continues || jump != i64::from(self.rows) * row_stride {
            return false;
        }
        self.rows += 1;
        self.row_stride = stride;
        true
    }
}
