//! What values are taken as, which names are taken, samples, and the limits of a JSON text.

use super::*;

fn integers(float: bool) -> Graph {
    graph(&[1, 4], DType::U8, float, vec![])
}

/// What a text for the only input of a graph with scale 0.5 and zero point 128 is taken as.
fn taken(element: ElementType, text: &str, float: bool) -> Result<TakenInput, InputError> {
    let file = with_type(element, text);
    resolve_batch(&file, &integers(float), 1).map(|mut all| all.remove(0))
}

#[test]
fn the_type_of_the_elements_decides() {
    let whole = "[0, 1, 2, 3]";
    let with_fraction = "[0, 1.0, 2, 3]";
    let as_floats = [128, 130, 132, 134];
    let cases: [(ElementType, &str, bool, [i32; 4], bool); 8] = [
        (ElementType::U8, whole, true, [0, 1, 2, 3], false),
        (ElementType::U8, whole, false, [0, 1, 2, 3], false),
        (ElementType::I64, whole, true, [0, 1, 2, 3], false),
        (ElementType::F64, with_fraction, true, as_floats, true),
        (ElementType::F64, with_fraction, false, as_floats, true),
        (ElementType::Json, whole, true, as_floats, true),
        (ElementType::Json, whole, false, [0, 1, 2, 3], false),
        (ElementType::Json, with_fraction, false, as_floats, true),
    ];
    for (element, text, float, expected, quantized) in cases {
        let taken = taken(element, text, float).unwrap();
        assert_eq!(taken.tensor.data(), expected, "{element} {text} {float}");
        assert_eq!(
            matches!(taken.kind.reading, Reading::Floats { .. }),
            quantized,
            "{element} {text} {float}"
        );
        assert_eq!((taken.kind.element, taken.kind.values), (element, 4));
        assert_eq!(taken.kind.range(), (-64.0, 63.5));
    }
}

