//! Where the values of a public tensor stand, as runs.

use super::to_u32;
use crate::plan::PlanError;
use crate::plan::layout::Plane;
use serde::{Deserialize, Serialize};

/// Lanes of the tape, and images of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub lanes: usize,
    pub images: usize,
}

/// Planes of one size that follow each other on the tape: value `(p, i, j)` has the flat logical index
/// `first + p plane_stride + i row_stride + j stride` and lies in public row `row + (p height + i) c + j / lanes`, lane
/// `j % lanes`, where `c = ceil(width / lanes)`. Of a batch of N, image n has its value in row
/// `row + ((p height + i) N + n) c + j / lanes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicBlock {
    /// First public row.
    pub row: u32,
    /// Number of planes.
    pub planes: u32,
    /// Image rows of a plane.
    pub height: u32,
    /// Values in an image row.
    pub width: u32,
    /// Flat logical index of the first value.
    pub first: u32,
    /// Distance of logical indices from plane to plane.
    pub plane_stride: i32,
    /// Distance of logical indices from image row to image row.
    pub row_stride: i32,
    /// Distance of logical indices within an image row.
    pub stride: i32,
}

impl PublicBlock {
    /// Number of values, where it can be counted.
    pub(super) fn num_values(&self) -> Option<usize> {
        let plane = (self.height as usize).checked_mul(self.width as usize)?;
        plane.checked_mul(self.planes as usize)
    }

    /// Rows of one image row of one image.
    fn chunks(&self, lanes: usize) -> usize {
        (self.width as usize).div_ceil(lanes.max(1))
    }

    /// The row after the last one, where it can be counted.
    pub(super) fn last_row(&self, grid: Grid) -> Option<usize> {
        let rows = (self.height as usize).checked_mul(self.planes as usize)?;
        let rows = rows
            .checked_mul(grid.images)?
            .checked_mul(self.chunks(grid.lanes))?;
        rows.checked_add(self.row as usize)
    }

    /// Gives `(row, lane, logical index)` of every value of an image; an index may be out of bounds in a block from
    /// outside.
    pub(super) fn visit<E>(
        &self,
        grid: Grid,
        image: usize,
        f: &mut impl FnMut(usize, usize, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        let (lanes, chunks) = (grid.lanes, self.chunks(grid.lanes));
        let mut first_row = self.row as usize + image * chunks;
        for p in 0..i64::from(self.planes) {
            for i in 0..i64::from(self.height) {
                let mut at =
                    i64::from(self.first) + p * i64::from(self.plane_stride) + i * i64::from(self.row_stride);
                let (mut row, mut lane) = (first_row, 0);
                for _ in 0..self.width {
                    if lane == lanes {
                        (row, lane) = (row + 1, 0);
                    }
                    f(row, lane, at)?;
                    lane += 1;
                    at += i64::from(self.stride);
                }
                first_row += grid.images * chunks;
            }
        }
        Ok(())
    }

    /// Takes the image rows of the next block if they continue this one.
    fn absorb_row(&mut self, next: &Self, grid: Grid) -> bool {
        let same = self.planes == 1 && (self.width, self.stride) == (next.width, next.stride);
        if !same || next.height != 1 || !self.precedes(next, grid) {
            return false;
        }
        let Some(stride) = jump(self.first, next.first, self.height, self.row_stride) else {
            return false;
        };
        (self.height, self.row_stride) = (self.height + 1, stride);
        true
    }

    /// Takes the next block if it is one more plane of this one.
    fn absorb_plane(&mut self, next: &Self, grid: Grid) -> bool {
        let shape = |b: &Self| (b.height, b.width, b.row_stride, b.stride);
        if shape(self) != shape(next) || next.planes != 1 || !self.precedes(next, grid) {
            return false;
        }
        let Some(stride) = jump(self.first, next.first, self.planes, self.plane_stride) else {
            return false;
        };
        (self.planes, self.plane_stride) = (self.planes + 1, stride);
        true
    }

    fn precedes(&self, next: &Self, grid: Grid) -> bool {
        self.last_row(grid) == Some(next.row as usize)
    }
}

/// The distance of `count + 1` equally spaced items that begin at `first`, the last at `next`; one item has no distance yet.
fn jump(first: u32, next: u32, count: u32, stride: i32) -> Option<i32> {
    let way = i64::from(next) - i64::from(first);
    let stride = if count == 1 { way } else { i64::from(stride) };
    (way == i64::from(count) * stride)
        .then(|| i32::try_from(stride).ok())
        .flatten()
}

/// The blocks of a tensor's planes; `view` gives the logical index of a stored one.
///
/// # Errors
/// [`PlanError::TooLarge`] where the values of one tape row, in a batch of one image row, are not equally spaced.
pub(super) fn blocks(
    planes: &[Plane],
    grid: Grid,
    view: impl Fn(&u32) -> i64,
) -> Result<Vec<PublicBlock>, PlanError> {
    let mut rows: Vec<PublicBlock> = Vec::new();
    for plane in planes {
        for (i, image_row) in plane.index.chunks(plane.width.max(1)).enumerate() {
            let at: Vec<i64> = image_row.iter().map(&view).collect();
            let (row, _) = plane.place(0, i, 0);
            if let Some(block) = spaced(&at, row)? {
                push(&mut rows, block, |last, next| last.absorb_row(next, grid));
                continue;
            }
            if grid.images > 1 && plane.chunks() > 1 {
                return Err(PlanError::TooLarge {
                    what: "distinct strides in one public image row of a batch",
                    size: 2,
                    limit: 1,
                });
            }
            for (chunk, part) in at.chunks(grid.lanes).enumerate() {
                let block = spaced(part, row + chunk)?.ok_or(PlanError::TooLarge {
                    what: "distinct strides in one public row",
                    size: 2,
                    limit: 1,
                })?;
                push(&mut rows, block, |last, next| last.absorb_row(next, grid));
            }
        }
    }
    let mut blocks = Vec::new();
    for block in rows {
        push(&mut blocks, block, |last, next| last.absorb_plane(next, grid));
    }
    Ok(blocks)
}

fn push(
    blocks: &mut Vec<PublicBlock>,
    block: PublicBlock,
    absorb: impl Fn(&mut PublicBlock, &PublicBlock) -> bool,
) {
    if !blocks.last_mut().is_some_and(|last| absorb(last, &block)) {
        blocks.push(block);
    }
}

/// One image row, if its indices are equally spaced.
fn spaced(at: &[i64], row: usize) -> Result<Option<PublicBlock>, PlanError> {
    let stride = at.windows(2).next().map_or(0, |pair| pair[1] - pair[0]);
    let first = at.first().and_then(|first| u32::try_from(*first).ok());
    let (Some(first), Ok(stride)) = (first, i32::try_from(stride)) else {
        return Ok(None);
    };
    if at.windows(2).any(|pair| pair[1] - pair[0] != i64::from(stride)) {
        return Ok(None);
    }
    Ok(Some(PublicBlock {
        row: to_u32(row)?,
        planes: 1,
        height: 1,
        width: to_u32(at.len())?,
        first,
        plane_stride: 0,
        row_stride: 0,
        stride,
    }))
}
