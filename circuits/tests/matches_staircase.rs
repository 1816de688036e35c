//! The fitted integers against the float staircase itself: equal at every accumulator except the listed ones, and listed
//! only where they differ.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use inferproof_circuits::quant::{
    Affine, ChannelRequantize, Correction, OutputQuant, QuantError, Requantize, Runtime, requantize,
    requantize_f32, strict,
};
use inferproof_circuits::tensor::DType;
use proptest::prelude::*;

fn output(scale: f32, zero_point: i32, lo: i32, hi: i32) -> OutputQuant {
    OutputQuant {
        scales: vec![scale],
        zero_point,
        lo,
        hi,
    }
}

/// Compares at `acc` (bias not included).
fn check(y: &OutputQuant, fit: &Requantize, bias: i64, acc: i64) {
    let runtime = requantize_f32(acc + bias, y.scales[0], y.zero_point, y.lo, y.hi);
    let proved = fit.apply(0, acc);
    let expected = if proved == runtime {
        Runtime::Equal
    } else {
        Runtime::Other(runtime)
    };
    assert_eq!(
        fit.channels[0].runtime(acc),
        expected,
        "acc {acc} bias {bias} {y:?}"
    );
    assert!((proved - runtime).abs() <= 1, "acc {acc} bias {bias} {y:?}");
}

