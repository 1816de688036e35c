//! `verify` from outside: the exit code and the JSON object of every kind of answer, many proofs, nonces.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, text};
use inferproof_verifier::{Backend, ModelId, ProofFile};
use serde_json::Value as Json;

const NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

/// Exit code and the one object on stdout.
fn ask(place: &Place, arguments: &[&str]) -> (i32, Json) {
    let output = place.run(&[&["verify", "--json"], arguments].concat());
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!err.contains("panicked"), "{arguments:?}: {err}");
    let code = output.status.code().unwrap();
    assert!(code == 0 || err.contains("error"), "{arguments:?}: {err}");
    let object: Json =
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {out}{err}"));
    assert!(object.is_object(), "{arguments:?}: {out}");
    (code, object)
}

fn write(place: &Place, name: &str, honest: &ProofFile, change: impl Fn(&mut ProofFile)) {
    let mut file = honest.clone();
    change(&mut file);
    std::fs::write(place.path(name), file.to_bytes().unwrap()).unwrap();
}

/// One proof, its model id and the options that accept it.
fn setting() -> (Place, String, ProofFile) {
    let place = Place::new();
    let id = place.proved()["model_id"].as_str().unwrap().to_owned();
    let file = ProofFile::from_bytes(&std::fs::read(place.path("a.proof")).unwrap()).unwrap();
    (place, id, file)
}

