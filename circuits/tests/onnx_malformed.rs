//! What the importer refuses, each by its own error, and that no bytes make it panic.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::shared;
use common::writer::{Dim, Message, Model, float, int8, int64, node, tensor, value, with_int, with_ints};
use inferproof_circuits::import::ImportError as E;
use inferproof_circuits::import::onnx::{LoadOptions, MAX_BYTES, MAX_DEPTH, MAX_NODES, load, load_with};
use inferproof_circuits::ops::OpError;
use inferproof_circuits::quant::QuantError;
use inferproof_circuits::tensor::Shape;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Seeded files of each fuzz test.
const MUTATIONS: usize = 10_000;

/// The error of a model.
fn refuse(model: &Model) -> E {
    load(&model.bytes()).map(|g| g.nodes.len()).unwrap_err()
}

macro_rules! assert_refused {
    ($model:expr, $pattern:pat $(if $guard:expr)?) => {
        let error = refuse(&$model);
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert!(error.to_string().contains(['.', ';', ':', ',']), "no advice in: {error}");
    };
}

#[test]
fn the_small_model_imports() {
    let graph = load(&Model::small().bytes()).unwrap();
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(graph.inputs[0].name, "x");
    assert!(graph.inputs[0].float);
    assert_eq!(graph.outputs[0].tail.len(), 2);
    assert_eq!(graph.tensor(graph.outputs[0].tensor).name, "y_q");
}

#[test]
fn wire_format_is_bounded() {
    assert!(matches!(load(&[]), Err(E::Missing { .. })));
    assert!(matches!(load(&[0x0f]), Err(E::Wire { offset: 1, .. })));
    assert!(matches!(load(&[0x00]), Err(E::Wire { .. })));
    assert!(matches!(load(&[0x80]), Err(E::Wire { .. })));
    assert!(matches!(load(&[0x3b]), Err(E::Wire { .. })), "groups are refused");
    let long = Message::default().varint(7 << 3 | 2).varint(u64::MAX).0;
    assert!(matches!(load(&long), Err(E::Wire { .. })));
    assert!(matches!(load(&vec![0; MAX_BYTES + 1]), Err(E::TooLarge { .. })));
    let text = Message::default()
        .message(
            7,
            &Message::default().message(1, &Message::default().bytes(3, [0xff])),
        )
        .0;
    assert!(matches!(load(&text), Err(E::Decode { .. })));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let mut graph = Model::small().graph();
        for _ in 0..depth {
            let branch = Message::default().bytes(1, "then_branch").message(6, &graph);
            graph = Message::default().message(1, &node("If", &["c"], &["y"]).message(5, &branch));
        }
        Message::default()
            .message(7, &graph)
            .message(8, &Message::default().int(2, 13))
            .0
    };
    assert!(matches!(load(&nested(MAX_DEPTH)), Err(E::TooDeep { .. })));
    assert!(matches!(load(&nested(2_000)), Err(E::TooDeep { .. })));
    let mut kind = Message::default();
    for _ in 0..MAX_DEPTH {
        kind = Message::default().message(4, &Message::default().message(1, &kind));
    }
    let input = Message::default().message(11, &Message::default().message(2, &kind));
    assert!(matches!(
        load(&Message::default().message(7, &input).0),
        Err(E::TooDeep { .. })
    ));
}

#[test]
fn counts_are_bounded() {
    let mut model = Model::small();
    model.nodes = vec![Message::default(); MAX_NODES + 1];
    assert_refused!(model, E::TooMany { what: "nodes", .. });
    let attributes = (0..1_000_000).fold(Message::default(), |m, _| m.bytes(5, []));
    assert_refused!(Model::small().with_node(0, attributes), E::TooMany { .. });
    let packed = Message::default().bytes(7, vec![0; 30 << 20]);
    assert_refused!(Model::small().with_initializer(0, packed), E::TooMany { .. });
}

