//! The same values in another order or shape: reshape, flatten, squeeze, unsqueeze, transpose, identity.

use serde::{Deserialize, Serialize};

/// `y.flat[i] = x.flat[source[i]]`; `source` is a permutation, `None` for the identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Flat index in the input of each flat position of the output.
    pub source: Option<Vec<u32>>,
}