/// Accumulators next to every step of the float staircase and of the integers, ends included.
fn interesting(y: &OutputQuant, fit: &Requantize, bias: i64) -> Vec<i64> {
    let ChannelRequantize {
        affine,
        fitted: (lo, hi),
        ..
    } = fit.channels[0];
    let mut at = vec![lo, hi];
    for value in y.lo..=y.hi + 1 {
        let centre = f64::from(value - y.zero_point) - 0.5;
        #[allow(clippy::cast_possible_truncation, reason = "a position near the step")]
        at.push((centre / f64::from(y.scales[0])) as i64 - bias);
        if let Some(step) = (i64::from(value) * affine.divisor() - affine.b).checked_div(affine.m) {
            at.push(step);
        }
    }
    let near = |at: &i64| (at.saturating_sub(300)..=at.saturating_add(300)).step_by(1);
    let mut all: Vec<i64> = at
        .iter()
        .flat_map(near)
        .filter(|a| (lo..=hi).contains(a))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn clamps() -> impl Strategy<Value = (i32, i32, i32)> {
    (prop::bool::ANY, 0..=255i32, 0..255i32, 1..=255i32).prop_map(|(signed, z, lo, width)| {
        let min = if signed { -128 } else { 0 };
        (min + z, min + lo, min + (lo + width).min(255))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn matches_reference_on_whole_small_ranges(
        log_scale in -14.0f32..2.0,
        (z, lo, hi) in clamps(),
        from in -60_000i64..1000,
        len in 0i64..60_000,
        bias in -70_000i64..70_000,
    ) {
        let y = output(log_scale.exp2(), z, lo, hi);
        let fit = requantize(&y, &[(from, from + len)], &[bias]).unwrap();
        for acc in from..=from + len {
            check(&y, &fit, bias, acc);
        }
        let t = |acc: i64| fit.channels[0].affine.quotient(acc);
        let excess = |acc: i64| (t(acc) - t(acc).clamp(i64::from(lo), i64::from(hi))).abs();
        prop_assert_eq!(fit.excess_bound(), (from..=from + len).map(excess).max().unwrap());
    }

    #[test]
    fn matches_reference_around_every_step(
        log_scale in -24.0f32..-8.0,
        (z, lo, hi) in clamps(),
        reach in 1i64..1 << 30,
        bias in -(1i64 << 30)..1 << 30,
    ) {
        let y = output(log_scale.exp2(), z, lo, hi);
        match requantize(&y, &[(-reach, reach)], &[bias]) {
            Ok(fit) => interesting(&y, &fit, bias).into_iter().for_each(|acc| check(&y, &fit, bias, acc)),
            Err(error) => prop_assert!(matches!(error, QuantError::Differences { .. }), "{}", error),
        }
    }

    #[test]
    fn matches_reference_for_dyadic_scales(
        shift in 0i32..14,
        factor in 1u8..8,
        (z, lo, hi) in clamps(),
        bias in -5000i64..5000,
    ) {
        let y = output(f32::from(factor) * (-shift as f32).exp2(), z, lo, hi);
        let fit = requantize(&y, &[(-20_000, 20_000)], &[bias]).unwrap();
        for acc in -20_000..=20_000 {
            check(&y, &fit, bias, acc);
        }
    }
}

/// The output of the strict fit at `acc` is the runtime's.
fn check_strict(y: &OutputQuant, fit: &Requantize, bias: i64, acc: i64) {
    let runtime = requantize_f32(acc + bias, y.scales[0], y.zero_point, y.lo, y.hi);
    assert_eq!(fit.apply(0, acc), runtime, "acc {acc} bias {bias} {y:?}");
    assert_eq!(fit.channels[0].runtime(acc), Runtime::Equal);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strict_rounding_leaves_no_difference_for_dyadic_scales(
        shift in 0i32..14,
        factor in 1u8..16,
        (z, lo, hi) in clamps(),
        bias in -5000i64..5000,
    ) {
        let y = output(f32::from(factor) * (-shift as f32).exp2(), z, lo, hi);
        let mut fit = requantize(&y, &[(-20_000, 20_000)], &[bias]).unwrap();
        let listed = fit.num_differing().0;
        strict(&mut fit, &y, &[bias]).unwrap();
        fit.validate(1, if lo < 0 { DType::I8 } else { DType::U8 }).unwrap();
        prop_assert_eq!(fit.num_differing(), (0, 0));
        prop_assert_eq!(fit.corrections().count() > 0, listed > 0);
        for acc in -20_000..=20_000 {
            check_strict(&y, &fit, bias, acc);
        }
        let t = |acc: i64| fit.channels[0].quotient(acc);
        let excess = |acc: i64| (t(acc) - t(acc).clamp(i64::from(lo), i64::from(hi))).abs();
        prop_assert_eq!(fit.excess_bound(), (-20_000..=20_000).map(excess).max().unwrap());
    }

    #[test]
    fn strict_rounding_leaves_no_difference_around_every_step(
        log_scale in -15.0f32..-8.0,
        (z, lo, hi) in clamps(),
        reach in 1i64..8_000_000,
        bias in -(1i64 << 30)..1 << 30,
    ) {
        let y = output(log_scale.exp2(), z, lo, hi);
        let Ok(mut fit) = requantize(&y, &[(-reach, reach)], &[bias]) else { return Ok(()) };
        let at = interesting(&y, &fit, bias);
        match strict(&mut fit, &y, &[bias]) {
            Ok(()) => at.into_iter().for_each(|acc| check_strict(&y, &fit, bias, acc)),
            Err(error) => prop_assert!(matches!(error, QuantError::Strict { .. }), "{}", error),
        }
    }
}

/// A correction further from a reachable accumulator than the divisor of its plane is refused.
#[test]
fn far_corrections_are_refused() {
    let y = output(0.5, 0, -128, 127);
    let mut fit = requantize(&y, &[(-(1 << 25), 1 << 25)], &[]).unwrap();
    let listed = fit.num_differing().0;
    let before = fit.clone();
    match strict(&mut fit, &y, &[]).unwrap_err() {
        QuantError::Strict {
            channel: 0,
            differing,
            ..
        } => assert_eq!(differing, listed),
        error => panic!("{error}"),
    }
    assert_eq!(fit, before);
}

/// At scale 1/2 every odd accumulator is a tie, broken up and down in turn: no affine staircase exists, half of the
/// ties are listed.
#[test]
fn ties_are_listed() {
    let y = output(0.5, 0, -128, 127);
    let fit = requantize(&y, &[(-300, 300)], &[]).unwrap();
    let (listed, channels) = fit.num_differing();
    assert_eq!(channels, 1);
    assert!((127..=128).contains(&listed), "{listed}");
}

#[test]
fn a_common_scale_is_exact() {
    let y = output(0.001_234_567, 3, -128, 127);
    let fit = requantize(&y, &[(-400_000, 400_000)], &[12_345]).unwrap();
    assert_eq!(fit.num_differing(), (0, 0));
    for acc in -400_000..=400_000 {
        check(&y, &fit, 12_345, acc);
    }
}

#[test]
fn a_constant_channel_has_multiplier_zero() {
    let y = output(1e-9, 7, -128, 127);
    let fit = requantize(&y, &[(-1_000_000, 1_000_000)], &[2_147_283_544]).unwrap();
    assert_eq!(fit.channels[0].affine.m, 0);
    assert_eq!(fit.apply(0, -1_000_000), 9);
    assert_eq!(fit.excess_bound(), 0);
    // Beyond int32 the runtime's accumulator means nothing.
    assert_eq!(
        fit.channels[0].runtime(i64::from(i32::MAX) - 2_147_283_544),
        Runtime::Equal
    );
    assert_eq!(
        fit.channels[0].runtime(i64::from(i32::MAX) - 2_147_283_543),
        Runtime::Overflow
    );
}

#[test]
fn fits_are_the_same_each_time() {
    let y = OutputQuant {
        scales: (1..200).map(|i| 1.0 / (i as f32 * 37.7)).collect(),
        ..output(1.0, -5, -128, 127)
    };
    let reachable = vec![(-123_456, 98_765); 199];
    assert_eq!(
        requantize(&y, &reachable, &[]).unwrap(),
        requantize(&y, &reachable, &[]).unwrap()
    );
}

#[test]
fn wrong_parameters_are_refused() {
    let range = [(-10i64, 10i64)];
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = requantize(&output(scale, 0, 0, 255), &range, &[]).unwrap_err();
        assert!(matches!(error, QuantError::Scale { .. }));
    }
    let error = requantize(&output(1.0, 0, 5, 5), &range, &[]).unwrap_err();
    assert!(matches!(error, QuantError::Clamp { .. }));
    let error = requantize(&output(1.0, i32::MIN, 0, 255), &range, &[]).unwrap_err();
    assert!(matches!(error, QuantError::ZeroPoint { .. }));
    let error = requantize(&output(1.0, 0, 0, 255), &range, &[1, 2]).unwrap_err();
    assert!(matches!(error, QuantError::Channels { .. }));
    let error = requantize(&output(1.0, 0, 0, 255), &range, &[1 << 31]).unwrap_err();
    assert!(matches!(error, QuantError::Bias { .. }));
    let error = requantize(&output(3e38, 0, 0, 255), &range, &[]).unwrap_err();
    assert!(matches!(
        error,
        QuantError::Magnitude { .. } | QuantError::NoMultiplier { .. }
    ));
}

fn validate(channel: ChannelRequantize) -> Result<(), QuantError> {
    Requantize {
        channels: vec![channel],
        lo: -128,
        hi: 127,
    }
    .validate(1, DType::I8)
}

fn good() -> ChannelRequantize {
    ChannelRequantize {
        affine: Affine { m: 5, b: 100, d1: 3 },
        corrections: vec![Correction { from: 2, add: -4 }],
        differing: vec![],
        reachable: (-9, 9),
        fitted: (-9, 9),
    }
}

#[test]
fn malformed_integers_are_refused() {
    assert_eq!(validate(good()), Ok(()));
    let affine = good().affine;
    for affine in [
        Affine { d1: 0, ..affine },
        Affine { d1: 4096, ..affine },
        Affine { m: -1, ..affine },
        Affine {
            m: i64::MAX,
            ..affine
        },
        Affine {
            b: i64::MIN,
            ..affine
        },
        Affine { b: 1 << 62, ..affine },
    ] {
        assert!(validate(ChannelRequantize { affine, ..good() }).is_err());
    }
    let reachable = (i64::MIN, i64::MAX);
    assert!(validate(ChannelRequantize { reachable, ..good() }).is_err());
    let fitted = (-10, 9);
    assert!(validate(ChannelRequantize { fitted, ..good() }).is_err());
    let requantize = Requantize {
        channels: vec![good()],
        lo: -128,
        hi: 127,
    };
    assert!(requantize.validate(2, DType::I8).is_err());
    assert!(requantize.validate(1, DType::U8).is_err());
}

#[test]
fn malformed_corrections_are_refused() {
    let at = |from, add| Correction { from, add };
    for corrections in [
        vec![at(2, 1), at(2, 1)],
        vec![at(3, 1), at(2, 1)],
        vec![at(-10, 1)],
        vec![at(10, 1)],
        vec![at(0, i64::MAX)],
        vec![at(0, i64::MIN)],
    ] {
        let refused = validate(ChannelRequantize {
            corrections,
            ..good()
        });
        assert!(refused.is_err());
    }
    let far = ChannelRequantize {
        reachable: (-9, 1 << 24),
        ..good()
    };
    assert!(validate(far).is_err());
}
