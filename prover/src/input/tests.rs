mod rule;

use super::*;
use inferproof_circuits::graph::{Graph, InputPort, OutputPort, TensorId, TensorInfo};
use inferproof_circuits::tail::TailOp;
use inferproof_circuits::tensor::{DType, Shape};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::time::{Duration, Instant};

const STORED: &[u8] = include_bytes!("../../tests/data/stored.npz");
const DEFLATED: &[u8] = include_bytes!("../../tests/data/deflated.npz");
const UNNAMED: &[u8] = include_bytes!("../../tests/data/unnamed.npz");
const PLAIN: &[u8] = include_bytes!("../../tests/data/plain.npy");
const VERSION_2: &[u8] = include_bytes!("../../tests/data/version2.npy");
const JSON: &[u8] = br#" {"a": [[1, -2, 3.5], [4e1, 5, 6]], "b": 7, "c": [255, 0]} "#;

fn json(text: &str) -> Result<Vec<NamedArray>, FormatFault> {
    parse_arrays(text.as_bytes())
}

fn npy(header: &str, data: &[u8]) -> Result<NamedArray, FormatFault> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let bytes = [npy::MAGIC, &[1, 0], &length, header.as_bytes(), data].concat();
    parse_arrays(&bytes).map(|mut arrays| arrays.remove(0))
}

#[test]
fn fixture_numpy_reads_every_type_and_order() {
    for bytes in [STORED, DEFLATED] {
        let arrays = parse_arrays(bytes).unwrap();
        assert_eq!(arrays.len(), 37);
        let base: Vec<i64> = (-5..19).collect();
        for array in &arrays {
            let name = array.name.as_deref().unwrap();
            match name {
                "bool" => {
                    let expected = base.iter().map(|v| i64::from(v % 3 == 0)).collect();
                    assert_eq!(array.data, ArrayData::I64(expected));
                }
                "scalar" => {
                    assert_eq!(
                        (array.shape.as_slice(), array.data.to_f32()),
                        (&[][..], vec![1.5])
                    );
                }
                "one" => assert_eq!(array.data, ArrayData::I64(vec![7])),
                "model/input:0" => assert_eq!(array.shape, [1, 12]),
                _ => {
                    assert_eq!(array.shape, [2, 3, 4], "{name}");
                    let expected: Vec<f32> = match name.as_bytes()[0] {
                        b'u' => base.iter().map(|v| v.abs() as f32).collect(),
                        b'f' => base.iter().map(|v| *v as f32 / 2.0).collect(),
                        _ => base.iter().map(|v| *v as f32).collect(),
                    };
                    assert_eq!(array.data.to_f32(), expected, "{name}");
                }
            }
        }
    }
}

#[test]
fn fixture_numpy_single_arrays() {
    let plain = parse_arrays(PLAIN).unwrap().remove(0);
    assert_eq!(
        (plain.name, plain.element, plain.data.to_f32()[1]),
        (None, ElementType::F32, -2.0)
    );
    let second = parse_arrays(VERSION_2).unwrap().remove(0);
    assert_eq!((second.element, second.shape), (ElementType::I8, vec![2, 3, 4]));
    assert_eq!(parse_arrays(UNNAMED).unwrap()[0].name.as_deref(), Some("arr_0"));
}

#[test]
fn json_shapes_and_types() {
    let arrays = parse_arrays(JSON).unwrap();
    assert_eq!(arrays[0].shape, [2, 3]);
    assert_eq!(
        arrays[0].data,
        ArrayData::F64(vec![1.0, -2.0, 3.5, 40.0, 5.0, 6.0])
    );
    assert_eq!(
        (arrays[1].shape.len(), &arrays[1].data),
        (0, &ArrayData::I64(vec![7]))
    );
    assert_eq!(arrays[2].data, ArrayData::I64(vec![255, 0]));
    assert_eq!(json("[[[1]]]").unwrap()[0].shape, [1, 1, 1]);
    assert_eq!(json("-3").unwrap()[0].data, ArrayData::I64(vec![-3]));
}

