//! The program where output, cache or memory are not as it needs them: exit codes, messages, and what stays untouched.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, shipped, text};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output};

/// Takes nothing that is written to it.
const FULL: &str = "/dev/full";

/// Exit code and messages of a run that must fail without a panic.
fn refusal(output: &Output) -> (Option<i32>, String) {
    let message = text(&output.stderr);
    assert!(!output.status.success(), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    (output.status.code(), message)
}

/// `prove` of the small network with this output.
fn prove_to<'a>(model: &'a str, input: &'a str, output: &'a str) -> [&'a str; 8] {
    ["prove", model, "--input", input, "--sample", "0", "-o", output]
}

/// The only file of the cache whose name ends so.
fn entry(place: &Place, ending: &str) -> PathBuf {
    let files = fs::read_dir(place.path("cache")).unwrap();
    let mut found = files.map(|file| file.unwrap().path());
    let wanted = found.find(|path| path.to_string_lossy().ends_with(ending));
    wanted.unwrap()
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_work() {
    let place = Place::new();
    let _listener = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    fs::write(place.path("file"), "").unwrap();
    // The model is missing: an error about the output comes first.
    let refused = |output: &str, wanted: &str| {
        let run = place.run(&["prove", "missing.onnx", "--input", "missing.npy", "-o", output]);
        let (code, message) = refusal(&run);
        assert_eq!(code, Some(1));
        assert!(message.contains(wanted), "{message}");
        assert!(!message.contains(".inferproof-"), "{message}");
    };
    refused("missing/a.proof", "in the folder missing");
    refused("file/a.proof", "not a folder");
    refused(".", "it is a folder");
    refused("socket", "it is a device, a pipe or a socket");
    refused("/proc/self/fd/1", "it is a device, a pipe or a socket");
    let (model, _) = shipped();
    let (_, message) = refusal(&place.run(&["setup", &model, "--keys", "file/keys"]));
    assert!(message.contains("file/keys"), "{message}");
    assert!(!place.path("cache").exists(), "{message}");
}

#[test]
fn inputs_are_not_overwritten_and_links_are_followed() {
    let place = Place::new();
    let (model, input) = shipped();
    fs::copy(model, place.path("m.onnx")).unwrap();
    fs::copy(input, place.path("x.npz")).unwrap();
    std::os::unix::fs::symlink("x.npz", place.path("link")).unwrap();
    let before = [
        fs::read(place.path("m.onnx")).unwrap(),
        fs::read(place.path("x.npz")).unwrap(),
    ];
    for output in ["m.onnx", "x.npz", "./x.npz", "link"] {
        let (_, message) = refusal(&place.run(&prove_to("m.onnx", "x.npz", output)));
        assert!(message.contains("also the input"), "{output}: {message}");
    }
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny.ptau"),
        place.path("t"),
    )
    .unwrap();
    let import = ["srs", "import", "--ptau", "t", "-o", "t"];
    let (_, message) = refusal(&place.run(&import));
    assert!(message.contains("also the input"), "{message}");
    let after = [
        fs::read(place.path("m.onnx")).unwrap(),
        fs::read(place.path("x.npz")).unwrap(),
    ];
    assert_eq!(before, after);
    std::os::unix::fs::symlink("a.proof", place.path("out")).unwrap();
    let proved = place.run(&prove_to("m.onnx", "x.npz", "out"));
    assert!(proved.status.success(), "{}", text(&proved.stderr));
    assert!(place.path("out").is_symlink() && place.path("a.proof").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn full_streams_change_no_verdict_and_a_lost_answer_is_no_success() {
    let place = Place::new();
    let id = place.proved()["model_id"].as_str().unwrap().to_owned();
    let mut bytes = fs::read(place.path("a.proof")).unwrap();
    let nonce = "00".repeat(32);
    let trust = ["--model-id", &id, "--allow-insecure-srs"];
    let (model, input) = shipped();
    let full = || File::options().write(true).open(FULL).unwrap();
    let mute = |arguments: &[&str]| {
        let status = place.command(arguments).stderr(full()).output().unwrap().status;
        status.code().unwrap()
    };
    let lost = |arguments: &[&str]| {
        let output = place.command(arguments).stdout(full()).output().unwrap();
        assert!(!text(&output.stderr).contains("panicked"));
        output.status.code().unwrap()
    };
    let valid = [&["verify", "a.proof"][..], &trust].concat();
    let invalid = [&valid[..], &["--nonce", &nonce]].concat();
    bytes.truncate(20);
    fs::write(place.path("short.proof"), bytes).unwrap();
    let unreadable = [&["verify", "short.proof"][..], &trust].concat();
    assert_eq!([mute(&valid), mute(&invalid), mute(&unreadable)], [0, 1, 2]);
    assert_eq!([lost(&valid), lost(&invalid), lost(&unreadable)], [2, 1, 2]);
    let run = ["run", &model, "--input", &input, "--sample", "0"];
    assert_eq!(mute(&prove_to(&model, &input, "b.proof")), 0);
    assert!(place.path("b.proof").is_file());
    assert_eq!(mute(&["run", "missing.onnx", "--input", &input]), 1);
    assert_eq!(mute(&["frobnicate"]), 2);
    for arguments in [
        &run[..],
        &["inspect", &model, "--json"],
        &["setup", &model],
        &["--help"],
    ] {
        assert_eq!(lost(arguments), 1, "{arguments:?}");
    }
}

#[test]
fn a_cache_with_all_entries_needs_no_lock() {
    let place = Place::new();
    let first = place.proved();
    for name in fs::read_dir(place.path("cache")).unwrap() {
        let path = name.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            // No lock can be taken on a folder, by the superuser neither.
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }
    }
    assert_eq!(place.proved()["model_id"], first["model_id"]);
    fs::remove_file(entry(&place, ".pk")).unwrap();
    let (model, input) = shipped();
    let (_, message) = refusal(&place.run(&prove_to(&model, &input, "b.proof")));
    assert!(message.contains("INFERPROOF_CACHE"), "{message}");
    fs::write(place.path("file"), "").unwrap();
    let mut command = place.command(&["setup", &model]);
    let (_, message) = refusal(&command.env("INFERPROOF_CACHE", "file/cache").output().unwrap());
    assert!(message.contains("INFERPROOF_CACHE"), "{message}");
}

#[test]
fn damaged_entries_of_the_cache_are_told() {
    let place = Place::new();
    place.proved();
    let (model, input) = shipped();
    let damaged = || {
        let output = place.run(&prove_to(&model, &input, "a.proof"));
        let message = text(&output.stderr);
        assert!(output.status.success(), "{message}");
        let lines = message.lines().filter(|line| line.contains("is damaged"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(damaged().is_empty());
    for ending in [".pk", ".srs"] {
        let path = entry(&place, ending);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let told = damaged();
        assert!(told.len() == 1 && told[0].contains(ending), "{told:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_plan_that_needs_more_memory_than_there_is_is_refused() {
    let place = Place::new();
    let (model, input) = shipped();
    let mut shell = Command::new("sh");
    place.settle(&mut shell);
    shell.args(["-c", "ulimit -v 600000; exec \"$0\" \"$@\""]);
    shell.arg(env!("CARGO_BIN_EXE_inferproof"));
    shell.args(prove_to(&model, &input, "a.proof"));
    let (code, message) = refusal(&shell.args(["-k", "18", "--lanes", "8"]).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(message.contains("MB are available"), "{message}");
    assert!(!place.path("cache").exists(), "{message}");
}

#[test]
fn messages_name_the_file_and_the_remedy() {
    let place = Place::new();
    let id = place.proved()["model_id"].as_str().unwrap().to_owned();
    let (model, input) = shipped();
    fs::write(place.path("empty.onnx"), "").unwrap();
    fs::write(place.path("four.ptau"), "ptau").unwrap();
    fs::write(place.path("text.onnx"), "text").unwrap();
    fs::create_dir(place.path("trusted")).unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["inspect", "empty.onnx"], "empty.onnx is empty"),
        (&["run", "empty.onnx", "--input", &input], "empty.onnx is empty"),
        (&["run", "text.onnx", "--input", &input], "text.onnx: "),
        (&["inspect", &model, "-k", "4"], "tiny_mlp.onnx: "),
        (
            &["srs", "import", "--ptau", "four.ptau", "-o", "a"],
            "four.ptau: it ends too early",
        ),
        (
            &["verify", "a.proof", "--trusted", "trusted"],
            "trusted names no model",
        ),
        (&["verify", "a.proof", "--model-id", &id], "--allow-insecure-srs"),
    ];
    for (arguments, wanted) in cases {
        let (_, message) = refusal(&place.run(arguments));
        assert!(message.contains(wanted), "{arguments:?}: {message}");
    }
}
