//! A small circuit over the public tensors: `y_i = x_i + 1`, with a random linear combination and its square
//! in a second phase. (halo2-axiom 0.5.3 cannot prove a circuit with three: its prover panics after the third.)

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, Region, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{
        Advice, Challenge, Circuit, Column, ConstraintSystem, Error, FirstPhase, Fixed, SecondPhase, Selector,
    },
    poly::Rotation,
};
use serde::{Deserialize, Serialize};

/// What can be wrong with circuit parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// Number of values out of range.
    #[error("{values} public values are not supported; use 1 to 4096")]
    Values {
        /// The number.
        values: u32,
    },
}

/// Parameters of the circuit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CircuitParams {
    /// Number of input values.
    pub values: u32,
    /// Adds a lookup argument.
    pub lookup: bool,
    /// Further columns, in the permutation argument.
    pub extra: u32,
}

impl CircuitParams {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ParamsError::Values`].
    pub fn validate(&self) -> Result<(), ParamsError> {
        if self.values == 0 || self.values > 4096 || self.extra > 64 {
            return Err(ParamsError::Values { values: self.values });
        }
        Ok(())
    }
}

/// Columns.
#[derive(Debug, Clone)]
pub struct Config {
    a: Column<Advice>,
    r: Column<Advice>,
    s: Column<Advice>,
    extra: Vec<Column<Advice>>,
    on: Column<Fixed>,
    table: Option<Column<Fixed>>,
    step: Selector,
    square: Selector,
    c: Challenge,
    d: Challenge,
}

/// The circuit with its input.
#[derive(Debug, Clone, Default)]
pub struct InferenceCircuit {
    /// Parameters.
    pub params: CircuitParams,
    /// Input values, empty without a witness.
    pub x: Vec<i32>,
}

fn fr(v: i32) -> Fr {
    let magnitude = Fr::from(u64::from(v.unsigned_abs()));
    if v < 0 { -magnitude } else { magnitude }
}

impl Circuit<Fr> for InferenceCircuit {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = CircuitParams;

    fn without_witnesses(&self) -> Self {
        Self {
            params: self.params.clone(),
            x: Vec::new(),
        }
    }

    fn params(&self) -> CircuitParams {
        self.params.clone()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Config {
        Self::configure_with_params(meta, CircuitParams::default())
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, params: CircuitParams) -> Config {
        let a = meta.advice_column_in(FirstPhase);
        let extra: Vec<_> = (0..params.extra)
            .map(|_| meta.advice_column_in(FirstPhase))
            .collect();
        let c = meta.challenge_usable_after(FirstPhase);
        let r = meta.advice_column_in(SecondPhase);
        let d = meta.challenge_usable_after(FirstPhase);
        let s = meta.advice_column_in(SecondPhase);
        let on = meta.fixed_column();
        let instance = meta.instance_column();
        let step = meta.selector();
        let square = meta.selector();
        for column in [a, r, s].into_iter().chain(extra.iter().copied()) {
            meta.enable_equality(column);
        }
        let n = i32::try_from(params.values).unwrap_or(i32::MAX);
        meta.create_gate("public", |meta| {
            let on = meta.query_fixed(on, Rotation::cur());
            vec![
                on * (meta.query_advice(a, Rotation::cur()) - meta.query_instance(instance, Rotation::cur())),
            ]
        });
        meta.create_gate("step", |meta| {
            let q = meta.query_selector(step);
            let one = halo2_proofs::plonk::Expression::Constant(Fr::ONE);
            let (x, y) = (
                meta.query_advice(a, Rotation::cur()),
                meta.query_advice(a, Rotation(n)),
            );
            let (h, h_next) = (
                meta.query_advice(r, Rotation::cur()),
                meta.query_advice(r, Rotation::next()),
            );
            vec![
                q.clone() * (y - x.clone() - one),
                q * (h_next - h * meta.query_challenge(c) - x),
            ]
        });
        meta.create_gate("square", |meta| {
            let q = meta.query_selector(square);
            let h = meta.query_advice(r, Rotation::cur());
            let t = h.clone() * h * meta.query_challenge(d);
            let u = meta.query_advice(s, Rotation::cur());
            let v = u.clone() * u.clone() * u.clone();
            vec![q.clone() * (u - t), q * (v.clone() - v)]
        });
        let table = params.lookup.then(|| {
            let table = meta.fixed_column();
            meta.lookup_any("bytes", |meta| {
                let on = meta.query_fixed(on, Rotation::cur());
                let offset = halo2_proofs::plonk::Expression::Constant(Fr::from(200));
                let e = on * (meta.query_advice(a, Rotation::cur()) + offset);
                vec![(e, meta.query_fixed(table, Rotation::cur()))]
            });
            table
        });
        Config {
            a,
            r,
            s,
            extra,
            on,
            table,
            step,
            square,
            c,
            d,
        }
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_region(|| "all", |mut region| self.fill(&config, &mut region))
    }
}

impl InferenceCircuit {
    fn fill(&self, config: &Config, region: &mut Region<'_, Fr>) -> Result<(), Error> {
        let n = usize::try_from(self.params.values).map_err(|_| Error::Synthesis)?;
        let x = |i: usize| self.x.get(i).map_or(Value::unknown(), |v| Value::known(fr(*v)));
        for i in 0..n {
            region.assign_fixed(config.on, i, Fr::ONE);
            region.assign_fixed(config.on, n + i, Fr::ONE);
            config.step.enable(region, i)?;
            region.assign_advice(config.a, i, x(i));
            region.assign_advice(config.a, n + i, x(i).map(|v| v + Fr::ONE));
        }
        config.square.enable(region, n)?;
        for (i, column) in config.extra.iter().enumerate() {
            let left = region.assign_advice(*column, 0, x(i % n));
            let right = region.assign_advice(*column, 1, x(i % n));
            region.constrain_equal(left.cell(), right.cell());
        }
        if let Some(table) = config.table {
            for i in 0..512u32 {
                region.assign_fixed(
                    table,
                    usize::try_from(i).map_err(|_| Error::Synthesis)?,
                    Fr::from(u64::from(i)),
                );
            }
        }
        region.next_phase();
        let c = region.get_challenge(config.c);
        let mut h = Value::known(Fr::ZERO);
        region.assign_advice(config.r, 0, h);
        for i in 0..n {
            h = h.zip(c).zip(x(i)).map(|((h, c), x)| h * c + x);
            region.assign_advice(config.r, i + 1, h);
        }
        let t = h.zip(region.get_challenge(config.d)).map(|(h, d)| h * h * d);
        region.assign_advice(config.s, n, t);
        Ok(())
    }
}