/// Copies of lists that a small file can ask for by naming one constant, or one value, many times.
#[test]
fn copies_are_bounded() {
    // Views of the float input, each with all those before it.
    let mut model = Model::small().with_input(1, &[Dim::Fixed(1), Dim::Fixed(2), Dim::Fixed(2)]);
    let names: Vec<String> = std::iter::once("x".to_owned())
        .chain((0..5_000).map(|i| format!("t{i}")))
        .chain(["y".to_owned()])
        .collect();
    let transposed = names
        .windows(2)
        .map(|pair| node("Transpose", &[&pair[0]], &[&pair[1]]));
    model.nodes = transposed.collect();
    assert_refused!(model, E::TooMany { what, .. } if what.contains("views in a row"));

    // Scales of a constant, by node.
    let mut model = Model::small();
    let (len, count) = (1 << 16, 1_000);
    let scales: Vec<u8> = std::iter::repeat_n(0.5f32.to_le_bytes(), len).flatten().collect();
    let dims = [1, i64::try_from(len).unwrap()];
    model.initializers = vec![
        tensor("w", 3, &dims, &vec![1; len]),
        tensor("s", 1, &dims[1..], &scales),
    ];
    let names: Vec<String> = (0..count).map(|i| format!("w{i}")).collect();
    let dequantized = names
        .iter()
        .map(|name| node("DequantizeLinear", &["w", "s"], &[name]));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    model.nodes = dequantized.chain([node("Sum", &all, &["y"])]).collect();
    assert_refused!(model, E::TooMany { what, .. } if what.contains("constants"));

    // Biases, by node.
    let mut model = Model::small();
    model.initializers[5] = tensor("w", 3, &[4, dims[1]], &vec![1; 4 * len]);
    model.initializers[6] = tensor("b", 6, &[1], &[0; 4]);
    let products = names
        .iter()
        .map(|name| node("Gemm", &["x_f", "w_f", "b_f"], &[name]));
    let quantized = model.nodes[..4].iter().cloned();
    model.nodes = quantized
        .chain(products)
        .chain([node("Sum", &all, &["y"])])
        .collect();
    assert_refused!(model, E::TooMany { what, .. } if what.contains("constants"));

    // Outputs of the graph.
    let mut model = Model::small();
    model.outputs = vec![model.outputs[0].clone(); 65];
    assert_refused!(model, E::TooMany { what, .. } if what.contains("outputs"));
}

/// Averages over a million different numbers of values: each number would have a divisor, and a staircase to fit.
#[test]
fn averages_over_many_numbers_of_values_are_refused() {
    let model = |size: i64, padded: i64| {
        let dims = [1, 1, size, size].map(Dim::Fixed);
        let mut model = Model::small().with_input(1, &dims);
        let pool = node("AveragePool", &["x_f"], &["r"]);
        let pool = with_ints(pool, "kernel_shape", &[size, size]);
        let pool = with_ints(pool, "pads", &[size - 1; 4]);
        model.nodes = [
            &model.nodes[..2],
            &[with_int(pool, "count_include_pad", padded)],
            &model.nodes[7..8],
        ]
        .concat();
        model.outputs = vec![value("y_q", 3, &[])];
        model
    };
    assert_refused!(model(2048, 0), E::Op { source, .. } if matches!(**source, OpError::ManyCounts { .. }));
    assert_refused!(model(64, 0), E::Op { source, .. } if matches!(**source, OpError::ManyCounts { .. }));
    // Below the number of divisors, and with one number for all windows.
    assert_eq!(load(&model(7, 0).bytes()).unwrap().nodes.len(), 1);
    assert_eq!(load(&model(64, 1).bytes()).unwrap().nodes.len(), 1);
}

/// A quotient of scales beyond single precision makes a sum of nothing but NaN.
#[test]
fn sums_with_a_constant_out_of_all_proportion_are_refused() {
    let model = |scale: f32| {
        let mut model = Model::small();
        model.initializers[1] = float("s_w", scale);
        model.initializers[3] = float("s_y", 1e-38);
        model.initializers[5] = int8("w", &[4], &[1, 2, 3, 4]);
        let sum = node("Add", &["x_f", "w_f"], &["r"]);
        model.nodes = [&model.nodes[..3], &[sum], &model.nodes[7..8]].concat();
        model.outputs = vec![value("y_q", 3, &[])];
        model
    };
    assert_refused!(model(1e38), E::Op { source, .. } if matches!(**source, OpError::Quant(QuantError::Scale { .. })));
}

