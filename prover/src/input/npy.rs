//! NumPy's `.npy`: `"\x93NUMPY" | u8 major | u8 minor | header length (u16, from version 2 on u32) | header | data`.
//!
//! The header is a Python dictionary with the keys `descr`, `fortran_order` and `shape`. Pickled objects and
//! structured types are refused.

use super::{ArrayData, ElementType, FormatFault, MAX_DIMENSIONS, NamedArray};
use half::f16;

/// How every file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read; NumPy itself refuses longer ones than 10,000.
const MAX_HEADER_BYTES: usize = 1 << 14;

struct Header {
    element: ElementType,
    big_endian: bool,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Reads one array. `budget`: values that the file may still have.
pub(super) fn parse(
    bytes: &[u8],
    name: Option<String>,
    budget: &mut usize,
) -> Result<NamedArray, FormatFault> {
    let truncated = FormatFault::Truncated {
        part: "the NumPy header",
    };
    let (length, start) = match bytes.get(MAGIC.len()..) {
        Some([1, _, a, b, ..]) => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        Some([2 | 3, _, a, b, c, d, ..]) => {
            let length = u32::from_le_bytes([*a, *b, *c, *d]);
            (usize::try_from(length).unwrap_or(usize::MAX), 12)
        }
        Some([major, minor, ..]) if !(1..=3).contains(major) => {
            return Err(FormatFault::NpyVersion {
                major: *major,
                minor: *minor,
            });
        }
        _ => return Err(truncated),
    };
    if !bytes.starts_with(MAGIC) {
        return Err(FormatFault::Unknown);
    }
    if length > MAX_HEADER_BYTES {
        return Err(FormatFault::NpyHeader { at: 0 });
    }
    let header = bytes.get(start..start + length).ok_or(truncated)?;
    let header = HeaderReader { bytes: header, at: 0 }.read()?;
    let count = count_values(&header.shape, budget)?;
    let data = read_data(&header, count, &bytes[start + length..])?;
    let data = if header.fortran_order {
        to_row_major(&header.shape, data)
    } else {
        data
    };
    Ok(NamedArray {
        name,
        element: header.element,
        shape: header.shape,
        data,
    })
}

/// Number of values of a shape, taken from the budget.
pub(super) fn count_values(shape: &[usize], budget: &mut usize) -> Result<usize, FormatFault> {
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    if shape.contains(&0) {
        return Err(FormatFault::Empty);
    }
    let count = count.filter(|n| *n <= *budget).ok_or(FormatFault::Size)?;
    *budget -= count;
    Ok(count)
}

fn element_type(descr: &str) -> Option<(ElementType, bool)> {
    let (order, code) = descr.split_at_checked(1)?;
    let element = match code {
        "b1" => ElementType::Bool,
        "u1" => ElementType::U8,
        "i1" => ElementType::I8,
        "u2" => ElementType::U16,
        "i2" => ElementType::I16,
        "u4" => ElementType::U32,
        "i4" => ElementType::I32,
        "u8" => ElementType::U64,
        "i8" => ElementType::I64,
        "f2" => ElementType::F16,
        "f4" => ElementType::F32,
        "f8" => ElementType::F64,
        _ => return None,
    };
    match order {
        "<" => Some((element, false)),
        ">" => Some((element, true)),
        "|" if size(element) == 1 => Some((element, false)),
        _ => None,
    }
}

/// Bytes of one value.
fn size(element: ElementType) -> usize {
    match element {
        ElementType::Bool | ElementType::U8 | ElementType::I8 => 1,
        ElementType::U16 | ElementType::I16 | ElementType::F16 => 2,
        ElementType::U32 | ElementType::I32 | ElementType::F32 => 4,
        ElementType::U64 | ElementType::I64 | ElementType::F64 | ElementType::Json => 8,
    }
}

fn read_data(header: &Header, count: usize, bytes: &[u8]) -> Result<ArrayData, FormatFault> {
    let expected = count.checked_mul(size(header.element)).ok_or(FormatFault::Size)?;
    if bytes.len() != expected {
        return Err(FormatFault::DataLength {
            expected,
            found: bytes.len(),
        });
    }
    let big = header.big_endian;
    let data = match header.element {
        ElementType::Bool => ArrayData::I64(values(bytes, big, |[b]| i64::from(b != 0))),
        ElementType::U8 => ArrayData::I64(values(bytes, big, |[b]| i64::from(b))),
        ElementType::I8 => ArrayData::I64(values(bytes, big, |b| i64::from(i8::from_le_bytes(b)))),
        ElementType::U16 => ArrayData::I64(values(bytes, big, |b| i64::from(u16::from_le_bytes(b)))),
        ElementType::I16 => ArrayData::I64(values(bytes, big, |b| i64::from(i16::from_le_bytes(b)))),
        ElementType::U32 => ArrayData::I64(values(bytes, big, |b| i64::from(u32::from_le_bytes(b)))),
        ElementType::I32 => ArrayData::I64(values(bytes, big, |b| i64::from(i32::from_le_bytes(b)))),
        ElementType::I64 | ElementType::Json => ArrayData::I64(values(bytes, big, i64::from_le_bytes)),
        ElementType::U64 => {
            let signed = values(bytes, big, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(-1));
            if let Some(index) = signed.iter().position(|v| *v < 0) {
                return Err(FormatFault::TooLarge { index });
            }
            ArrayData::I64(signed)
        }
        ElementType::F16 => ArrayData::F32(values(bytes, big, |b| f16::from_le_bytes(b).to_f32())),
        ElementType::F32 => ArrayData::F32(values(bytes, big, f32::from_le_bytes)),
        ElementType::F64 => ArrayData::F64(values(bytes, big, f64::from_le_bytes)),
    };
    Ok(data)
}

/// Converts the bytes in groups of N, each turned to little-endian first.
fn values<const N: usize, T>(bytes: &[u8], big_endian: bool, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (groups, _) = bytes.as_chunks::<N>();
    let value = |group: &[u8; N]| {
        let mut group = *group;
        if big_endian {
            group.reverse();
        }
        convert(group)
    };
    groups.iter().map(value).collect()
}

fn to_row_major(shape: &[usize], data: ArrayData) -> ArrayData {
    match data {
        ArrayData::F32(values) => ArrayData::F32(reorder(shape, &values)),
        ArrayData::F64(values) => ArrayData::F64(reorder(shape, &values)),
        ArrayData::I64(values) => ArrayData::I64(reorder(shape, &values)),
    }
}

/// Column-major to row-major: walks the row-major positions and keeps the column-major offset.
fn reorder<T: Copy>(shape: &[usize], values: &[T]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for dimension in shape {
        strides.push(stride);
        stride *= dimension;
    }
    let mut position = vec![0; shape.len()];
    let mut offset = 0;
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered.push(values[offset]);
        for axis in (0..shape.len()).rev() {
            position[axis] += 1;
            offset += strides[axis];
            if position[axis] < shape[axis] {
                break;
            }
            offset -= strides[axis] * shape[axis];
            position[axis] = 0;
        }
    }
    ordered
}

