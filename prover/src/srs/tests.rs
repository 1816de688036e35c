use super::*;
use halo2_proofs::SerdeFormat;
use halo2_proofs::halo2curves::CurveAffine;
use halo2_proofs::halo2curves::bn256::{Fq, Fq2, G1Affine, G2};
use halo2_proofs::halo2curves::group::Curve;
use halo2_proofs::halo2curves::group::cofactor::CofactorGroup;
use halo2_proofs::halo2curves::serde::SerdeObject;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::io::Cursor;
use std::time::{Duration, Instant};

const PTAU: &[u8] = include_bytes!("../../tests/data/tiny.ptau");
const PTAU_UNPREPARED: &[u8] = include_bytes!("../../tests/data/tiny_unprepared.ptau");
const K: u32 = 4;
/// Offsets in a halo2 file for 2^K rows.
const LAGRANGE_AT: usize = 4 + (64 << K);
const G2_AT: usize = 4 + (128 << K);

fn raw_file(srs: &Srs) -> Vec<u8> {
    let mut bytes = Vec::new();
    srs.params
        .write_custom(&mut bytes, SerdeFormat::RawBytes)
        .unwrap();
    bytes
}

fn read_raw(bytes: &[u8]) -> Result<Parts, SrsError> {
    body::read_file(&mut Cursor::new(bytes), None)
}

fn read_ptau(bytes: &[u8], k: Option<u32>) -> Result<Parts, SrsError> {
    ptau::read(&mut Cursor::new(bytes), k)
}

fn own_file(srs: &Srs) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.srs");
    srs.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn expect_err<T>(result: Result<T, SrsError>) -> SrsError {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

/// A point of G2's curve outside the subgroup.
fn point_outside_the_subgroup() -> G2Affine {
    let b = Fq2::new(Fq::from(3), Fq::ZERO) * Fq2::new(Fq::from(9), Fq::ONE).invert().unwrap();
    for i in 1u64.. {
        let x = Fq2::new(Fq::from(i), Fq::ZERO);
        if let Some(y) = Option::<Fq2>::from((x.square() * x + b).sqrt()) {
            let point = G2Affine { x, y };
            if bool::from(point.is_on_curve()) && !bool::from(G2::from(point).is_torsion_free()) {
                return point;
            }
        }
    }
    unreachable!()
}

#[test]
fn matches_reference_setup_of_halo2() {
    struct Fixed;
    impl RngCore for Fixed {
        fn next_u32(&mut self) -> u32 {
            7
        }
        fn next_u64(&mut self) -> u64 {
            7
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
            bytes.fill(7);
            Ok(())
        }
    }
    let halo2 = ParamsKZG::<Bn256>::setup(5, Fixed);
    let own = generate::from_tau(5, Fr::random(Fixed)).unwrap();
    let own = Srs::from_checked(own, SrsSource::Local).unwrap();
    let mut bytes = Vec::new();
    halo2.write_custom(&mut bytes, SerdeFormat::RawBytes).unwrap();
    assert_eq!(raw_file(&own), bytes);
}

#[test]
fn local_setup_is_marked_and_fresh() {
    let (a, b) = (
        Srs::generate_insecure(K).unwrap(),
        Srs::generate_insecure(K).unwrap(),
    );
    assert!(a.is_insecure() && a.verifier().is_insecure() && *a.source() == SrsSource::Local);
    assert!(a.source().to_string().contains("INSECURE"));
    assert_ne!(a.digest(), b.digest());
    assert_eq!(a.digest(), a.verifier().digest());
    assert!(matches!(Srs::generate_insecure(0), Err(SrsError::Size { k: 0 })));
    assert!(matches!(
        Srs::generate_insecure(25),
        Err(SrsError::Size { k: 25 })
    ));
}

#[test]
fn own_file_round_trip_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.srs");
    let local = Srs::generate_insecure(K).unwrap();
    let ceremony = Srs::from_checked(
        read_ptau(PTAU, None).unwrap(),
        SrsSource::PowersOfTau {
            name: "tiny.ptau".to_owned(),
            pinned: true,
        },
    )
    .unwrap();
    for srs in [local, ceremony] {
        srs.save(&path).unwrap();
        for read in [Srs::open(&path).unwrap(), Srs::load_cached(&path).unwrap()] {
            assert_eq!(raw_file(&read), raw_file(&srs));
            assert_eq!(read.digest(), srs.digest());
            assert_eq!(
                (read.source(), read.is_insecure()),
                (srs.source(), srs.is_insecure())
            );
        }
    }
}

