//! One inference of a batch at a time.

use super::witness::{Cells, Fault, WitnessError};
use crate::batch;
use crate::graph::{Graph, InputPort};
use crate::plan::Plan;
use crate::tensor::Tensor;

/// A fault hook for one inference of a batch.
pub(super) struct Shifted<'a> {
    pub fault: &'a mut dyn Fault,
    pub plan: &'a Plan,
    pub image: usize,
}

impl Fault for Shifted<'_> {
    fn touch(&mut self, home: usize, position: usize, divisor: i64, cells: &mut Cells) {
        let before = self.image * self.plan.lowered.homes[home].index.len();
        self.fault.touch(home, before + position, divisor, cells);
    }
}

/// Every input by inference.
pub(super) fn split_inputs(
    graph: &Graph,
    inputs: &[Tensor],
    batch: usize,
) -> Result<Vec<Vec<Tensor>>, WitnessError> {
    if inputs.len() != graph.inputs.len() {
        return Err(WitnessError::Inputs {
            expected: graph.inputs.len(),
            actual: inputs.len(),
        });
    }
    let split = |(port, tensor): (&InputPort, &Tensor)| {
        let info = graph.tensor(port.tensor);
        let expected = batch::stacked_shape(&info.shape, batch)?;
        if *tensor.shape() != expected || tensor.dtype() != info.dtype {
            return Err(WitnessError::Shape {
                name: port.name.clone(),
                expected: format!("{expected} {}", info.dtype),
                actual: format!("{} {}", tensor.shape(), tensor.dtype()),
            });
        }
        Ok(batch::split(tensor, &info.shape)?)
    };
    graph.inputs.iter().zip(inputs).map(split).collect()
}
