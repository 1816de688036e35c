//! The program in a folder of its own.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test fails by panicking; no test needs all of this"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for one test; the cache lies inside it.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, to be run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inferproof"));
        command.args(arguments);
        self.settle(&mut command);
        command
    }

    /// Runs the command in the folder, with its cache.
    pub fn settle(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env("INFERPROOF_CACHE", self.path("cache"))
            .env_remove("RUST_BACKTRACE");
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Proves the first stored sample of the small network.
    pub fn proved(&self) -> serde_json::Value {
        self.proved_as("a.proof", "0", &[])
    }

    /// Proves one stored sample of the small network.
    pub fn proved_as(&self, file: &str, sample: &str, more: &[&str]) -> serde_json::Value {
        let (model, input) = shipped();
        let arguments = [
            "prove", &model, "--input", &input, "--sample", sample, "-o", file, "--json",
        ];
        let output = self.run(&[&arguments, more].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The tiny network and its inputs.
pub fn shipped() -> (String, String) {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let path = |name: &str| models.join(name).to_string_lossy().into_owned();
    (path("tiny_mlp.onnx"), path("tiny_mlp_inputs.npz"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