#[test]
fn cached_setup_is_made_once_and_again_when_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open_at(folder.path()).unwrap();
    let digests: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Srs::cached_insecure(&cache, K).unwrap().digest()))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    let path = cache.entry("insecure-4.srs").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(Srs::cached_insecure(&cache, K).unwrap().digest(), digests[0]);
}

#[test]
fn fixture_snarkjs_powers_are_one_ceremony_at_every_size() {
    let whole = read_ptau(PTAU, None).unwrap();
    assert_eq!(whole.k, 6);
    for k in 1..=6 {
        let prepared = read_ptau(PTAU, Some(k)).unwrap();
        // Here the Lagrange basis is computed, there it was read from the file.
        let computed = read_ptau(PTAU_UNPREPARED, Some(k)).unwrap();
        assert_eq!(prepared.g, computed.g);
        assert_eq!(prepared.g_lagrange, computed.g_lagrange);
        assert_eq!(prepared.g, whole.g[..1 << k]);
        check::check_lagrange(k, &prepared.g, &prepared.g_lagrange).unwrap();
    }
    assert!(matches!(
        read_ptau(PTAU, Some(7)),
        Err(SrsError::TooSmall {
            wanted: 7,
            available: 6
        })
    ));
    assert!(matches!(read_ptau(PTAU, Some(25)), Err(SrsError::Size { k: 25 })));
}

#[test]
fn one_ceremony_has_one_digest_whatever_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (ptau, raw, own) = (
        folder.path().join("a.ptau"),
        folder.path().join("a.bin"),
        folder.path().join("a.srs"),
    );
    std::fs::write(&ptau, PTAU).unwrap();
    let at = |k| ImportOptions {
        k: Some(k),
        pin: None,
    };
    let srs = Srs::import_ptau(&ptau, &at(6)).unwrap();
    std::fs::write(&raw, raw_file(&srs)).unwrap();
    srs.save(&own).unwrap();
    let five = [
        Srs::import_ptau(&ptau, &at(5)).unwrap(),
        Srs::import_halo2(&raw, &at(5)).unwrap(),
        Srs::open(&own).unwrap().downsize(5).unwrap(),
    ];
    for other in &five {
        assert_eq!(other.digest(), five[0].digest());
        assert_eq!(raw_file(other), raw_file(&five[0]));
        assert!(!other.is_insecure());
        assert_ne!(other.digest(), srs.digest());
    }
    let mut halo2 = (*srs.params).clone();
    halo2.downsize(5);
    let mut bytes = Vec::new();
    halo2.write_custom(&mut bytes, SerdeFormat::RawBytes).unwrap();
    assert_eq!(raw_file(&five[0]), bytes);
    assert!(matches!(srs.downsize(7), Err(SrsError::TooSmall { .. })));
}

#[test]
fn pins_are_compared_before_parsing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ptau");
    std::fs::write(&path, PTAU).unwrap();
    // From sha256sum and b2sum.
    let right = [
        "sha256:037a5d0a4a71f3a4a2b9d58825773a2baa64226cc49de7260c6e6daad0a94f29",
        "blake2b:003cbfaa9e6f3a3ba0f4cfc02bd291d1466c08f86b1690f4288c73fd45d726df36cafe710fe82e9355ec9fc51ebfe78db\
         363ceede4679280411f9c729c13617f",
    ];
    for text in right {
        let pin: Pin = text.parse().unwrap();
        assert_eq!(pin.to_string(), text);
        let srs = Srs::import_ptau(
            &path,
            &ImportOptions {
                k: None,
                pin: Some(pin),
            },
        )
        .unwrap();
        assert!(
            srs.source().to_string().ends_with("a.ptau, hash pinned"),
            "{}",
            srs.source()
        );
    }
    std::fs::write(&path, b"not a ptau file").unwrap();
    let pin = Some(right[0].parse().unwrap());
    let error = expect_err(Srs::import_ptau(&path, &ImportOptions { k: None, pin }));
    assert!(matches!(&error, SrsError::At { source, .. } if matches!(**source, SrsError::Pin { .. })));
    assert!(error.to_string().contains("a.ptau"), "{error}");
    for text in [
        "",
        "sha256",
        "sha256:12",
        "md5:00",
        &right[0].replace('a', "g"),
        "sha256:é",
    ] {
        assert!(
            matches!(text.parse::<Pin>(), Err(SrsError::PinText { .. })),
            "{text}"
        );
    }
}

