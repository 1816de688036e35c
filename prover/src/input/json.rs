//! JSON: nested arrays of numbers, or an object that names several.
//!
//! The text is read in one pass into flat values; no tree is built and neither the text nor its strings are kept. A
//! rectangular shape is required.

use super::{
    ArrayData, ElementType, FormatFault, MAX_ARRAYS, MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_VALUES, NamedArray,
    Stop,
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

/// Longest string between its quotes: a name of which every byte is escaped.
const MAX_STRING_BYTES: usize = 6 * MAX_NAME_BYTES;

/// Reads all arrays. `budget`: values that they may have together.
pub(super) fn parse<R: Read>(source: R, budget: usize) -> Result<Vec<NamedArray>, Stop> {
    let seen = Seen::default();
    let mut reader = serde_json::Deserializer::from_reader(Guard { source, seen: &seen });
    let mut arrays = Vec::new();
    let read = File {
        arrays: &mut arrays,
        budget,
        seen: &seen,
    }
    .deserialize(&mut reader)
    .and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(arrays),
        Err(_) if seen.is_long.get() => Err(FormatFault::LongString.into()),
        Err(error) if error.is_io() => Err(Stop::Read(error.into())),
        Err(error) => Err(FormatFault::Json {
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        }
        .into()),
    }
}

/// What has passed the guard.
#[derive(Default)]
struct Seen {
    /// Bytes since the quote that opened a string.
    string: Cell<Option<usize>>,
    is_escaped: Cell<bool>,
    is_long: Cell<bool>,
    /// Signs of a fraction or an exponent outside strings.
    marks: Cell<u64>,
}

impl Seen {
    fn pass(&self, byte: u8) -> io::Result<()> {
        let Some(length) = self.string.get() else {
            match byte {
                b'"' => self.string.set(Some(0)),
                b'.' | b'e' | b'E' => self.marks.set(self.marks.get() + 1),
                _ => {}
            }
            return Ok(());
        };
        let closes = byte == b'"' && !self.is_escaped.get();
        self.is_escaped.set(byte == b'\\' && !self.is_escaped.get());
        self.string.set(Some(length + 1).filter(|_| !closes));
        if length > MAX_STRING_BYTES {
            self.is_long.set(true);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}

/// Passes one byte at a time, so that what was seen is at most one byte ahead of the parser: the one behind a number. Stops
/// the parser before it keeps a long string.
struct Guard<'a, R> {
    source: R,
    seen: &'a Seen,
}

impl<R: Read> Read for Guard<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.get_mut(..1).unwrap_or_default();
        let count = self.source.read(one)?;
        if let (1, [byte]) = (count, one) {
            self.seen.pass(*byte)?;
        }
        Ok(count)
    }
}

/// The reader's words without the place, bounded: they may quote the text.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason);
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The whole text: an array, a number, or an object of them.
struct File<'a> {
    arrays: &'a mut Vec<NamedArray>,
    budget: usize,
    seen: &'a Seen,
}

impl File<'_> {
    fn push_unnamed<E: Error>(self, read: impl FnOnce(&mut Builder) -> Result<(), E>) -> Result<(), E> {
        // A single number has passed already.
        let mut builder = Builder {
            marks: 0,
            ..Builder::new(self.budget, self.seen)
        };
        read(&mut builder)?;
        self.arrays.push(builder.finish(None)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for File<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for File<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nested arrays of numbers, or an object that names some")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.push_unnamed(|builder| builder.integer(value, 0))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.push_unnamed(|builder| builder.unsigned(value, 0))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.push_unnamed(|builder| builder.float(value, 0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.push_unnamed(|builder| Node { builder, depth: 0 }.visit_seq(seq))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name.len() > MAX_NAME_BYTES || self.arrays.iter().any(|a| a.name.as_ref() == Some(&name)) {
                return Err(A::Error::custom(FormatFault::Name));
            }
            if self.arrays.len() == MAX_ARRAYS {
                return Err(A::Error::custom(FormatFault::TooMany));
            }
            let mut builder = Builder::new(self.budget, self.seen);
            map.next_value_seed(Node {
                builder: &mut builder,
                depth: 0,
            })?;
            let array = builder.finish(Some(name))?;
            self.budget -= array.data.len();
            self.arrays.push(array);
        }
        Ok(())
    }
}