#[test]
fn json_of_other_things_is_refused() {
    let bad = [
        "",
        "x",
        "[",
        "[]",
        "[[1], []]",
        "[[1, 2], [3]]",
        "[[1], 2]",
        "[1, [2]]",
        "[[[1]], [2]]",
        "[[1, 2], [[3], 4]]",
        "[null]",
        "[\"1\"]",
        "[true]",
        "[NaN]",
        "[1e999]",
        "[9223372036854775808]",
        "{\"a\": {}}",
        "{\"a\": [1], \"a\": [2]}",
        "[1] 2",
        "[[[[[[[[[1]]]]]]]]]",
        "{\"a\": [1]",
    ];
    for text in bad {
        assert!(json(text).is_err(), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(json(&deep), Err(FormatFault::Json { .. })));
    let error = json("[[1, 2],\n [3]]").unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(
        error
            .to_string()
            .contains("a row has 1 elements where the others have 2"),
        "{error}"
    );
    let names: Vec<String> = (0..65).map(|i| format!("\"a{i}\": 1")).collect();
    assert!(json(&format!("{{{}}}", names.join(","))).is_err());
}

#[test]
fn too_many_values_are_refused_before_they_are_kept() {
    let row = format!("[{}0],", "0,".repeat((1 << 16) - 1));
    let text = format!("[{}{}]", row.repeat(256), row.trim_end_matches(','));
    assert!(text.len() > MAX_VALUES * 2);
    let error = json(&text).unwrap_err();
    assert!(error.to_string().contains("more than 16777216 values"), "{error}");
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (4097, 4096), }";
    assert_eq!(npy(header, &[]), Err(FormatFault::Size));
}

#[test]
fn numpy_headers_are_read_strictly() {
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  \n";
    assert_eq!(
        npy(good, &[0, 0, 128, 63, 0, 0, 0, 64]).unwrap().data,
        ArrayData::F32(vec![1.0, 2.0])
    );
    let spaced = "{ \"shape\":(2 , 1),'fortran_order' :True,\"descr\": \"<i2\"}";
    assert_eq!(
        npy(spaced, &[1, 0, 255, 255]).unwrap().data,
        ArrayData::I64(vec![1, -1])
    );
    let bad = [
        "",
        "{",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2",
        "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (2,)}",
    ];
    for header in bad {
        assert!(
            matches!(npy(header, &[0; 8]), Err(FormatFault::NpyHeader { .. })),
            "{header}"
        );
    }
}

#[test]
fn numpy_types_and_sizes_are_checked() {
    for descr in [
        "'|O'",
        "'<c8'",
        "'<U4'",
        "'=f4'",
        "'|f4'",
        "'f4'",
        "''",
        "'<M8[ns]'",
        "[('a', '<f4')]",
    ] {
        let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2,)}}");
        assert!(
            matches!(npy(&header, &[0; 8]), Err(FormatFault::ElementType { .. })),
            "{header}"
        );
    }
    for (shape, fault) in [
        (
            "(3,)",
            FormatFault::DataLength {
                expected: 12,
                found: 8,
            },
        ),
        (
            "(1,)",
            FormatFault::DataLength {
                expected: 4,
                found: 8,
            },
        ),
        ("(0,)", FormatFault::Empty),
        ("(18446744073709551615, 18446744073709551615)", FormatFault::Size),
        ("(99999999999999999999,)", FormatFault::Size),
        ("(1,1,1,1,1,1,1,1,2)", FormatFault::Rank),
    ] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
        assert_eq!(npy(&header, &[0; 8]), Err(fault), "{header}");
    }
    let header = "{'descr': '<u8', 'fortran_order': False, 'shape': (2,)}";
    assert_eq!(
        npy(header, &[[0; 8], [255; 8]].concat()),
        Err(FormatFault::TooLarge { index: 1 })
    );
    let version = [npy::MAGIC, &[9, 0, 0, 0]].concat();
    assert_eq!(
        parse_arrays(&version),
        Err(FormatFault::NpyVersion { major: 9, minor: 0 })
    );
}