/// Reads the dictionary of a header.
struct HeaderReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl HeaderReader<'_> {
    fn read(mut self) -> Result<Header, FormatFault> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.skip(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            let fresh = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => false,
            };
            if !fresh {
                return Err(self.fault());
            }
            if !self.skip(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.skip_blanks();
        let (Some(descr), Some(fortran_order), Some(shape)) = (descr, fortran_order, shape) else {
            return Err(self.fault());
        };
        if self.at != self.bytes.len() {
            return Err(self.fault());
        }
        let (element, big_endian) = element_type(&descr).ok_or(FormatFault::ElementType { descr })?;
        Ok(Header {
            element,
            big_endian,
            fortran_order,
            shape,
        })
    }

    fn fault(&self) -> FormatFault {
        FormatFault::NpyHeader { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Skips blanks, then `byte` when it is next.
    fn skip(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), FormatFault> {
        if self.skip(byte) {
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    /// A quoted string of printable ASCII without escapes.
    fn string(&mut self) -> Result<String, FormatFault> {
        self.skip_blanks();
        let quote = self
            .peek()
            .filter(|b| matches!(b, b'\'' | b'"'))
            .ok_or_else(|| self.fault())?;
        self.at += 1;
        let mut text = String::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                _ if byte == quote => return Ok(text),
                b' '..=b'~' if byte != b'\\' => text.push(char::from(byte)),
                _ => break,
            }
        }
        Err(self.fault())
    }

    fn descr(&mut self) -> Result<String, FormatFault> {
        self.skip_blanks();
        if self.peek() == Some(b'[') {
            return Err(FormatFault::ElementType {
                descr: "a structured type".to_owned(),
            });
        }
        self.string()
    }

    fn boolean(&mut self) -> Result<bool, FormatFault> {
        self.skip_blanks();
        let rest = &self.bytes[self.at..];
        let (word, value) = if rest.starts_with(b"True") {
            (4, true)
        } else {
            (5, false)
        };
        if !value && !rest.starts_with(b"False") {
            return Err(self.fault());
        }
        self.at += word;
        Ok(value)
    }

    fn tuple(&mut self) -> Result<Vec<usize>, FormatFault> {
        let mut numbers = Vec::new();
        self.expect(b'(')?;
        while !self.skip(b')') {
            if numbers.len() == MAX_DIMENSIONS {
                return Err(FormatFault::Rank);
            }
            numbers.push(self.number()?);
            if !self.skip(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(numbers)
    }

    fn number(&mut self) -> Result<usize, FormatFault> {
        let mut number: Option<usize> = None;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            let digit = usize::from(byte - b'0');
            let next = number
                .unwrap_or(0)
                .checked_mul(10)
                .and_then(|n| n.checked_add(digit));
            number = Some(next.ok_or(FormatFault::Size)?);
            self.at += 1;
        }
        number.ok_or_else(|| self.fault())
    }
}