fn assert_answer(answer: &(i32, Json), code: i32, what: &str) {
    let valid = match code {
        0 => Json::Bool(true),
        1 => Json::Bool(false),
        _ => Json::Null,
    };
    assert_eq!(
        (answer.0, &answer.1["valid"]),
        (code, &valid),
        "{what}: {}",
        answer.1
    );
    if code > 0 {
        let reason = answer.1["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty(), "{what}: {}", answer.1);
    }
}

#[test]
fn proofs_that_do_not_hold_are_invalid() {
    let (place, id, file) = setting();
    let trust = ["--model-id", &id, "--allow-insecure-srs"];
    let with = |more: &[&str]| ask(&place, &[&trust, more].concat());
    assert_answer(&with(&["a.proof"]), 0, "honest");
    let scalar = file.proof.len() - 96;
    write(&place, "rejected.proof", &file, |f| f.proof[scalar] ^= 1);
    assert_answer(&with(&["rejected.proof"]), 1, "rejected");
    write(&place, "backend.proof", &file, |f| f.backend = Backend::Gwc);
    assert_answer(&with(&["backend.proof"]), 1, "another backend");
    write(&place, "output.proof", &file, |f| {
        f.outputs[0] = f.inputs[0].clone()
    });
    assert_answer(&with(&["output.proof"]), 1, "another output");
    write(&place, "count.proof", &file, |f| f.outputs.clear());
    assert_answer(&with(&["count.proof"]), 1, "no output");
    assert_answer(&with(&["a.proof", "--nonce", NONCE]), 1, "not the nonce");
    let other = ModelId::of_key_bytes(b"another").to_string();
    let wrong = ["a.proof", "--allow-insecure-srs", "--model-id", &other];
    assert_answer(&ask(&place, &wrong), 1, "another model");
    let third = other.replace('0', "1");
    let more = [&wrong[..], &["--model-id", &third]].concat();
    assert_answer(&ask(&place, &more), 1, "none of the models");
    let len = file.inputs[0].tensor.data().len();
    std::fs::write(place.path("zeros.json"), format!("{:?}", vec![0; len])).unwrap();
    let claimed = with(&["a.proof", "--input", "zeros.json"]);
    assert_answer(&claimed, 1, "not the claimed input");
}

#[test]
fn questions_that_cannot_be_answered_are_undecided() {
    let (place, id, file) = setting();
    let bytes = std::fs::read(place.path("a.proof")).unwrap();
    let trust = ["--model-id", &id, "--allow-insecure-srs"];
    let with = |more: &[&str]| ask(&place, &[&trust, more].concat());
    let save = |name: &str, bytes: &[u8]| std::fs::write(place.path(name), bytes).unwrap();
    assert_answer(&with(&["missing.proof"]), 2, "no file");
    save("cut.proof", &bytes[..bytes.len() - 1]);
    assert_answer(&with(&["cut.proof"]), 2, "cut off");
    save("magic.proof", b"something else");
    assert_answer(&with(&["magic.proof"]), 2, "another kind of file");
    save(
        "version.proof",
        &[&bytes[..8], &[9, 0, 0, 0], &bytes[12..]].concat(),
    );
    assert_answer(&with(&["version.proof"]), 2, "another version");
    write(&place, "length.proof", &file, |f| f.proof.truncate(64));
    assert_answer(&with(&["length.proof"]), 2, "a proof of another length");
    write(&place, "point.proof", &file, |f| f.proof[..32].fill(0xff));
    assert_answer(&with(&["point.proof"]), 2, "no point");
    let garbage = ModelId::of_key_bytes(b"garbage");
    write(&place, "key.proof", &file, |f| {
        f.key = b"garbage".to_vec();
        f.model = garbage;
    });
    let key = [
        "key.proof",
        "--model-id",
        &garbage.to_string(),
        "--allow-insecure-srs",
    ];
    assert_answer(&ask(&place, &key), 2, "a malformed key");
    assert_answer(
        &ask(&place, &["a.proof", "--model-id", &id]),
        2,
        "an insecure setup",
    );
    let untrusted = ask(&place, &["a.proof"]);
    assert_answer(&untrusted, 2, "nothing trusted");
    assert_eq!(untrusted.1["model_id"], Json::String(id.clone()));
    assert_answer(&ask(&place, &["a.proof", "--model-id", "12"]), 2, "no model id");
    assert_answer(&ask(&place, &["a.proof", "--vk", "missing.vk"]), 2, "no key");
    save("claim.json", b"[1, 2");
    let claimed = with(&["a.proof", "--input", "claim.json"]);
    assert_answer(&claimed, 2, "an unreadable claim");
    let (code, object) = ask(&place, &["a.proof", "--nonce", "12"]);
    assert_eq!((code, object["error"].is_string()), (2, true));
    let (code, object) = ask(&place, &["a.proof", "--no-such-option"]);
    assert_eq!((code, object["error"].is_string()), (2, true));
}

#[test]
fn a_nonce_binds_a_proof() {
    let place = Place::new();
    let proved = place.proved_as("n.proof", "0", &["--nonce", NONCE]);
    let id = proved["model_id"].as_str().unwrap();
    let trust = ["n.proof", "--model-id", id, "--allow-insecure-srs"];
    let with = |nonce: &str| ask(&place, &[&trust[..], &["--nonce", nonce]].concat());
    let accepted = with(NONCE);
    assert_answer(&accepted, 0, "the nonce");
    assert_eq!(accepted.1["nonce"], NONCE.to_lowercase());
    assert_answer(&with(&NONCE.replace('0', "1")), 1, "another nonce");
    let file = ProofFile::from_bytes(&std::fs::read(place.path("n.proof")).unwrap()).unwrap();
    write(&place, "moved.proof", &file, |f| f.nonce = Some([7; 32]));
    let moved = ["moved.proof", "--model-id", id, "--allow-insecure-srs"];
    assert_answer(&ask(&place, &moved), 1, "a proof with its nonce exchanged");
}

#[test]
fn many_proofs_of_several_models_are_checked_at_once_and_bad_ones_named() {
    let (place, id, file) = setting();
    place.proved_as("b.proof", "1", &[]);
    let gwc = place.proved_as("g.proof", "1", &["--backend", "gwc"]);
    let gwc = gwc["model_id"].as_str().unwrap();
    let scalar = file.proof.len() - 96;
    write(&place, "bad.proof", &file, |f| f.proof[scalar] ^= 1);
    let files = ["a.proof", "bad.proof", "g.proof", "missing.proof", "b.proof"];
    let answers = |trust: &[&str], files: &[&str]| {
        let flags = ["verify", "--json", "--allow-insecure-srs"];
        let output = place.run(&[&flags, trust, files].concat());
        let lines: Vec<Json> = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), files.len(), "{}", text(&output.stderr));
        for (line, file) in lines.iter().zip(files) {
            assert_eq!(line["file"], *file);
        }
        let valid: Vec<Option<bool>> = lines.iter().map(|line| line["valid"].as_bool()).collect();
        (output.status.code().unwrap(), valid)
    };
    let both = ["--model-id", &id, "--model-id", gwc];
    let named = vec![Some(true), Some(false), Some(true), None, Some(true)];
    assert_eq!(answers(&both, &files), (1, named));
    assert_eq!(
        answers(&both, &files[2..]),
        (2, vec![Some(true), None, Some(true)])
    );
    let good = ["a.proof", "g.proof", "b.proof"];
    assert_eq!(answers(&both, &good), (0, vec![Some(true); 3]));
    let list = format!("# trusted\n{id}  # SHPLONK\n\n{gwc}\n");
    std::fs::write(place.path("list.ids"), list).unwrap();
    assert_eq!(answers(&["--trusted", "list.ids"], &good).0, 0);
    std::fs::create_dir(place.path("folder")).unwrap();
    std::fs::write(place.path("folder/a.vk"), &file.key).unwrap();
    let partly = answers(&["--trusted", "folder"], &good);
    assert_eq!(partly, (1, vec![Some(true), Some(false), Some(true)]));
    std::fs::write(place.path("folder/g.ids"), gwc).unwrap();
    assert_eq!(answers(&["--trusted", "folder"], &good).0, 0);
    std::fs::write(place.path("folder/h.ids"), "no id").unwrap();
    assert_eq!(answers(&["--trusted", "folder"], &good), (2, vec![None; 3]));
}

#[test]
fn other_commands_answer_with_an_object_too() {
    let place = Place::new();
    let commands: [&[&str]; 4] = [
        &["inspect", "missing.onnx", "--json"],
        &["run", "missing.onnx", "--input", "x.npy", "--json"],
        &["prove", "missing.onnx", "--input", "x.npy", "-o", "p", "--json"],
        &["setup", "missing.onnx", "--json"],
    ];
    for command in commands {
        let output = place.run(command);
        assert!(!output.status.success(), "{command:?}");
        assert!(text(&output.stderr).contains("missing.onnx"), "{command:?}");
        let object: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            object["error"].as_str().unwrap().contains("missing.onnx"),
            "{command:?}"
        );
    }
}