#[test]
fn forge_point_swapped_is_refused() {
    let srs = Srs::generate_insecure(K).unwrap();
    let good = raw_file(&srs);
    let other = Srs::generate_insecure(K).unwrap();
    let g1 = other.params.get_g()[3].to_raw_bytes();
    let put = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read_raw(&file)
    };
    assert!(read_raw(&good).is_ok());
    // A valid point in a wrong place, each by the test that is there for it.
    for i in 1..1 << K {
        assert!(matches!(put(4 + 64 * i, &g1), Err(SrsError::Powers)), "power {i}");
    }
    for i in 0..1 << K {
        assert!(
            matches!(put(LAGRANGE_AT + 64 * i, &g1), Err(SrsError::Lagrange)),
            "Lagrange point {i}"
        );
    }
    assert!(matches!(
        put(4, &g1),
        Err(SrsError::Generator { part: Part::Powers })
    ));
    let tau_g2 = other.params.s_g2().to_raw_bytes();
    assert!(matches!(
        put(G2_AT, &tau_g2),
        Err(SrsError::Generator { part: Part::G2 })
    ));
    assert!(matches!(put(G2_AT + 128, &tau_g2), Err(SrsError::Powers)));
}

#[test]
fn forge_bytes_that_are_no_point_are_refused() {
    let good = raw_file(&Srs::generate_insecure(K).unwrap());
    let put = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read_raw(&file)
    };
    let fault = |result| match expect_err(result) {
        SrsError::Point { part, index, fault } => (part, index, fault),
        error => panic!("{error}"),
    };
    assert_eq!(
        fault(put(4 + 128, &[0; 64])),
        (Part::Powers, 2, PointFault::Identity)
    );
    assert_eq!(
        fault(put(4 + 128, &[1; 64])),
        (Part::Powers, 2, PointFault::NotOnCurve)
    );
    assert_eq!(
        fault(put(LAGRANGE_AT, &[255; 64])),
        (Part::Lagrange, 0, PointFault::NotCanonical)
    );
    assert_eq!(
        fault(put(G2_AT + 128, &[0; 128])),
        (Part::G2, 1, PointFault::Identity)
    );
    assert_eq!(
        fault(put(G2_AT + 128, &[1; 128])),
        (Part::G2, 1, PointFault::NotOnCurve)
    );
    assert_eq!(
        fault(put(G2_AT + 128, &[255; 128])),
        (Part::G2, 1, PointFault::NotCanonical)
    );
    let outside = point_outside_the_subgroup().to_raw_bytes();
    assert_eq!(
        fault(put(G2_AT + 128, &outside)),
        (Part::G2, 1, PointFault::NotInSubgroup)
    );
}

#[test]
fn forge_powers_of_two_taus_are_refused() {
    // Both halves are powers, of different secrets; and all points scaled by one factor.
    let (a, b) = (
        Srs::generate_insecure(K).unwrap(),
        Srs::generate_insecure(K).unwrap(),
    );
    let half = [&a.params.get_g()[..8], &b.params.get_g()[8..]].concat();
    assert!(matches!(
        check::check_powers(&half, &a.params.s_g2()),
        Err(SrsError::Powers)
    ));
    let scale = Fr::from(5);
    let scaled: Vec<G1Affine> = a
        .params
        .get_g()
        .iter()
        .map(|g| (*g * scale).to_affine())
        .collect();
    let error = check::check_powers(&scaled, &a.params.s_g2());
    assert!(matches!(error, Err(SrsError::Generator { part: Part::Powers })));
    // Two errors that cancel in the plain sum do not cancel in the random one.
    let mut cancelling = a.params.get_g().to_vec();
    let delta = G1Affine::generator();
    cancelling[3] = (cancelling[3] + delta).to_affine();
    cancelling[4] = (cancelling[4] - delta).to_affine();
    assert!(matches!(
        check::check_powers(&cancelling, &a.params.s_g2()),
        Err(SrsError::Powers)
    ));
}

#[test]
fn raw_files_of_wrong_lengths_are_refused() {
    let good = raw_file(&Srs::generate_insecure(K).unwrap());
    for length in [0, 3, 4, 5, good.len() - 1] {
        assert!(
            matches!(read_raw(&good[..length]), Err(SrsError::Length { .. })),
            "{length}"
        );
    }
    assert!(matches!(
        read_raw(&[good.as_slice(), &[0]].concat()),
        Err(SrsError::Length { .. })
    ));
    for k in [0, 25, u32::MAX] {
        let mut bad = good.clone();
        bad[..4].copy_from_slice(&k.to_le_bytes());
        assert!(matches!(read_raw(&bad), Err(SrsError::Size { .. })), "{k}");
    }
    let mut larger = good.clone();
    larger[..4].copy_from_slice(&24u32.to_le_bytes());
    assert!(matches!(read_raw(&larger), Err(SrsError::Length { .. })));
}