/// A ZIP archive with one deflated member that states `length` bytes.
fn archive(contents: &[u8], name: &str, length: u32, crc: u32) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(contents).unwrap();
    let packed = encoder.finish().unwrap();
    let packed_length = u32::try_from(packed.len()).unwrap();
    let name_length = u16::try_from(name.len()).unwrap();
    let mut shared = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
    for field in [crc, packed_length, length] {
        shared.extend(field.to_le_bytes());
    }
    shared.extend(name_length.to_le_bytes());
    let mut bytes = [npz::MAGIC, &shared, &[0, 0], name.as_bytes(), &packed].concat();
    let directory = u32::try_from(bytes.len()).unwrap();
    bytes.extend([b"PK\x01\x02", &[20, 0][..], &shared, &[0; 16], name.as_bytes()].concat());
    let size = u32::try_from(bytes.len()).unwrap() - directory;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(directory.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn archives_are_bounded_and_checked() {
    let length = u32::try_from(PLAIN.len()).unwrap();
    let crc = crc32fast::hash(PLAIN);
    assert_eq!(
        parse_arrays(&archive(PLAIN, "a.npy", length, crc)).unwrap()[0]
            .name
            .as_deref(),
        Some("a")
    );
    for bad in [
        archive(PLAIN, "a.npy", length - 1, crc),
        archive(PLAIN, "a.npy", length + 1, crc),
        archive(PLAIN, "a.npy", length, crc ^ 1),
        archive(PLAIN, "a.txt", length, crc),
        archive(b"hello", "a.npy", 5, crc32fast::hash(b"hello")),
    ] {
        assert!(matches!(parse_arrays(&bad), Err(FormatFault::Archive { .. })));
    }
    assert_eq!(
        parse_arrays(&archive(PLAIN, &"a".repeat(300), length, crc)),
        Err(FormatFault::Name)
    );
    // 1 GiB of zeros in a megabyte: refused by its stated size, and at the stated size when that is a lie.
    let bomb = vec![0; 1 << 28];
    let start = Instant::now();
    assert_eq!(
        parse_arrays(&archive(&bomb, "a.npy", 1 << 30, 0)),
        Err(FormatFault::Size)
    );
    let lie = parse_arrays(&archive(&bomb, "a.npy", 1000, 0));
    assert!(matches!(lie, Err(FormatFault::Archive { .. })), "{lie:?}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// Changes some bytes, cuts, extends or splices.
fn mutate(rng: &mut ChaCha20Rng, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let below = |rng: &mut ChaCha20Rng, n: usize| usize::try_from(rng.next_u64() % n as u64).unwrap();
    for _ in 0..=below(rng, 4) {
        let at = below(rng, bytes.len().max(1));
        match below(rng, 6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), rng.next_u32().to_le_bytes()[0]),
            2 => {
                let from = below(rng, bytes.len().max(1));
                let piece: Vec<u8> = bytes.iter().skip(from).take(16).copied().collect();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), piece);
            }
            3 => bytes.iter_mut().skip(at).take(4).for_each(|b| *b = 255),
            _ => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|b| *b ^= 1 << (rng.next_u32() % 8)),
        }
    }
    bytes
}