/// One array, or one number in it, at `depth`.
struct Node<'a, 'b> {
    builder: &'a mut Builder<'b>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or nested arrays of numbers")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.builder.integer(value, self.depth)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.builder.unsigned(value, self.depth)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.builder.float(value, self.depth)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Node { builder, depth } = self;
        builder.enter(depth)?;
        let mut length = 0;
        while seq
            .next_element_seed(Node {
                builder: &mut *builder,
                depth: depth + 1,
            })?
            .is_some()
        {
            length += 1;
        }
        builder.leave(depth, length)
    }
}

/// Collects values and the shape.
struct Builder<'a> {
    /// Length of the arrays at each depth, once one of them has ended.
    lengths: Vec<Option<usize>>,
    /// Depth of the numbers, once one was seen.
    leaf: Option<usize>,
    data: ArrayData,
    budget: usize,
    seen: &'a Seen,
    /// Marks in the numbers so far.
    marks: u64,
}

impl<'a> Builder<'a> {
    fn new(budget: usize, seen: &'a Seen) -> Self {
        Self {
            lengths: Vec::new(),
            leaf: None,
            data: ArrayData::I64(Vec::new()),
            budget,
            seen,
            marks: seen.marks.get(),
        }
    }

    fn finish<E: Error>(self, name: Option<String>) -> Result<NamedArray, E> {
        let shape: Option<Vec<usize>> = self.lengths.into_iter().collect();
        match shape {
            Some(shape) if !self.data.is_empty() => Ok(NamedArray {
                name,
                element: ElementType::Json,
                shape,
                data: self.data,
            }),
            _ => Err(E::custom("the array is empty")),
        }
    }

    fn enter<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth == MAX_DIMENSIONS {
            return Err(E::custom(FormatFault::Rank));
        }
        if self.leaf.is_some_and(|leaf| leaf <= depth) {
            return Err(E::custom("an array stands where other rows have a number"));
        }
        if self.lengths.len() == depth {
            self.lengths.push(None);
        }
        Ok(())
    }

    fn leave<E: Error>(&mut self, depth: usize, length: usize) -> Result<(), E> {
        let known = *self.lengths[depth].get_or_insert(length);
        if length == 0 {
            return Err(E::custom("the array is empty"));
        }
        if known != length {
            return Err(E::custom(format_args!(
                "a row has {length} elements where the others have {known}"
            )));
        }
        Ok(())
    }

    fn number<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        if self.lengths.len() != depth || *self.leaf.get_or_insert(depth) != depth {
            return Err(E::custom("a number stands where other rows have an array"));
        }
        if self.data.len() >= self.budget {
            return Err(E::custom(format_args!("there are more than {MAX_VALUES} values")));
        }
        Ok(())
    }

    fn integer<E: Error>(&mut self, value: i64, depth: usize) -> Result<(), E> {
        self.number(depth)?;
        match &mut self.data {
            ArrayData::I64(values) => values.push(value),
            ArrayData::F64(values) => values.push(value as f64),
            ArrayData::F32(values) => values.push(value as f32),
        }
        Ok(())
    }

    fn unsigned<E: Error>(&mut self, value: u64, depth: usize) -> Result<(), E> {
        let value = i64::try_from(value).map_err(|_| wide())?;
        self.integer(value, depth)
    }

    /// A number that the parser has as a float. Written as an integer it is -0, or too large for one.
    fn float<E: Error>(&mut self, value: f64, depth: usize) -> Result<(), E> {
        if self.seen.marks.get() == self.marks {
            return if value == 0.0 {
                self.integer(0, depth)
            } else {
                Err(wide())
            };
        }
        self.marks = self.seen.marks.get();
        self.number(depth)?;
        if let ArrayData::I64(values) = &mut self.data {
            let values = std::mem::take(values);
            self.data = ArrayData::F64(values.into_iter().map(|v| v as f64).collect());
        }
        if let ArrayData::F64(values) = &mut self.data {
            values.push(value);
        }
        Ok(())
    }
}

fn wide<E: Error>() -> E {
    E::custom("an integer needs more than 64 bits; write it with a fraction if it is a float")
}
