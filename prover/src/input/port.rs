//! One array to the integer tensor of a port.

use super::{ArrayData, ElementType, InputError, InputFile, NamedArray};
use inferproof_circuits::graph::{Graph, TensorId, TensorInfo};
use inferproof_circuits::tensor::{DType, Tensor};

/// Name that NumPy gives to the first array of `numpy.savez(file, array)`: none of the caller's.
const NUMPY_FIRST_NAME: &str = "arr_0";
/// Steps outside the range from which on a value is far outside: an eighth of the range, which a calibration that leaves
/// the largest values out does not reach.
const FAR_STEPS: f32 = 32.0;

/// How the values of an input were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As integers that are quantized already.
    Integers,
    /// As floats, and quantized.
    Floats {
        /// Values outside the range of the integers, which are clamped.
        clamped: usize,
        /// Clamped values that are more than an eighth of the range outside of it.
        far: usize,
        /// Values other than zero.
        nonzero: usize,
    },
}

/// What an input was taken as.
#[derive(Debug, Clone, PartialEq)]
pub struct InputKind {
    /// Name of the graph's input.
    pub name: String,
    /// Type of the values in the file.
    pub element: ElementType,
    /// Number of values.
    pub values: usize,
    /// How they were read.
    pub reading: Reading,
    /// The graph's integer type.
    pub dtype: DType,
    /// Real size of one step of it.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
}

impl InputKind {
    /// Floats from the smallest to the largest that the integers can stand for.
    #[must_use]
    pub fn range(&self) -> (f32, f32) {
        let real = |q: i32| (q - self.zero_point) as f32 * self.scale;
        (real(self.dtype.min()), real(self.dtype.max()))
    }

    /// Whether most floats other than zero lie far outside [`InputKind::range`]: they are likely in another unit, or quantized
    /// already.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        matches!(self.reading, Reading::Floats { far, nonzero, .. } if 2 * far > nonzero)
    }
}

/// A place in the graph for which an array is looked up.
pub(super) struct Port<'a> {
    pub name: &'a str,
    pub tensor: TensorId,
    /// Whether the graph takes floats.
    pub float: bool,
}

/// The array for a port: the one with its name, or, for the only port, the one without a name.
pub(super) fn find<'a>(
    file: &'a InputFile,
    ports: &[Port],
    port: &Port,
) -> Result<&'a NamedArray, InputError> {
    if let Some(array) = file.arrays.iter().find(|a| a.name.as_deref() == Some(port.name)) {
        return Ok(array);
    }
    let mut unnamed = file.arrays.iter().filter(|array| is_unnamed(array));
    if let (Some(array), [_]) = (unnamed.next(), ports) {
        return Ok(array);
    }
    let name = |a: &NamedArray| {
        let name = a.name.as_deref().unwrap_or("an array without a name");
        format!("{name} {:?}", a.shape)
    };
    Err(InputError::Missing {
        path: file.path.clone(),
        port: port.name.to_owned(),
        found: file.arrays.iter().map(name).collect(),
        wanted: ports.iter().map(|p| p.name.to_owned()).collect(),
    })
}

fn is_unnamed(array: &NamedArray) -> bool {
    array.name.as_deref().is_none_or(|name| name == NUMPY_FIRST_NAME)
}

/// Refuses arrays that no port takes: of claims, none may go unchecked.
pub(super) fn refuse_others(file: &InputFile, ports: &[Port], side: &'static str) -> Result<(), InputError> {
    let named = |array: &NamedArray| ports.iter().any(|port| array.name.as_deref() == Some(port.name));
    let is_taken = |array: &&NamedArray| {
        let stands_alone = ports.len() == 1 && !file.arrays.iter().any(named);
        named(array) || array.name.is_none() || (is_unnamed(array) && stands_alone)
    };
    match file.arrays.iter().find(|array| !is_taken(array)) {
        None => Ok(()),
        Some(array) => Err(InputError::Unknown {
            path: file.path.clone(),
            side,
            array: array.name.clone().unwrap_or_default(),
            known: ports.iter().map(|port| port.name.to_owned()).collect(),
        }),
    }
}

/// The tensor that an array is to become, with what messages need.
pub(super) struct Target<'a> {
    file: &'a InputFile,
    array: &'a NamedArray,
    name: String,
    port: &'a str,
    pub info: &'a TensorInfo,
}

impl<'a> Target<'a> {
    /// Booleans are refused here.
    pub fn new(
        file: &'a InputFile,
        array: &'a NamedArray,
        port: &'a Port,
        graph: &'a Graph,
    ) -> Result<Self, InputError> {
        let name = array.name.clone().unwrap_or_else(|| port.name.to_owned());
        let info = graph.tensors.get(port.tensor.0).filter(|info| is_usable(info));
        let info = info.ok_or_else(|| InputError::Port {
            port: port.name.to_owned(),
        })?;
        if array.element == ElementType::Bool {
            return Err(InputError::Bool {
                path: file.path.clone(),
                array: name,
                wanted: info.dtype.to_string(),
            });
        }
        Ok(Self {
            file,
            array,
            name,
            port: port.name,
            info,
        })
    }

