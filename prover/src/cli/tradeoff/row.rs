//! One plan of the sweep, and how it is written.

use inferproof_circuits::plan::{Optimize, Plan, Rates};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// What one proof took, as `prove --json` says.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Measured {
    pub prove_cpu_ms: f64,
    pub process_cpu_ms: f64,
    pub prove_ms: f64,
    pub verify_ms: f64,
    pub peak_bytes: u64,
    pub proof_bytes: u64,
    pub pk_bytes: u64,
    pub vk_bytes: u64,
}

/// One plan of the sweep.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Inferences in one proof.
    pub batch: usize,
    pub k: u32,
    pub lanes: u32,
    pub limb_split: u32,
    pub goal: Optimize,
    pub proof_bytes: u64,
    pub pk_bytes: u64,
    pub cpu_ms: f64,
    pub peak_bytes: u64,
    pub measured: Option<Measured>,
    /// The plan that `prove` takes when nothing is said.
    pub chosen: bool,
    /// No other plan of the sweep has both a smaller proof and a faster prover.
    pub on_front: bool,
}

impl Row {
    pub(super) fn new(plan: &Plan, goal: Optimize, rates: &Rates) -> Self {
        let estimate = plan.work().predict(rates);
        Self {
            batch: plan.batch,
            k: plan.k,
            lanes: plan.params.lanes,
            limb_split: plan.params.limb_split,
            goal,
            proof_bytes: plan.cost.proof_bytes as u64,
            pk_bytes: estimate.pk_bytes,
            cpu_ms: estimate.cpu_ms,
            peak_bytes: estimate.peak_bytes,
            measured: None,
            chosen: false,
            on_front: false,
        }
    }

    /// Processor time, measured where it was.
    pub(super) fn time_ms(&self) -> f64 {
        self.measured.map_or(self.cpu_ms, |m| m.process_cpu_ms)
    }

    /// Largest resident set, measured where it was.
    pub(super) fn memory(&self) -> u64 {
        self.measured.map_or(self.peak_bytes, |m| m.peak_bytes)
    }

    /// Bytes of the proving key, measured where it was.
    pub(super) fn key_bytes(&self) -> u64 {
        self.measured.map_or(self.pk_bytes, |m| m.pk_bytes)
    }

    /// One inference's share of a figure of the proof.
    pub(super) fn share(&self, figure: f64) -> f64 {
        figure / f64::from(u32::try_from(self.batch.max(1)).unwrap_or(u32::MAX))
    }

    /// One inference's share of the proof's bytes.
    pub(super) fn byte_share(&self) -> f64 {
        self.share(f64::from(u32::try_from(self.proof_bytes).unwrap_or(u32::MAX)))
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "batch": self.batch,
            "k": self.k,
            "lanes": self.lanes,
            "limb_split": self.limb_split,
            "optimize": self.goal,
            "proof_bytes": self.proof_bytes,
            "estimate": {"cpu_ms": self.cpu_ms, "peak_bytes": self.peak_bytes, "pk_bytes": self.pk_bytes},
            "measured": self.measured.map(|m| json!({
                "process_cpu_ms": m.process_cpu_ms,
                "prove_cpu_ms": m.prove_cpu_ms,
                "prove_ms": m.prove_ms,
                "verify_ms": m.verify_ms,
                "peak_bytes": m.peak_bytes,
                "pk_bytes": m.pk_bytes,
                "vk_bytes": m.vk_bytes,
            })),
            "per_inference": {
                "proof_bytes": self.byte_share(),
                "cpu_ms": self.share(self.time_ms()),
                "verify_ms": self.measured.map(|m| self.share(m.verify_ms)),
            },
            "chosen": self.chosen,
            "on_front": self.on_front,
        })
    }

    pub(super) const CSV_HEADER: &'static str = "k,lanes,limb_split,optimize,proof_bytes,estimated_cpu_ms,estimated_peak_bytes,\
        estimated_pk_bytes,process_cpu_ms,prove_cpu_ms,prove_ms,verify_ms,peak_bytes,pk_bytes,vk_bytes,batch,proof_bytes_per_inference,\
        cpu_ms_per_inference,verify_ms_per_inference,chosen,on_front";

    pub(super) fn csv(&self) -> String {
        let goal = goal_name(self.goal);
        let Self {
            k, lanes, limb_split, ..
        } = self;
        let measured = self.measured.map_or_else(
            || ",,,,,,".to_owned(),
            |m| {
                format!(
                    "{:.1},{:.1},{:.1},{:.2},{},{},{}",
                    m.process_cpu_ms,
                    m.prove_cpu_ms,
                    m.prove_ms,
                    m.verify_ms,
                    m.peak_bytes,
                    m.pk_bytes,
                    m.vk_bytes
                )
            },
        );
        let verify = self.measured.map(|m| format!("{:.3}", self.share(m.verify_ms)));
        let shares = format!(
            "{},{:.1},{:.1},{}",
            self.batch,
            self.byte_share(),
            self.share(self.time_ms()),
            verify.unwrap_or_default()
        );
        format!(
            "{k},{lanes},{limb_split},{goal},{},{:.1},{},{},{measured},{shares},{},{}",
            self.proof_bytes, self.cpu_ms, self.peak_bytes, self.pk_bytes, self.chosen, self.on_front
        )
    }
}

/// The goal as `--optimize` takes it.
pub(super) fn goal_name(goal: Optimize) -> &'static str {
    match goal {
        Optimize::Time => "time",
        Optimize::Size => "size",
        Optimize::Memory => "memory",
        Optimize::Balanced => "balanced",
    }
}