#[test]
fn own_file_is_refused_when_anything_changes() {
    let good = own_file(&Srs::generate_insecure(1).unwrap());
    let read = |bytes: &[u8], trust| container::read(&mut Cursor::new(bytes), trust);
    assert!(read(&good, Trust::Nothing).is_ok());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(read(&bad, Trust::OwnCache).is_err(), "bit {bit} of byte {at}");
        }
    }
    for length in 0..good.len() {
        assert!(read(&good[..length], Trust::OwnCache).is_err(), "{length}");
    }
    assert!(read(&[good.as_slice(), &[0]].concat(), Trust::OwnCache).is_err());
}

#[test]
fn own_file_with_a_right_hash_and_wrong_points_is_refused_from_outside() {
    let (a, b) = (
        Srs::generate_insecure(K).unwrap(),
        Srs::generate_insecure(K).unwrap(),
    );
    let mut g = a.params.get_g().to_vec();
    g[5] = b.params.get_g()[5];
    let g_lagrange = lagrange::from_powers(K, &g);
    let parts = Parts {
        k: K,
        g,
        g_lagrange,
        tau_g2: a.params.s_g2(),
    };
    let bytes = own_file(&Srs::from_checked(parts, SrsSource::Local).unwrap());
    let error = expect_err(container::read(&mut Cursor::new(&bytes), Trust::Nothing));
    assert!(matches!(error, SrsError::Powers));
}

/// What is said of the fixture after a change.
fn changed_ptau(edit: impl Fn(&mut Vec<u8>)) -> SrsError {
    let mut bytes = PTAU.to_vec();
    edit(&mut bytes);
    expect_err(read_ptau(&bytes, None))
}

#[test]
fn ptau_variants_are_refused() {
    // 12 bytes of file header, then section 1: type, length, 32, prime, power, ceremony power; then section 2.
    assert!(matches!(changed_ptau(|b| b[0] = b'x'), SrsError::Magic { .. }));
    assert!(matches!(
        changed_ptau(|b| b[4] = 2),
        SrsError::Version { found: 2, .. }
    ));
    assert!(matches!(changed_ptau(|b| b[8] = 100), SrsError::Header { .. }));
    assert!(matches!(changed_ptau(|b| b[8] = 10), SrsError::Length { .. }));
    assert!(matches!(
        changed_ptau(|b| b[16] = 43),
        SrsError::Section { .. } | SrsError::Length { .. }
    ));
    assert!(matches!(
        changed_ptau(|b| b[23] = 255),
        SrsError::Section {
            fault: SectionFault::PastTheEnd,
            ..
        }
    ));
    assert!(matches!(changed_ptau(|b| b[24] = 48), SrsError::Curve));
    assert!(matches!(changed_ptau(|b| b[28] ^= 1), SrsError::Curve));
    assert!(matches!(
        changed_ptau(|b| b[60] = 7),
        SrsError::Header { field: "power" }
    ));
    assert!(matches!(
        changed_ptau(|b| b[60] = 0),
        SrsError::Header { field: "power" }
    ));
    assert!(matches!(changed_ptau(|b| b[60] = 5), SrsError::Length { .. }));
    assert!(matches!(
        changed_ptau(|b| (b[60], b[64]) = (28, 28)),
        SrsError::Length { .. }
    ));
    assert!(matches!(
        changed_ptau(|b| b[68] = 1),
        SrsError::Section {
            section: 1,
            fault: SectionFault::Duplicate
        }
    ));
    assert!(matches!(
        changed_ptau(|b| b[68] = 99),
        SrsError::Section {
            section: 2,
            fault: SectionFault::Missing
        }
    ));
    assert!(matches!(
        changed_ptau(|b| b.truncate(40)),
        SrsError::Section { .. } | SrsError::CutOff
    ));
    assert!(matches!(changed_ptau(|b| b.push(0)), SrsError::Length { .. }));
}

#[test]
fn forge_ptau_points_moved_are_refused() {
    // The generator (at byte 80) replaced, two powers swapped, another Lagrange point.
    assert!(matches!(
        changed_ptau(|b| b.copy_within(144..208, 80)),
        SrsError::Generator { .. }
    ));
    assert!(matches!(
        changed_ptau(|b| b.copy_within(208..272, 272)),
        SrsError::Powers
    ));
    let lagrange_at = PTAU_UNPREPARED.len() + 12 + 63 * 64;
    assert!(matches!(
        changed_ptau(|b| b.copy_within(208..272, lagrange_at)),
        SrsError::Lagrange
    ));
}

