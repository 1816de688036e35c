//! JSON: nested arrays of numbers, or an object that names several.
//!
//! The text is read in one pass into flat values; no tree is built. A rectangular shape is required.

use super::{
    ArrayData, ElementType, FormatFault, MAX_ARRAYS, MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_VALUES, NamedArray,
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads all arrays. `budget`: values that they may have together.
pub(super) fn parse(bytes: &[u8], budget: usize) -> Result<Vec<NamedArray>, FormatFault> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut arrays = Vec::new();
    let read = File {
        arrays: &mut arrays,
        budget,
    }
    .deserialize(&mut reader)
    .and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(arrays),
        Err(error) => Err(FormatFault::Json {
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        }),
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
}

impl File<'_> {
    fn push_unnamed<E: Error>(self, read: impl FnOnce(&mut Builder) -> Result<(), E>) -> Result<(), E> {
        let mut builder = Builder::new(self.budget);
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
            let mut builder = Builder::new(self.budget);
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
struct Node<'a> {
    builder: &'a mut Builder,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
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
struct Builder {
    /// Length of the arrays at each depth, once one of them has ended.
    lengths: Vec<Option<usize>>,
    /// Depth of the numbers, once one was seen.
    leaf: Option<usize>,
    data: ArrayData,
    budget: usize,
}

impl Builder {
    fn new(budget: usize) -> Self {
        Self {
            lengths: Vec::new(),
            leaf: None,
            data: ArrayData::I64(Vec::new()),
            budget,
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
        let value = i64::try_from(value).map_err(|_| E::custom("an integer is 2^63 or more"))?;
        self.integer(value, depth)
    }

    fn float<E: Error>(&mut self, value: f64, depth: usize) -> Result<(), E> {
        self.number(depth)?;
        if let ArrayData::I64(values) = &self.data {
            self.data = ArrayData::F64(values.iter().map(|v| *v as f64).collect());
        }
        if let ArrayData::F64(values) = &mut self.data {
            values.push(value);
        }
        Ok(())
    }
}
