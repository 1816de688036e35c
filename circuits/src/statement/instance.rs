//! The instance column of a statement.

use super::{Descriptor, PublicPort, StatementError};
use crate::tensor::Tensor;
use halo2_proofs::halo2curves::bn256::Fr;

/// The bytes of an instance column: row r of the tape is part `r / stated` of instance value `r % stated`.
pub(super) struct Packed {
    lanes: usize,
    stated: usize,
    rows: usize,
    /// Bytes of one instance value.
    width: usize,
    /// The row that was asked for last, and where its bytes begin.
    last: (usize, usize),
    bytes: Vec<Option<u8>>,
}

impl Packed {
    pub(super) fn new(descriptor: &Descriptor) -> Self {
        let (lanes, rows) = (descriptor.params.num_lanes(), descriptor.public_rows as usize);
        let stated = descriptor.instance_rows();
        let width = lanes * rows.div_ceil(stated.max(1));
        Self {
            lanes,
            stated,
            rows,
            width,
            last: (0, 0),
            bytes: vec![None; stated * width],
        }
    }

    fn cell(&mut self, row: usize, lane: usize) -> Option<&mut Option<u8>> {
        if row >= self.rows || lane >= self.lanes {
            return None;
        }
        if row != self.last.0 {
            let start = row % self.stated * self.width + row / self.stated * self.lanes;
            self.last = (row, start);
        }
        self.bytes.get_mut(self.last.1 + lane)
    }

    /// Bytes that no tensor fills are zero.
    pub(super) fn values(&self) -> Vec<Fr> {
        let pack = |bytes: &[Option<u8>]| {
            let mut limbs = [0; 4];
            for (limb, bytes) in limbs.iter_mut().zip(bytes.chunks(8)) {
                *limb = bytes
                    .iter()
                    .rev()
                    .fold(0, |sum, byte| sum << 8 | u64::from(byte.unwrap_or(0)));
            }
            Fr::from_raw(limbs)
        };
        self.bytes.chunks(self.width.max(1)).map(pack).collect()
    }
}

impl PublicPort {
    /// Writes the tensor's bytes to their rows.
    pub(super) fn fill(
        &self,
        descriptor: &Descriptor,
        bytes: &mut Packed,
        tensor: &Tensor,
    ) -> Result<(), StatementError> {
        let shape = descriptor
            .stated_shape(self)
            .map_err(|_| StatementError::Descriptor {
                what: "shape of a port in a batch",
            })?;
        let mismatch = |actual: String| StatementError::Tensor {
            name: self.name.clone(),
            expected: format!(
                "{shape} {} in {}..={}",
                self.dtype,
                self.lo,
                i64::from(self.lo) + i64::from(self.range)
            ),
            actual,
        };
        if *tensor.shape() != shape || tensor.dtype() != self.dtype {
            return Err(mismatch(format!("{} {}", tensor.shape(), tensor.dtype())));
        }
        let (grid, len) = (descriptor.grid(), self.shape.len());
        let mut put = |image: usize, row: usize, lane: usize, at: i64| {
            let at = usize::try_from(at).ok().filter(|at| *at < len);
            let at = at.map_or(usize::MAX, |at| image * len + at);
            let value = tensor.data().get(at);
            let value = *value.ok_or(StatementError::Descriptor {
                what: "index of a block",
            })?;
            let byte = value.checked_sub(self.lo).and_then(|v| u8::try_from(v).ok());
            let byte = byte.filter(|b| u32::from(*b) <= self.range);
            let byte = byte.ok_or_else(|| mismatch(format!("{value} at flat index {at}")))?;
            let cell = bytes.cell(row, lane);
            let cell = cell.ok_or(StatementError::Descriptor {
                what: "row of a block",
            })?;
            if cell.is_some_and(|old| old != byte) {
                return Err(StatementError::Contradiction {
                    name: self.name.clone(),
                });
            }
            *cell = Some(byte);
            Ok(())
        };
        self.blocks.iter().try_for_each(|block| {
            (0..grid.images)
                .try_for_each(|image| block.visit(grid, image, &mut |r, l, at| put(image, r, l, at)))
        })
    }
}
