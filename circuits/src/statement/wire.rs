//! The encoding of a descriptor: its fields in order, the batch last. A descriptor of one inference is of version
//! [`super::CIRCUIT_VERSION`] and has no batch; others have one.

use super::{BATCH_VERSION, Descriptor, FOLDED_VERSION, PublicPort};
use crate::params::CircuitParams;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Fields of a descriptor without a batch.
const FIELDS: usize = 6;

fn has_batch(version: u32) -> bool {
    matches!(version, BATCH_VERSION | FOLDED_VERSION)
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let batch = has_batch(self.version);
        let mut fields = serializer.serialize_tuple(FIELDS + usize::from(batch))?;
        fields.serialize_element(&self.version)?;
        fields.serialize_element(&self.k)?;
        fields.serialize_element(&self.params)?;
        fields.serialize_element(&self.public_rows)?;
        fields.serialize_element(&self.inputs)?;
        fields.serialize_element(&self.outputs)?;
        if batch {
            fields.serialize_element(&self.batch)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(FIELDS + 1, Fields)
    }
}

struct Fields;

/// The next field.
fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(fields: &mut A, index: usize) -> Result<T, A::Error> {
    let missing = || A::Error::invalid_length(index, &Fields);
    fields.next_element()?.ok_or_else(missing)
}

impl<'de> Visitor<'de> for Fields {
    type Value = Descriptor;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a descriptor")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Descriptor, A::Error> {
        let version: u32 = next(&mut fields, 0)?;
        let k: u32 = next(&mut fields, 1)?;
        let params: CircuitParams = next(&mut fields, 2)?;
        let public_rows: u32 = next(&mut fields, 3)?;
        let inputs: Vec<PublicPort> = next(&mut fields, 4)?;
        let outputs: Vec<PublicPort> = next(&mut fields, 5)?;
        let batch = match has_batch(version) {
            true => next(&mut fields, FIELDS)?,
            false => 1,
        };
        Ok(Descriptor {
            version,
            k,
            params,
            public_rows,
            inputs,
            outputs,
            batch,
        })
    }
}