/// A bias with more axes than the product would change its shape.
#[test]
fn biases_of_other_ranks_are_refused() {
    let bias = |dims: &[i64]| Model::small().with_initializer(6, tensor("b", 6, dims, &[0; 12]));
    assert!(load(&bias(&[1, 3]).bytes()).is_ok());
    assert_refused!(bias(&[1, 1, 3]), E::Shapes { .. });
}

#[test]
fn subgraphs_are_refused() {
    let branch = Message::default()
        .bytes(1, "then_branch")
        .message(6, &Model::small().graph());
    let mut model = Model::small();
    model.nodes[9] = node("If", &["y_f"], &["y"]).message(5, &branch);
    assert_refused!(model, E::Subgraph { at } if at.op == "If" && at.name == "node_y");
    model.nodes[9] = node("Loop", &["y_f"], &["y"]);
    assert_refused!(model, E::Subgraph { .. });
}

#[test]
fn constants_are_checked() {
    let small = Model::small;
    let raw = |len: usize| tensor("w", 3, &[4, 3], &vec![1; len]);
    assert_refused!(small().with_initializer(5, raw(11)), E::TensorData { .. });
    assert_refused!(small().with_initializer(5, raw(13)), E::TensorData { .. });
    assert_refused!(
        small().with_initializer(5, tensor("w", 3, &[4, -3], &[1; 12])),
        E::TensorData { .. }
    );
    assert_refused!(
        small().with_initializer(5, tensor("w", 3, &[1; 7], &[1])),
        E::TensorData { .. }
    );
    let huge = tensor("w", 3, &[0, 1 << 62, 1 << 62], &[]);
    assert_refused!(small().with_initializer(5, huge), E::TensorData { .. });
    let outside = raw(12).message(
        13,
        &Message::default().bytes(1, "location").bytes(2, "/etc/passwd"),
    );
    assert_refused!(small().with_initializer(5, outside), E::ExternalData { tensor } if tensor == "w");
    assert_refused!(
        small().with_initializer(5, raw(12).int(14, 1)),
        E::ExternalData { .. }
    );
    assert_refused!(
        small().with_initializer(5, tensor("w", 22, &[4, 3], &[1; 6])),
        E::ElementType { code: 22, .. }
    );
    let twice = raw(12).int(5, 1);
    assert_refused!(small().with_initializer(5, twice), E::TensorData { .. });
    let wide = Message::default()
        .int(1, 4)
        .int(1, 3)
        .int(2, 3)
        .bytes(8, "w")
        .bytes(5, [0xff, 0x7f, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_refused!(small().with_initializer(5, wide), E::TensorData { .. });
    let mut doubled = small();
    doubled.initializers.push(float("s_x", 1.0));
    assert_refused!(doubled, E::Duplicate { .. });
}

#[test]
fn scales_are_positive_and_finite() {
    for (index, name) in [(0, "s_x"), (1, "s_w"), (2, "s_b"), (3, "s_y")] {
        for bad in [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_refused!(
                Model::small().with_initializer(index, float(name, bad)),
                E::Scale { .. }
            );
        }
    }
    let many = tensor("s_x", 1, &[2], &[0, 0, 128, 63, 0, 0, 128, 63]);
    assert_refused!(Model::small().with_initializer(0, many), E::Operand { .. });
    assert_refused!(
        Model::small().with_initializer(2, float("s_b", 0.03)),
        E::BiasScale { channel: 0, .. }
    );
    assert_refused!(
        Model::small().with_initializer(3, float("s_y", f32::MIN_POSITIVE)),
        E::Op { .. }
    );
}

#[test]
fn opsets_are_bounded() {
    for version in [i64::MIN, 0, 9, 22, i64::MAX] {
        let mut model = Model::small();
        model.opset = version;
        assert_refused!(model, E::Opset { .. });
    }
    for version in 10..=21 {
        let mut model = Model::small();
        model.opset = version;
        assert!(load(&model.bytes()).is_ok(), "opset {version}");
    }
}

#[test]
fn input_dimensions_are_fixed() {
    let small = Model::small;
    let open = Dim::Open("N");
    assert_refused!(
        small().with_input(1, &[open, Dim::Open("length")]),
        E::Dimension { axis: 1, .. }
    );
    assert_refused!(
        small().with_input(1, &[Dim::Fixed(2), Dim::Fixed(4)]),
        E::Dimension { axis: 0, .. }
    );
    assert_refused!(
        small().with_input(1, &[open, Dim::Fixed(i64::MAX)]),
        E::Dimension { .. }
    );
    assert_refused!(
        small().with_input(11, &[open, Dim::Fixed(4)]),
        E::ElementType { code: 11, .. }
    );
    for batch in [
        Dim::Fixed(-1),
        Dim::Fixed(0),
        Dim::Fixed(1),
        Dim::Open("unk__3"),
        Dim::Open(""),
    ] {
        assert!(
            load(&small().with_input(1, &[batch, Dim::Fixed(4)]).bytes()).is_ok(),
            "{batch:?}"
        );
    }
    let given = |dims: &[usize]| {
        let mut options = LoadOptions::default();
        options
            .input_shapes
            .insert("x".to_owned(), Shape::new(dims.to_vec()).unwrap());
        load_with(
            &small().with_input(1, &[open, Dim::Open("length")]).bytes(),
            &options,
        )
    };
    assert_eq!(given(&[3, 4]).unwrap().tensors[0].shape.dims(), [3, 4]);
    assert!(matches!(given(&[3, 5]), Err(E::Shapes { .. })));
    assert!(matches!(given(&[4]), Err(E::GivenShape { .. })));
}

#[test]
fn float_and_dynamic_graphs_are_refused() {
    let small = Model::small;
    assert_refused!(small().with_node(4, node("MatMul", &["x", "w_f"], &["m"])), E::Float { at, .. } if at.op == "MatMul");
    assert_refused!(
        small().with_node(9, node("Relu", &["r"], &["y"])),
        E::Float { .. }
    );
    assert_refused!(
        small().with_node(9, node("Softmax", &["r"], &["y"])),
        E::Float { .. }
    );
    assert_refused!(small().with_node(6, node("Sigmoid", &["a"], &["r"])), E::Float { at, .. } if at.op == "Sigmoid");
    assert_refused!(
        small().with_node(4, node("MatMulInteger", &["x_q", "w"], &["m"])),
        E::Dynamic { .. }
    );
    assert_refused!(
        small().with_node(0, node("DynamicQuantizeLinear", &["x"], &["x_q"])),
        E::Dynamic { .. }
    );
    assert_refused!(small().with_node(9, node("Tanh", &["y_f"], &["y"])), E::Unsupported { at, .. } if at.op == "Tanh");
    assert_refused!(
        small().with_node(9, node("Identity", &["x"], &["y"])),
        E::Output { .. }
    );
    assert_refused!(
        small().with_node(9, node("Identity", &["w"], &["y"])),
        E::Output { .. }
    );
    let foreign = node("Relu", &["y_f"], &["y"]).bytes(7, "my.domain");
    assert_refused!(small().with_node(9, foreign), E::Unsupported { at, .. } if at.op == "my.domain.Relu");
}

#[test]
fn broken_graphs_are_refused() {
    let small = Model::small;
    assert_refused!(small().with_node(9, node("Softmax", &["nothing"], &["y"])), E::Undefined { input, .. } if input == "nothing");
    assert_refused!(
        small().with_node(9, node("Softmax", &["y_f"], &["other"])),
        E::Output { .. }
    );
    assert_refused!(
        small().with_node(8, node("DequantizeLinear", &["y_q", "s_y", "z"], &["x_f"])),
        E::Undefined { .. } | E::Duplicate { .. }
    );
    assert_refused!(small().with_node(6, node("Relu", &[], &["r"])), E::Lacks { .. });
    assert_refused!(
        small().with_node(8, node("DequantizeLinear", &["y_q", "s_x", "z"], &["y_f"])),
        E::Operand { .. }
    );
    assert_refused!(
        small().with_node(8, node("DequantizeLinear", &["y_q", "w", "z"], &["y_f"])),
        E::Operand { .. }
    );
    assert_refused!(
        small().with_initializer(5, int8("w", &[3, 4], &[1; 12])),
        E::Shapes { .. }
    );
    let axis = with_int(node("Softmax", &["y_f"], &["y"]), "axis", i64::MIN);
    assert_refused!(small().with_node(9, axis), E::Attribute { .. });
    let mut reshaped = small().with_node(9, node("Reshape", &["y_f", "shape"], &["y"]));
    for bad in [
        &[-1, -1][..],
        &[0, 0, 0],
        &[i64::MAX, i64::MAX],
        &[2, 2],
        &[-2, 3],
        &[1, 1, 1, 1, 1, 1, 3],
    ] {
        reshaped.initializers.truncate(7);
        reshaped.initializers.push(int64("shape", bad));
        assert_refused!(reshaped, E::Shapes { .. });
    }
    let mut two = small();
    two.nodes
        .insert(9, node("QuantizeLinear", &["x", "s_y", "z"], &["again"]));
    two.outputs.push(common::writer::value("again", 3, &[]));
    assert_refused!(two, E::InputQuantizedTwice { input } if input == "x");
}

#[test]
fn constants_of_another_shape_are_named_as_found() {
    let mut sum = Model::small().with_node(9, node("Add", &["y_f", "c_f"], &["y"]));
    sum.initializers.push(int8("c", &[5], &[1; 5]));
    sum.nodes
        .insert(3, node("DequantizeLinear", &["c", "s_w", "z"], &["c_f"]));
    let error = refuse(&sum);
    assert!(
        matches!(&error, E::Shapes { dims, .. } if dims[..] == [5]),
        "{error:?}"
    );
    let said = error.to_string();
    assert!(
        said.contains("for each position on it, found [5]") && !said.contains("is, found"),
        "{said}"
    );
}

/// A changed copy: bits, bytes, spans, truncations, insertions, up to four of them.
fn mutate(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let below = |rng: &mut ChaCha8Rng, n: usize| usize::try_from(rng.next_u32()).unwrap() % n.max(1);
    for _ in 0..=below(rng, 4) {
        let at = below(rng, out.len());
        if out.is_empty() {
            return out;
        }
        match below(rng, 8) {
            0..=2 => out[at] ^= 1 << below(rng, 8),
            3 => out[at] = rng.next_u32().to_le_bytes()[0],
            4 => out[at] = [0, 1, 0x7f, 0x80, 0xff][below(rng, 5)],
            5 => out.truncate(at),
            6 => out.insert(at, rng.next_u32().to_le_bytes()[0]),
            _ => {
                let end = (at + below(rng, 16)).min(out.len());
                let span = out[at..end].to_vec();
                let to = below(rng, out.len());
                out.splice(to..to, span);
            }
        }
    }
    out
}

/// Loads mutations; whatever still loads must be a sound graph. Returns how many do.
fn fuzz(bytes: &[u8], seed: u64) -> usize {
    assert!(load(bytes).is_ok());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut slowest = std::time::Duration::ZERO;
    let mut loaded = 0;
    for _ in 0..MUTATIONS {
        let mutated = mutate(bytes, &mut rng);
        let start = std::time::Instant::now();
        match load(&mutated) {
            Ok(graph) => {
                graph.validate().unwrap();
                loaded += 1;
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        slowest = slowest.max(start.elapsed());
    }
    println!("{loaded} of {MUTATIONS} still load, the slowest took {slowest:?}");
    // Milliseconds on an idle machine.
    assert!(slowest < std::time::Duration::from_secs(5), "{slowest:?}");
    loaded
}

#[test]
fn mutations_of_the_small_model_do_not_panic() {
    let loaded = fuzz(&Model::small().bytes(), 1);
    println!("{loaded} of {MUTATIONS} still load");
    assert!(
        loaded > 100 && loaded < MUTATIONS * 9 / 10,
        "{loaded} of {MUTATIONS} still load"
    );
}

#[test]
fn mutations_of_exported_models_do_not_panic() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/quirks");
    for (seed, name) in [(2, "dynamic_shape"), (3, "residual"), (4, "qoperator")] {
        let loaded = fuzz(
            &std::fs::read(folder.join(name).with_extension("onnx")).unwrap(),
            seed,
        );
        println!("{name}: {loaded} of {MUTATIONS} still load");
    }
}

#[test]
fn mutations_of_a_real_model_do_not_panic() {
    let Some(shared) = shared() else { return };
    let path = shared.join("models/tflm_hello_world_tf2onnx_qdq/model.onnx");
    println!(
        "{} of {MUTATIONS} still load",
        fuzz(&std::fs::read(path).unwrap(), 5)
    );
}