#[test]
fn integers_out_of_range_are_told_of_floats() {
    for (element, float, advice) in [
        (ElementType::I64, true, "astype(numpy.float32)"),
        (ElementType::I64, false, "astype(numpy.float32)"),
        (ElementType::Json, false, "a fraction (1.0)"),
    ] {
        let error = taken(element, "[0, 256, 0, 0]", float).unwrap_err();
        let InputError::Range {
            index: 1, value: 256, ..
        } = error
        else {
            panic!("{error}")
        };
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn booleans_are_refused_with_advice() {
    for float in [true, false] {
        let error = taken(ElementType::Bool, "[0, 1, 1, 0]", float).unwrap_err();
        assert!(matches!(error, InputError::Bool { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("astype(numpy.float32)") && said.contains("astype(numpy.uint8)"),
            "{said}"
        );
    }
    let claim = with_type(ElementType::Bool, "[0, 1, 1, 0]");
    assert!(matches!(
        resolve_outputs(&claim, &integers(true)),
        Err(InputError::Bool { .. })
    ));
}

#[test]
fn floats_far_outside_are_noticed() {
    let is_suspicious = |text: &str| taken(ElementType::Json, text, true).unwrap().kind.is_suspicious();
    // The range is -64 to 63.5.
    assert!(is_suspicious("[255, 200, 90, 0]"));
    assert!(is_suspicious("[0, 0, 0, 255]"), "zeros say nothing");
    assert!(!is_suspicious("[0, 0, 0, 0]"));
    assert!(!is_suspicious("[70, -70, 64, 1]"), "clamped by a little");
    assert!(!is_suspicious("[255, 1, 2, 3]"), "an outlier");
    let kind = taken(ElementType::Json, "[255, 70, 1, 0]", true).unwrap().kind;
    let counts = Reading::Floats {
        clamped: 2,
        far: 1,
        nonzero: 3,
    };
    assert_eq!(kind.reading, counts);
}

#[test]
fn claims_have_no_arrays_left_over() {
    let graph = integers(true);
    let unknown = |text: &str| {
        let file = file(text);
        let claims = [
            resolve_claimed_inputs(&file, &graph).map(|_| ()),
            resolve_outputs(&file, &graph).map(|_| ()),
        ];
        claims.map(|claim| match claim {
            Err(error @ InputError::Unknown { .. }) => Some(error.to_string()),
            _ => None,
        })
    };
    let [input, output] = unknown("{\"nope\": [1, 2, 3, 4]}");
    let (input, output) = (input.unwrap(), output.unwrap());
    assert!(
        input.contains("no input named \"nope\"; the proof has [\"x\"]"),
        "{input}"
    );
    assert!(
        output.contains("no output named \"nope\"; the proof has [\"y\"]"),
        "{output}"
    );
    assert!(unknown("{\"x\": [1, 2, 3, 4], \"labels\": [3]}")[0].is_some());
    assert!(unknown("{\"y\": [1, 2, 3, 4], \"arr_0\": [1, 2, 3, 4]}")[1].is_some());
    for taken in ["[1, 2, 3, 4]", "{\"arr_0\": [1, 2, 3, 4]}"] {
        assert_eq!(unknown(taken), [None, None], "{taken}");
    }
    assert_eq!(unknown("{\"x\": [1, 2, 3, 4]}")[0], None);
    assert_eq!(unknown("{\"y\": [1, 2, 3, 4]}")[1], None);
}

#[test]
fn samples_are_rows_of_the_inputs_alone() {
    let file = file("{\"labels\": [7, 8], \"x\": [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]}");
    let rows = take_samples(&file, &integers(true), 1, 2).unwrap();
    assert_eq!(rows.arrays.len(), 1);
    assert_eq!(rows.arrays[0].shape, [2, 4]);
    assert_eq!(rows.arrays[0].data, ArrayData::I64((5..13).collect()));
    for (first, batch) in [(3, 1), (2, 2), (usize::MAX, 1)] {
        let error = take_samples(&file, &integers(true), first, batch).unwrap_err();
        assert!(matches!(error, InputError::Sample { .. }), "{error}");
    }
    let number = super::file("5");
    assert!(matches!(
        take_samples(&number, &integers(true), 0, 1),
        Err(InputError::Sample { .. })
    ));
}

#[test]
fn shapes_of_samples_are_recognized() {
    let said = |text: &str, batch| {
        let error = resolve_batch(&file(text), &integers(true), batch).unwrap_err();
        assert!(matches!(error, InputError::Shape { .. }), "{error}");
        error.to_string()
    };
    let rows = |n: usize| format!("[{}]", vec!["[1, 2, 3, 4]"; n].join(","));
    let one = said(&rows(3), 1);
    assert!(
        one.contains("3 samples: --sample N takes the one in row N") && one.contains("`prove --batch 3`"),
        "{one}"
    );
    let own_axis = said("[[[1, 2, 3, 4]], [[1, 2, 3, 4]]]", 1);
    assert!(own_axis.contains("2 samples"), "{own_axis}");
    let more = said(&rows(5), 3);
    assert!(more.contains("--sample N takes 3 of them"), "{more}");
    let fewer = said(&rows(2), 3);
    assert!(
        fewer.contains("(--batch 3)") && fewer.contains("has 2"),
        "{fewer}"
    );
    let other = said("[1, 2, 3]", 1);
    assert!(!other.contains("--sample"), "{other}");
}

#[test]
fn json_integers_stay_integers() {
    assert_eq!(json("[-0, 1]").unwrap()[0].data, ArrayData::I64(vec![0, 1]));
    assert_eq!(json("-0").unwrap()[0].data, ArrayData::I64(vec![0]));
    assert_eq!(json("1.5").unwrap()[0].data, ArrayData::F64(vec![1.5]));
    assert_eq!(
        json("{\"e.E\": [-0, 2], \"f\": [-0.0, 2]}")
            .unwrap()
            .iter()
            .map(|a| a.data.clone())
            .collect::<Vec<_>>(),
        [ArrayData::I64(vec![0, 2]), ArrayData::F64(vec![-0.0, 2.0])]
    );
    for wide in [
        "9223372036854775808",
        "99999999999999999999999",
        "-9223372036854775809",
    ] {
        for text in [
            format!("[0.5, {wide}, 1]"),
            format!("[1, {wide}]"),
            wide.to_owned(),
        ] {
            let error = json(&text).unwrap_err().to_string();
            assert!(error.contains("64 bits"), "{text}: {error}");
        }
        assert!(json(&format!("[{wide}.0]")).is_ok());
    }
}

#[test]
fn json_may_have_a_byte_order_mark() {
    for text in [
        "\u{feff}[1, 2]",
        "\u{feff} {\"a\": [1, 2]}",
        "\u{feff}          [1, 2]",
    ] {
        assert_eq!(json(text).unwrap()[0].data, ArrayData::I64(vec![1, 2]));
    }
    for text in ["\u{feff}", "\u{feff}hello", "\u{feff}\u{feff}[1]"] {
        assert_eq!(json(text), Err(FormatFault::Unknown));
    }
}

/// Strings without an end: they are refused at a length that a name cannot have, not kept.
#[test]
fn json_strings_are_not_kept() {
    const LONG: u64 = 1 << 30;
    for begin in ["[\"", "{\"", "{\"a\": \"", "[1, \""] {
        for (filling, length) in [(b'x', 8 << 10), (b'\\', 8 << 10)] {
            let mut source = begin.as_bytes().chain(std::io::repeat(filling)).take(LONG);
            let Err(Stop::Format(fault)) = parse(&mut source, 0) else {
                panic!("{begin}")
            };
            assert_eq!(fault, FormatFault::LongString);
            assert!(LONG - source.limit() < length, "{begin}");
        }
    }
    let name = "\\u0041".repeat(MAX_NAME_BYTES);
    assert_eq!(json(&format!("{{\"{name}\": 1}}")).unwrap().len(), 1);
    assert!(json(&format!("{{\"{}\": 1}}", "A".repeat(MAX_NAME_BYTES + 1))).is_err());
}

#[test]
fn what_an_array_lacks_is_said_apart() {
    let said = |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
        npy(&header, &[]).unwrap_err().to_string()
    };
    assert!(said("(0, 5)").contains("empty") && !said("(0, 5)").contains("more than"));
    assert!(said("(5000, 5000)").contains("more than") && !said("(5000, 5000)").contains("empty"));
}

#[test]
fn shapes_are_looked_at_before_values() {
    for (element, text) in [(ElementType::I64, "[999, 1]"), (ElementType::Json, "[999, 1.5]")] {
        let error = taken(element, text, false).unwrap_err();
        assert!(matches!(error, InputError::Shape { .. }), "{error}");
    }
    let file = InputFile {
        path: "x.npy".into(),
        arrays: vec![NamedArray {
            name: None,
            element: ElementType::F64,
            shape: vec![2],
            data: ArrayData::F64(vec![f64::NAN; 2]),
        }],
    };
    let error = resolve_inputs(&file, &integers(true)).unwrap_err();
    assert!(matches!(error, InputError::Shape { .. }), "{error}");
}
