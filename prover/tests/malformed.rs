//! A bounded run of every fuzz target: 10,000 changed files each, the same on every machine. Nothing panics, every refusal is
//! a typed error with a message, no input takes a second, and the whole process stays below 256 MiB.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints tables"
)]

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, clippy::expect_used, reason = "shared with the fuzz targets")]
mod targets;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Changed files of each target.
const INPUTS: u64 = 10_000;
const MEMORY: u64 = 256 << 20;
const SLOWEST: Duration = Duration::from_secs(1);
/// Numbers that parsers trip over, little-endian; as many bytes of them are written as a change draws.
const NUMBERS: [u64; 8] = [
    0,
    1,
    0x7f,
    0x80,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
];

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for (folder, ending) in target.seeds {
        let folder = std::fs::read_dir(root.join(folder)).unwrap();
        files.extend(
            folder
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == *ending)),
        );
    }
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", target.name);
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Changes a seed in one to four places; half of them are in the first bytes, where the structure is.
fn mutate(rng: &mut ChaCha20Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut below = |n: usize| usize::try_from(rng.next_u64() % n.max(1) as u64).unwrap();
    let mut bytes = seeds[below(seeds.len())].clone();
    for _ in 0..=below(4) {
        let reach = [bytes.len(), bytes.len().min(128)][below(2)];
        let at = below(reach);
        let len = below(16).min(bytes.len() - at);
        match below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + len)),
            2 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len());
                let piece = &other[from..(from + len).min(other.len())];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            3 => bytes.extend_from_within(at..at + len),
            4 | 5 => {
                let number = NUMBERS[below(NUMBERS.len())].to_le_bytes();
                let width = [1, 4, 8][below(3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            6 => bytes.insert(at, below(256).to_le_bytes()[0]),
            _ if at < bytes.len() => bytes[at] ^= 1 << below(8),
            _ => bytes.push(0),
        }
    }
    bytes
}

/// Largest resident memory of this process so far, where the system says.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

#[test]
fn soundness_ten_thousand_malformed_files_of_each_kind() {
    println!(
        "figure: {:14} | {:>6} | {:>8} | slowest",
        "files", "inputs", "accepted"
    );
    for (number, target) in (1u64..).zip(&TARGETS) {
        let seeds = seeds(target);
        for (i, seed) in seeds.iter().enumerate() {
            // Some seeds are files that are refused; each kind has one that is not.
            assert!((target.run)(seed) || i > 0 || seeds.len() > 1, "{}", target.name);
        }
        let runs: Vec<(bool, Duration)> = (0..INPUTS)
            .into_par_iter()
            .map(|n| {
                let mut rng = ChaCha20Rng::seed_from_u64(number << 32 | n);
                let bytes = mutate(&mut rng, &seeds);
                let start = Instant::now();
                ((target.run)(&bytes), start.elapsed())
            })
            .collect();
        let accepted = runs.iter().filter(|run| run.0).count();
        let slowest = runs.iter().map(|run| run.1).max().unwrap();
        println!(
            "figure: {:14} | {INPUTS:>6} | {accepted:>8} | {slowest:.1?}",
            target.name
        );
        assert!(
            accepted > 0 && accepted < runs.len(),
            "{} sees no structure",
            target.name
        );
        assert!(slowest < SLOWEST, "{} took {slowest:?}", target.name);
    }
    if let Some(peak) = peak() {
        println!("figure: peak memory of the process: {} MiB", peak >> 20);
        assert!(peak <= MEMORY);
    }
}