fn fuzz(seed: &[u8], number: u64, runs: usize, mut read: impl FnMut(&[u8]) -> Result<(), SrsError>) -> usize {
    let mut rng = ChaCha20Rng::seed_from_u64(number);
    let mut refused = 0;
    let mut slowest = Duration::ZERO;
    for _ in 0..runs {
        let mut bytes = seed.to_vec();
        // Half of the changes are in the first bytes, where the structure is.
        for _ in 0..=rng.next_u32() % 3 {
            let reach = if rng.next_u32() % 2 == 0 {
                bytes.len()
            } else {
                bytes.len().min(96)
            };
            let at = usize::try_from(rng.next_u64() % reach.max(1) as u64).unwrap();
            match rng.next_u32() % 8 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), 0),
                2 => bytes.iter_mut().skip(at).take(8).for_each(|b| *b = 255),
                3 => bytes.iter_mut().skip(at).take(4).for_each(|b| *b = 0),
                _ => bytes
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|b| *b ^= 1 << (rng.next_u32() % 8)),
            }
        }
        let start = Instant::now();
        refused += usize::from(read(&bytes).is_err());
        slowest = slowest.max(start.elapsed());
    }
    println!("{refused} of {runs} refused, the slowest in {slowest:?}");
    assert!(slowest < Duration::from_secs(1));
    refused
}

/// Puts a copy of one valid point over another, so that only the tests of the whole can tell.
fn move_a_point(rng: &mut ChaCha20Rng, bytes: &mut [u8], first: usize, count: u32) {
    let offset = |rng: &mut ChaCha20Rng| first + 64 * usize::try_from(rng.next_u32() % count).unwrap();
    let (from, to) = (offset(rng), offset(rng));
    if from + 64 <= bytes.len() && to + 64 <= bytes.len() {
        bytes.copy_within(from..from + 64, to);
    }
}

#[test]
fn fuzz_raw_files() {
    let seed = raw_file(&Srs::generate_insecure(2).unwrap());
    let refused = fuzz(&seed, 1, 10_000, |bytes| read_raw(bytes).map(|_| ()));
    assert!(refused > 9_900, "{refused}");
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    for _ in 0..1000 {
        let mut bytes = seed.clone();
        move_a_point(&mut rng, &mut bytes, 4, 8);
        assert_eq!(read_raw(&bytes).is_ok(), bytes == seed);
    }
}

#[test]
fn fuzz_own_files() {
    let seed = own_file(&Srs::generate_insecure(2).unwrap());
    for trust in [Trust::Nothing, Trust::OwnCache] {
        let read = |bytes: &[u8]| container::read(&mut Cursor::new(bytes), trust).map(|_| ());
        let refused = fuzz(&seed, 2, 10_000, read);
        assert!(refused > 9_900, "{refused}");
    }
}

#[test]
fn fuzz_own_files_with_the_hash_made_right() {
    use sha2::{Digest, Sha256};
    let seed = own_file(&Srs::generate_insecure(2).unwrap());
    let read = |bytes: &[u8], trust| container::read(&mut Cursor::new(bytes), trust);
    // The source is "Local" in quotes: 7 bytes after the 24 of the fixed part.
    let (hash_at, body_at) = (31, 63);
    assert_eq!(&seed[24..31], b"\"Local\"");
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut refused = 0;
    for run in 0..10_000 {
        let mut bytes = seed.clone();
        if run % 8 == 0 {
            move_a_point(&mut rng, &mut bytes, body_at + 4, 8);
        } else {
            let at = usize::try_from(rng.next_u64() % bytes.len() as u64).unwrap();
            bytes[at] ^= 1 << (rng.next_u32() % 8);
        }
        let covered = [&bytes[..hash_at], &bytes[body_at..]].concat();
        bytes[hash_at..body_at].copy_from_slice(&Sha256::digest(covered));
        let result = read(&bytes, Trust::Nothing);
        assert_eq!(result.is_ok(), bytes == seed);
        refused += u32::from(result.is_err());
    }
    println!("{refused} of 10000 refused");
    assert!(refused > 9_000);
}

#[test]
fn fuzz_ptau_files() {
    // Only part of the file is read for 2^2 rows: what is not read may change.
    let read = |bytes: &[u8]| read_ptau(bytes, Some(2)).map(|_| ());
    let refused = fuzz(PTAU, 3, 10_000, read);
    assert!(refused > 4_000, "{refused}");
}
