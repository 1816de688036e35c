//! `MAX_DEGREE` in the environment, which only a child process can be given.

use super::fixture::{small, two_proofs};
use crate::{
    Backend, KeyError, ModelId, ProofFile, Trusted, VerifyError, VerifyOptions, VerifyingKey, verify,
};
use std::process::Command;

/// Names a folder with `key` and `proof` for the child.
const FOLDER: &str = "INFERPROOF_TEST_CHILD_FOLDER";

#[test]
fn a_set_max_degree_is_refused() {
    let folder = std::env::temp_dir().join(format!("inferproof-max-degree-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = two_proofs(Backend::Shplonk)[0].to_bytes().unwrap();
    std::fs::write(folder.join("key"), small(Backend::Shplonk).key.to_bytes()).unwrap();
    std::fs::write(folder.join("proof"), file).unwrap();
    let child = |degree: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "tests::environment::child", "--ignored"])
            .env(FOLDER, &folder);
        degree.map(|degree| command.env("MAX_DEGREE", degree));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("running 1 test"), "{text}");
        output.status.success()
    };
    let refused = [Some("4"), Some("5"), Some("99"), Some("x"), Some("")].map(child);
    let without = child(None);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(refused, [true; 5]);
    assert!(!without, "the child passes only where MAX_DEGREE is refused");
}

#[test]
#[ignore = "run by a_set_max_degree_is_refused in a process of its own"]
fn child() {
    let folder = std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let key = std::fs::read(folder.join("key")).unwrap();
    let file = ProofFile::from_bytes(&std::fs::read(folder.join("proof")).unwrap()).unwrap();
    assert_eq!(VerifyingKey::from_bytes(&key), Err(KeyError::MaxDegreeSet));
    let trusted = Trusted::ModelId(ModelId::of_key_bytes(&key));
    assert_eq!(
        verify(trusted, &file, &VerifyOptions::default()),
        Err(VerifyError::MaxDegreeSet)
    );
}
