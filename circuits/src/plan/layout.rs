//! Where a tensor lies on the tape.
//!
//! A tensor is a list of *planes*. Each image row of a plane is cut into chunks, one in each of consecutive rows of the
//! tape: as many values as there are lanes, fewer before a *break*, a column from which on the values have another divisor.
//! In a batch of N images each image row is there N times, image by image. A tensor that feeds a strided
//! window is stored phase by phase: phase plane `(p_h, p_w)` of channel c holds the values `(f_h i + p_h, f_w j + p_w)`.
//!
//! ```text
//! width 5, lanes 2        lane 0  lane 1
//!   row 0                 x[0,0]  x[0,1]
//!   row 1                 x[0,2]  x[0,3]
//!   row 2                 x[0,4]    -        tail row: one valid lane
//!   row 3                 x[1,0]  x[1,1]
//! ```
//!
//! At the point `v` value `(i, j)` of a plane has the monomial `v^(S a (height - 1 - i) + b (lanes - 1 + J - j))` with
//! the first column `J` of the last chunk, one row stride `S` for the whole circuit, and the scale `(a, b)` of the evaluation. In a batch
//! image n has `v^(P (N - 1 - n))` as a further factor, at every scale, with one pitch `P` and `S = N P`: the images lie
//! side by side, as parts of one wide image.

use serde::{Deserialize, Serialize};

/// What exponents depend on: lanes, images and their pitch.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Lanes of the tape.
    pub lanes: usize,
    /// Images N.
    pub images: usize,
    /// Exponent distance P between images.
    pub pitch: usize,
}

impl Point {
    /// Row stride S.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.images * self.pitch
    }

    /// Exponents by which the images are set off, first image first.
    pub fn offsets(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let pitch = self.pitch;
        (0..self.images).rev().map(move |n| n * pitch)
    }
}

/// Scale of an evaluation: exponents grow by `S a` from image row to image row and by `b` from column to column.
pub type Scale = (usize, usize);

/// One plane of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// First row on the tape.
    pub first_row: usize,
    /// Images.
    pub images: usize,
    /// Image rows.
    pub height: usize,
    /// Values in an image row.
    pub width: usize,
    /// Flat logical index (in the tensor that owns the plane) of each value of an image, row-major.
    pub index: Vec<u32>,
    /// First column of each chunk of an image row, ascending from 0; empty where the plane has no column.
    pub starts: Vec<usize>,
}

impl Plane {
    /// Tape rows per image row.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.starts.len()
    }

    /// First column of the last chunk.
    #[must_use]
    pub fn last_start(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Chunk of a column.
    fn chunk(&self, j: usize) -> usize {
        self.starts.partition_point(|start| *start <= j) - 1
    }

    /// Tape rows of the plane.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.height * self.images * self.chunks()
    }

    /// Tape row and lane of value `(i, j)` of an image.
    #[must_use]
    pub fn place(&self, image: usize, i: usize, j: usize) -> (usize, usize) {
        let chunk = self.chunk(j);
        let row = self.first_row + (i * self.images + image) * self.chunks() + chunk;
        (row, j - self.starts[chunk])
    }

    /// Last tape row: where the evaluation of the plane is complete.
    #[must_use]
    pub fn last_row(&self) -> usize {
        self.first_row + self.num_rows() - 1
    }

    /// Exponent of v of value `(i, j)` of the last image in an evaluation of this scale; [`Point::offsets`] has what the
    /// other images add.
    #[must_use]
    pub fn exponent(&self, i: usize, j: usize, at: Point, scale: Scale) -> usize {
        at.stride() * scale.0 * (self.height - 1 - i) + scale.1 * (at.lanes - 1 + self.last_start() - j)
    }

    /// Number of valid lanes in each chunk of an image row.
    #[must_use]
    pub fn valid_lanes(&self, chunk: usize) -> usize {
        let end = self.starts.get(chunk + 1).copied().unwrap_or(self.width);
        end - self.starts[chunk]
    }
}

/// How a tensor is cut into planes, before rows are given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Channels.
    pub channels: usize,
    /// Height of a channel.
    pub height: usize,
    /// Width of a channel.
    pub width: usize,
    /// Phases: `(f_h, f_w)`.
    pub phases: (usize, usize),
}

impl Geometry {
    /// Number of planes; a plane may be empty when a phase has no row or column.
    #[must_use]
    pub fn num_planes(&self) -> usize {
        self.channels * self.phases.0 * self.phases.1
    }

    /// Height and width of the phase plane `(p_h, p_w)`.
    #[must_use]
    pub fn plane_size(&self, phase: (usize, usize)) -> (usize, usize) {
        let size = |n: usize, p: usize, f: usize| if n > p { (n - p).div_ceil(f) } else { 0 };
        (
            size(self.height, phase.0, self.phases.0),
            size(self.width, phase.1, self.phases.1),
        )
    }

    /// First column of each chunk in the planes of horizontal phase `p_w`, with these breaks in the columns of the channel.
    #[must_use]
    pub fn starts(&self, p_w: usize, lanes: usize, breaks: &[usize]) -> Vec<usize> {
        let width = self.plane_size((0, p_w)).1;
        let column = |j: usize| j * self.phases.1 + p_w;
        let part = |j: usize| breaks.partition_point(|b| *b <= column(j));
        let mut starts: Vec<usize> = Vec::with_capacity(width.div_ceil(lanes));
        for j in 0..width {
            let next = starts
                .last()
                .is_none_or(|start| j - start == lanes || part(j) != part(j - 1));
            if next {
                starts.push(j);
            }
        }
        starts
    }

    /// The planes, with `index` taken from `logical(c, h, w)` and `first_row` still 0.
    pub fn planes(
        &self,
        (lanes, images): (usize, usize),
        breaks: &[usize],
        logical: impl Fn(usize, usize, usize) -> u32,
    ) -> Vec<Plane> {
        let (f_h, f_w) = self.phases;
        let starts: Vec<_> = (0..f_w).map(|p_w| self.starts(p_w, lanes, breaks)).collect();
        let mut planes = Vec::with_capacity(self.num_planes());
        for c in 0..self.channels {
            for p_h in 0..f_h {
                for (p_w, starts) in starts.iter().enumerate() {
                    let (height, width) = self.plane_size((p_h, p_w));
                    let mut index = Vec::with_capacity(height * width);
                    for i in 0..height {
                        index.extend((0..width).map(|j| logical(c, i * f_h + p_h, j * f_w + p_w)));
                    }
                    let height = if width == 0 { 0 } else { height };
                    planes.push(Plane {
                        first_row: 0,
                        images,
                        height,
                        width,
                        index,
                        starts: starts.clone(),
                    });
                }
            }
        }
        planes
    }
}