    /// An input: floats are quantized, integers are taken as they are. Numbers of a JSON text are floats where the graph
    /// takes floats.
    pub fn input(&self, float: bool) -> Result<(Tensor, InputKind), InputError> {
        let is_json = self.array.element == ElementType::Json;
        let (tensor, reading) = match &self.array.data {
            ArrayData::I64(_) if !(is_json && float) => {
                let advice = if is_json {
                    "numbers without a fraction are taken as quantized already; write one of them with a fraction (1.0) and all are \
                     floats that the model's scale quantizes"
                } else {
                    "integers are taken as quantized already; pass floats (.astype(numpy.float32)) to have them quantized with the \
                     model's scale"
                };
                (self.integers(advice)?, Reading::Integers)
            }
            _ => self.quantize()?,
        };
        let info = self.info;
        let kind = InputKind {
            name: self.port.to_owned(),
            element: self.array.element,
            values: tensor.data().len(),
            reading,
            dtype: info.dtype,
            scale: info.scale,
            zero_point: info.zero_point,
        };
        Ok((tensor, kind))
    }

    /// The integers as they are.
    pub fn integers(&self, advice: &'static str) -> Result<Tensor, InputError> {
        let ArrayData::I64(values) = &self.array.data else {
            return Err(InputError::Type {
                path: self.file.path.clone(),
                array: self.name.clone(),
                found: self.array.element,
                wanted: format!("integers of {}", self.info.dtype),
            });
        };
        self.check_shape()?;
        let (lo, hi) = (self.info.dtype.min(), self.info.dtype.max());
        let fit = |(index, value): (usize, &i64)| {
            let fitting = i32::try_from(*value).ok().filter(|v| (lo..=hi).contains(v));
            fitting.ok_or_else(|| InputError::Range {
                path: self.file.path.clone(),
                array: self.name.clone(),
                index,
                value: *value,
                wanted: self.info.dtype.to_string(),
                advice,
            })
        };
        let data: Result<Vec<i32>, InputError> = values.iter().enumerate().map(fit).collect();
        self.finish(data?)
    }

    fn quantize(&self) -> Result<(Tensor, Reading), InputError> {
        self.check_shape()?;
        let values = self.array.data.to_f32();
        let (mut clamped, mut far, mut nonzero) = (0, 0, 0);
        let mut data = Vec::with_capacity(values.len());
        for (index, x) in values.into_iter().enumerate() {
            let (value, excess) = quantize(x, self.info).ok_or_else(|| InputError::NotANumber {
                path: self.file.path.clone(),
                array: self.name.clone(),
                index,
            })?;
            clamped += usize::from(excess > 0.0);
            far += usize::from(excess > FAR_STEPS);
            nonzero += usize::from(x != 0.0);
            data.push(value);
        }
        let reading = Reading::Floats {
            clamped,
            far,
            nonzero,
        };
        Ok((self.finish(data)?, reading))
    }

    fn wrong_shape(&self) -> InputError {
        InputError::Shape {
            path: self.file.path.clone(),
            array: self.name.clone(),
            found: self.array.shape.clone(),
            wanted: self.info.shape.dims().to_vec(),
        }
    }

    /// Before any value is converted: an array of another shape may be large.
    fn check_shape(&self) -> Result<(), InputError> {
        let fits = is_same_shape(&self.array.shape, self.info.shape.dims());
        fits.then_some(()).ok_or_else(|| self.wrong_shape())
    }

    fn finish(&self, data: Vec<i32>) -> Result<Tensor, InputError> {
        let shape = self.info.shape.clone();
        Tensor::new(shape, self.info.dtype, data).map_err(|_| self.wrong_shape())
    }
}

/// Whether the tensor's scale and zero point are ones that values can be quantized with.
fn is_usable(info: &TensorInfo) -> bool {
    let range = info.dtype.min()..=info.dtype.max();
    info.scale.is_finite() && info.scale > 0.0 && range.contains(&info.zero_point)
}

/// Equal, or equal after a leading 1 of one of them, or after a 1 behind the first axis of `found`: samples of a batch
/// that have a batch axis of their own.
fn is_same_shape(found: &[usize], wanted: &[usize]) -> bool {
    let of_samples = match (found, wanted) {
        ([samples, 1, found @ ..], [batch, wanted @ ..]) => samples == batch && found == wanted,
        _ => false,
    };
    found == wanted
        || found.split_first() == Some((&1, wanted))
        || wanted.split_first() == Some((&1, found))
        || of_samples
}

/// `clamp(round_half_even(x / S) + z)`, and by how many steps it was clamped; none for NaN. Infinities clamp.
#[allow(
    clippy::cast_possible_truncation,
    reason = "clamped to at most 256 integers around zero, which both types hold exactly"
)]
fn quantize(x: f32, info: &TensorInfo) -> Option<(i32, f32)> {
    let steps = (x / info.scale).round_ties_even();
    if steps.is_nan() {
        return None;
    }
    let lo = info.dtype.min() - info.zero_point;
    let hi = info.dtype.max() - info.zero_point;
    let within = steps.clamp(lo as f32, hi as f32);
    Some((within as i32 + info.zero_point, (steps - within).abs()))
}
