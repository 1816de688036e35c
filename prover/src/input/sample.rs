//! Rows of files that hold several samples.

use super::port::find;
use super::resolve::input_ports;
use super::{ArrayData, InputError, InputFile, NamedArray};
use inferproof_circuits::graph::Graph;

/// Rows `first` to `first + batch - 1` of the first axis of the arrays for the graph's inputs. Others are left out: a file
/// of samples may hold labels beside them.
///
/// # Errors
/// [`InputError::Missing`] and [`InputError::Sample`].
pub fn take_samples(
    file: &InputFile,
    graph: &Graph,
    first: usize,
    batch: usize,
) -> Result<InputFile, InputError> {
    let ports = input_ports(graph);
    let cut = |port| rows(file, find(file, &ports, port)?, first, batch);
    Ok(InputFile {
        path: file.path.clone(),
        arrays: ports.iter().map(cut).collect::<Result<_, _>>()?,
    })
}

fn rows(file: &InputFile, array: &NamedArray, first: usize, batch: usize) -> Result<NamedArray, InputError> {
    let missing = || InputError::Sample {
        path: file.path.clone(),
        array: array.name.clone().unwrap_or_else(|| "without a name".to_owned()),
        shape: array.shape.clone(),
        first,
        batch,
    };
    let count = array.shape.first().copied().unwrap_or(0);
    let end = first.checked_add(batch).filter(|end| *end <= count);
    let end = end.ok_or_else(missing)?;
    let len = array.data.len() / count.max(1);
    let range = first * len..end * len;
    let data = match &array.data {
        ArrayData::F32(values) => values.get(range).map(|v| ArrayData::F32(v.to_vec())),
        ArrayData::F64(values) => values.get(range).map(|v| ArrayData::F64(v.to_vec())),
        ArrayData::I64(values) => values.get(range).map(|v| ArrayData::I64(v.to_vec())),
    };
    let mut shape = array.shape.clone();
    shape.iter_mut().take(1).for_each(|rows| *rows = batch);
    Ok(NamedArray {
        name: array.name.clone(),
        element: array.element,
        shape,
        data: data.ok_or_else(missing)?,
    })
}
