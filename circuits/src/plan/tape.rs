//! The rows of the tape, and the columns that they need.

use super::layout::{self, Plane, Point};
use super::lower::{Home, Kind, Lowered};
use super::{PlanError, cost};
use crate::params::{CircuitParams, Pattern};

/// What a row of the tape holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TapeRow {
    /// Index of the value step in [`CircuitParams::value_steps`], plus one; 0 starts a plane.
    pub value_step: usize,
    /// Likewise in [`CircuitParams::accumulator_steps`].
    pub accumulator_step: usize,
    /// Index in [`CircuitParams::patterns`].
    pub pattern: usize,
    /// Valid lanes.
    pub valid: usize,
    /// Home.
    pub home: usize,
    /// Plane of the home.
    pub plane: usize,
    /// Image.
    pub image: usize,
    /// Position of lane 0 in the plane.
    pub offset: usize,
}

/// Planes of a home. A flat vector is cut into planes of one tape row.
pub(super) fn cut(home: &Home, lanes: usize, images: usize) -> Vec<Plane> {
    if home.flat {
        let chunk = |index: &[u32]| Plane {
            first_row: 0,
            images,
            height: 1,
            width: index.len(),
            index: index.to_vec(),
            starts: vec![0],
        };
        return home.index.chunks(lanes).map(chunk).collect();
    }
    let (h, w) = (home.geometry.height, home.geometry.width);
    home.geometry.planes((lanes, images), &home.breaks, |c, i, j| {
        home.index[(c * h + i) * w + j]
    })
}

/// What each tape row holds, and the distinct row steps and lane patterns.
pub(super) struct Tape {
    pub(super) rows: Vec<TapeRow>,
    pub(super) value_steps: Vec<u32>,
    pub(super) accumulator_steps: Vec<u32>,
    pub(super) patterns: Vec<Pattern>,
}

/// Index of `item`, appended when it is new.
fn intern<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|x| *x == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

fn small(v: usize) -> u32 {
    u32::try_from(v).unwrap_or(u32::MAX)
}

impl Tape {
    pub(super) fn new(lowered: &Lowered, planes: &[Vec<Plane>], num_rows: usize, at: Point) -> Self {
        let blank = TapeRow {
            value_step: 0,
            accumulator_step: 0,
            pattern: 0,
            valid: at.lanes,
            home: 0,
            plane: 0,
            image: 0,
            offset: 0,
        };
        let full = Pattern {
            valid: small(at.lanes),
            value_base: 1,
            accumulator_base: 1,
        };
        let mut tape = Self {
            rows: vec![blank; num_rows],
            value_steps: Vec::new(),
            accumulator_steps: Vec::new(),
            patterns: vec![full],
        };
        for (home, list) in planes.iter().enumerate() {
            for (p, plane) in list.iter().enumerate() {
                for r in 0..plane.num_rows() {
                    tape.rows[plane.first_row + r] = TapeRow {
                        home,
                        plane: p,
                        ..tape.row(&lowered.homes[home], plane, r, at)
                    };
                }
            }
        }
        tape
    }

    /// Row `r` of a plane: image rows from the top, in each the images in order, of each its chunks.
    fn row(&mut self, home: &Home, plane: &Plane, r: usize, at: Point) -> TapeRow {
        let chunks = plane.chunks();
        let (i, image, chunk) = (r / chunks / at.images, r / chunks % at.images, r % chunks);
        // From the end of the row of an image to its start, back to the first image, and down one image row.
        let back = |scale: layout::Scale| scale.1 * plane.last_start();
        let exponent = |scale: layout::Scale| match (i, image, chunk) {
            (0, 0, 0) => None,
            (_, 0, 0) => Some(small(
                at.stride() * scale.0 - (at.images - 1) * at.pitch - back(scale),
            )),
            (_, _, 0) => Some(small(at.pitch - back(scale))),
            _ => Some(small(scale.1 * (plane.starts[chunk] - plane.starts[chunk - 1]))),
        };
        let number = |list: &mut Vec<u32>, e: Option<u32>| e.map_or(0, |e| intern(list, e) + 1);
        let valid = plane.valid_lanes(chunk);
        // With one valid lane the base still counts: lane 0 has the monomial v^(base (lanes - 1)).
        let pattern = Pattern {
            valid: small(valid),
            value_base: small(home.value_scale.1),
            accumulator_base: small(home.accumulator_scale.1),
        };
        TapeRow {
            value_step: number(&mut self.value_steps, exponent(home.value_scale)),
            accumulator_step: number(&mut self.accumulator_steps, exponent(home.accumulator_scale)),
            pattern: intern(&mut self.patterns, pattern),
            valid,
            home: 0,
            plane: 0,
            image,
            offset: i * plane.width + plane.starts[chunk],
        }
    }
}

/// Columns and constants for the choice.
pub(super) fn circuit_params(
    lowered: &Lowered,
    choice: &cost::Candidate,
    tape: &Tape,
    folded: Option<u32>,
) -> Result<CircuitParams, PlanError> {
    let zero = lowered.homes.first().map_or(0, |h| h.zero);
    let same = lowered.homes.iter().all(|h| h.zero == zero);
    let uniform_zero = if same { i32::try_from(zero).ok() } else { None };
    let max_rows = lowered.steps.iter().any(|s| matches!(s.kind, Kind::Max(..)));
    // The cells of the clamp hold a difference of two bytes in max rows.
    let params = CircuitParams {
        lanes: u32::try_from(choice.lanes).unwrap_or(u32::MAX),
        limb_split: choice.limb_split,
        clamp: choice.clamp,
        weight_lanes: u32::try_from(choice.weight_lanes).unwrap_or(u32::MAX),
        ranges: ranges(lowered),
        uniform_zero,
        patterns: tape.patterns.clone(),
        value_steps: tape.value_steps.clone(),
        accumulator_steps: tape.accumulator_steps.clone(),
        shared_steps: tape.rows.iter().all(|r| r.value_step == r.accumulator_step)
            && tape.value_steps == tape.accumulator_steps,
        max_rows,
        folded,
    };
    let limit = |e: crate::params::ParamsError| PlanError::TooLarge {
        what: e.name,
        size: usize::try_from(e.value).unwrap_or(usize::MAX),
        limit: usize::try_from(e.high).unwrap_or(usize::MAX),
    };
    params.validate().map_err(limit)?;
    Ok(params)
}

/// Distinct ranges of stored values.
pub(super) fn ranges(lowered: &Lowered) -> Vec<u32> {
    let mut ranges: Vec<u32> = lowered.homes.iter().map(|h| h.range).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}