fn fuzz(seed: &[u8], number: u64) -> usize {
    let mut rng = ChaCha20Rng::seed_from_u64(number);
    let mut refused = 0;
    for _ in 0..10_000 {
        let bytes = mutate(&mut rng, seed);
        let start = Instant::now();
        match parse_arrays(&bytes) {
            Ok(arrays) => {
                for array in arrays {
                    assert_eq!(array.data.len(), array.shape.iter().product::<usize>());
                }
            }
            Err(fault) => {
                refused += 1;
                assert!(fault.to_string().len() < 1000);
            }
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
    println!("{refused} of 10000 refused");
    refused
}

#[test]
fn fuzz_numpy_arrays() {
    assert!(fuzz(&PLAIN[..200], 1) > 9_900);
    assert!(fuzz(PLAIN, 2) > 1_000);
}

#[test]
fn fuzz_archives() {
    assert!(fuzz(DEFLATED, 3) > 5_000);
    assert!(fuzz(UNNAMED, 4) > 5_000);
}

#[test]
fn fuzz_json() {
    assert!(fuzz(JSON, 5) > 1_000);
}

fn graph(dims: &[usize], dtype: DType, float: bool, tail: Vec<TailOp>) -> Graph {
    let shape = Shape::new(dims.to_vec()).unwrap();
    let info = TensorInfo {
        name: "t".to_owned(),
        shape,
        dtype,
        scale: 0.5,
        zero_point: dtype.min() + 128,
    };
    Graph {
        tensors: vec![info],
        nodes: Vec::new(),
        inputs: vec![InputPort {
            name: "x".to_owned(),
            tensor: TensorId(0),
            float,
        }],
        outputs: vec![OutputPort {
            name: "y".to_owned(),
            tensor: TensorId(0),
            tail,
        }],
    }
}

fn file(text: &str) -> InputFile {
    InputFile {
        path: "in.json".into(),
        arrays: json(text).unwrap(),
    }
}

fn with_type(element: ElementType, text: &str) -> InputFile {
    let mut file = file(text);
    for array in &mut file.arrays {
        array.element = element;
    }
    file
}

#[test]
fn floats_are_quantized_with_ties_to_even_and_clamped() {
    let int8 = graph(&[1, 8], DType::I8, true, vec![]);
    let values = file("[0.25, 0.75, -0.25, -0.75, 1, 1e30, -1e30, 63.4]");
    assert_eq!(
        resolve_inputs(&values, &int8).unwrap()[0].data(),
        [0, 2, 0, -2, 2, 127, -128, 127]
    );
    let uint8 = graph(&[1, 8], DType::U8, true, vec![]);
    assert_eq!(
        resolve_inputs(&values, &uint8).unwrap()[0].data(),
        [128, 130, 128, 126, 130, 255, 0, 255]
    );
    let mut nan = values.clone();
    nan.arrays[0].data = ArrayData::F64([[0.0; 7].as_slice(), &[f64::NAN]].concat());
    assert!(matches!(
        resolve_inputs(&nan, &uint8),
        Err(InputError::NotANumber { index: 7, .. })
    ));
    nan.arrays[0].data = ArrayData::F64([[0.0; 7].as_slice(), &[f64::INFINITY]].concat());
    assert_eq!(resolve_inputs(&nan, &uint8).unwrap()[0].data()[7], 255);
}

/// The quantization against onnxruntime's formula in double steps: single-precision division, then rounding.
#[test]
fn matches_reference_quantization() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for _ in 0..1000 {
        let scale = f32::from_bits(0x3a00_0000 + rng.next_u32() % 0x0700_0000);
        let mut graph = graph(&[64], DType::I8, true, vec![]);
        graph.tensors[0].scale = scale;
        graph.tensors[0].zero_point = i32::try_from(rng.next_u32() % 256).unwrap() - 128;
        // Eighths of a step: ties are met.
        let eighth = |rng: &mut ChaCha20Rng| f32::from(i16::try_from(rng.next_u32() % 4096).unwrap()) / 8.0;
        let x: Vec<f32> = (0..64).map(|_| (eighth(&mut rng) - 256.0) * scale).collect();
        let array = NamedArray {
            name: None,
            element: ElementType::F32,
            shape: vec![64],
            data: ArrayData::F32(x.clone()),
        };
        let file = InputFile {
            path: "x.npy".into(),
            arrays: vec![array],
        };
        let tensor = resolve_inputs(&file, &graph).unwrap().remove(0);
        for (x, q) in x.iter().zip(tensor.data()) {
            let exact = f64::from(x / scale).round_ties_even() + f64::from(graph.tensors[0].zero_point);
            assert_eq!(f64::from(*q), exact.clamp(-128.0, 127.0));
        }
    }
}

#[test]
fn typed_integers_are_taken_as_they_are() {
    let graph = graph(&[1, 3], DType::I8, true, vec![]);
    let typed = with_type(ElementType::I64, "[-128, 0, 127]");
    assert_eq!(resolve_inputs(&typed, &graph).unwrap()[0].data(), [-128, 0, 127]);
    let wide = with_type(ElementType::I64, "[-128, 128, 0]");
    let error = resolve_inputs(&wide, &graph).unwrap_err();
    assert!(matches!(
        error,
        InputError::Range {
            index: 1,
            value: 128,
            ..
        }
    ));
    assert!(error.to_string().contains("int8"), "{error}");
    // JSON has no types: on a float input whole numbers are real values.
    assert_eq!(
        resolve_inputs(&file("[1, 0, 2]"), &graph).unwrap()[0].data(),
        [2, 0, 4]
    );
}

#[test]
fn one_leading_one_may_differ_and_nothing_else() {
    let with = graph(&[1, 2, 2], DType::U8, true, vec![]);
    let without = graph(&[2, 2], DType::U8, true, vec![]);
    for text in ["[[1, 2], [3, 4]]", "[[[1, 2], [3, 4]]]"] {
        assert_eq!(
            resolve_inputs(&file(text), &with).unwrap()[0].shape().dims(),
            [1, 2, 2]
        );
        assert_eq!(
            resolve_inputs(&file(text), &without).unwrap()[0].shape().dims(),
            [2, 2]
        );
    }
    for text in [
        "[1, 2, 3, 4]",
        "[[[[[1, 2], [3, 4]]]]]",
        "[[1, 2, 3, 4]]",
        "[[1], [2], [3], [4]]",
        "5",
    ] {
        let error = resolve_inputs(&file(text), &with).unwrap_err();
        assert!(matches!(error, InputError::Shape { .. }), "{text}");
    }
    let error = resolve_inputs(&file("{\"x\": [1, 2, 3]}"), &with)
        .unwrap_err()
        .to_string();
    assert!(error.contains("in.json") && error.contains("\"x\""), "{error}");
    assert!(error.contains("[3]") && error.contains("[1, 2, 2]"), "{error}");
}

#[test]
fn arrays_are_found_by_name() {
    let mut two = graph(&[2], DType::U8, true, vec![]);
    two.inputs.push(InputPort {
        name: "z".to_owned(),
        tensor: TensorId(0),
        float: true,
    });
    let both = file("{\"z\": [3, 4], \"labels\": [9], \"x\": [1, 2]}");
    let tensors = resolve_inputs(&both, &two).unwrap();
    assert_eq!(
        (tensors[0].data(), tensors[1].data()),
        (&[130, 132][..], &[134, 136][..])
    );
    assert!(matches!(
        resolve_inputs(&file("[1, 2]"), &two),
        Err(InputError::Missing { .. })
    ));
    let one = graph(&[2], DType::U8, true, vec![]);
    for other in [
        "{\"X\": [1, 2], \"labels\": [9]}",
        "{\"X\": [1, 2]}",
        "{\"X\": [1, 2], \"Y\": [3, 4]}",
        "{\"arr_1\": [1, 2]}",
        "{}",
    ] {
        let error = resolve_inputs(&file(other), &one).unwrap_err();
        assert!(matches!(error, InputError::Missing { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("[\"x\"]"), "{said}");
        assert!(!other.contains('X') || said.contains("\"X [2]\""), "{said}");
    }
    for unnamed in [
        "[1, 2]",
        "{\"arr_0\": [1, 2]}",
        "{\"arr_0\": [1, 2], \"labels\": [9]}",
    ] {
        assert_eq!(
            resolve_inputs(&file(unnamed), &one).unwrap()[0].data(),
            [130, 132]
        );
    }
}

#[test]
fn unusable_graphs_are_refused() {
    let good = graph(&[2], DType::U8, true, vec![]);
    for change in [
        |g: &mut Graph| g.inputs[0].tensor = TensorId(7),
        |g: &mut Graph| g.tensors[0].scale = 0.0,
        |g: &mut Graph| g.tensors[0].scale = f32::NAN,
        |g: &mut Graph| g.tensors[0].zero_point = 256,
    ] {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(matches!(
            resolve_inputs(&file("[1, 2]"), &bad),
            Err(InputError::Port { .. })
        ));
    }
}

#[test]
fn claims_are_the_proved_tensor_or_the_output_behind_the_tail() {
    let bare = graph(&[1, 2], DType::I8, true, vec![]);
    let claimed = with_type(ElementType::I8, "{\"y\": [[1, -2]]}");
    let Claim::Quantized(tensor) = &resolve_outputs(&claimed, &bare).unwrap()[0] else {
        panic!("quantized")
    };
    assert_eq!(tensor.data(), [1, -2]);
    // A float that is only near a step of the scale must not become it.
    assert!(matches!(
        resolve_outputs(&file("[0.51, 1.0]"), &bare),
        Err(InputError::Type { .. })
    ));
    let tail = graph(
        &[1, 2],
        DType::I8,
        true,
        vec![TailOp::Dequantize {
            scale: 0.5,
            zero_point: 0,
        }],
    );
    assert!(matches!(
        resolve_outputs(&claimed, &tail).unwrap()[0],
        Claim::Quantized(_)
    ));
    let behind = file("[0.51, 1.0]");
    assert_eq!(
        resolve_outputs(&behind, &tail).unwrap(),
        [Claim::AfterTail(&behind.arrays[0])]
    );
}

#[test]
fn files_are_read_with_their_path_in_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    crate::files::write_bytes(&path, STORED).unwrap();
    assert_eq!(read_arrays(&path).unwrap().arrays.len(), 37);
    crate::files::write_bytes(&path, b"hello").unwrap();
    let error = read_arrays(&path).unwrap_err().to_string();
    assert!(
        error.contains("x.npz") && error.contains("no .npy, .npz or .json"),
        "{error}"
    );
}

/// Files that NumPy wrote elsewhere: the samples next to the shared models.
#[test]
fn fixture_shared_samples_are_read() {
    let Some(shared) = std::env::var_os("INFERPROOF_SHARED") else {
        println!("skipped: INFERPROOF_SHARED is unset");
        return;
    };
    let mut read = 0;
    for folder in std::fs::read_dir(Path::new(&shared).join("models")).unwrap() {
        let path = folder.unwrap().path().join("samples.npz");
        if path.exists() {
            let file = read_arrays(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(
                file.arrays
                    .iter()
                    .any(|a| a.name.as_deref().is_some_and(|n| n.starts_with("in__")))
            );
            read += 1;
        }
    }
    assert!(read > 0);
}
