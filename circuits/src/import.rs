//! Import of model files.
