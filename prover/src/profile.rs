//! Where the prover's time goes.

use serde::Serialize;
use std::time::Instant;

/// Time spent in one stage, summed over its visits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stage {
    /// Name.
    pub name: &'static str,
    /// Milliseconds on the wall.
    pub ms: f64,
    /// Processor milliseconds of the whole process, where the system says so.
    pub cpu_ms: Option<f64>,
}

/// What one proof took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Stages in the order of their first visit.
    pub stages: Vec<Stage>,
    /// Polynomials that were transformed to each coset.
    pub columns_transformed: usize,
    /// Field products per row of a coset in the constraints.
    pub products_per_row: usize,
}

impl Profile {
    /// Runs `work` as a part of the stage.
    pub fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let (started, cpu) = (Instant::now(), cpu_ms());
        let made = work();
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let cpu_ms = cpu_ms().zip(cpu).map(|(after, before)| after - before);
        match self.stages.iter_mut().find(|s| s.name == name) {
            Some(stage) => {
                stage.ms += ms;
                stage.cpu_ms = stage.cpu_ms.zip(cpu_ms).map(|(a, b)| a + b);
            }
            None => self.stages.push(Stage { name, ms, cpu_ms }),
        }
        made
    }
}

/// Processor milliseconds that this process has used, where the system says so.
#[must_use]
pub fn cpu_ms() -> Option<f64> {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let now = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = std::time::Duration::try_from(now).ok()?;
        Some(seconds.as_secs_f64() * 1e3)
    }
    #[cfg(not(unix))]
    None
}

/// Largest resident set of this process so far, in bytes, where the system says so.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_of_a_stage_are_summed() {
        let mut profile = Profile::default();
        for name in ["a", "b", "a"] {
            profile.time(name, || std::thread::sleep(std::time::Duration::from_millis(2)));
        }
        let names: Vec<&str> = profile.stages.iter().map(|s| s.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(profile.stages[0].ms >= 4.0 && profile.stages[1].ms >= 2.0);
    }

    #[test]
    fn work_takes_processor_time() {
        let Some(before) = cpu_ms() else { return };
        let mut x = 1u64;
        while cpu_ms().unwrap() < before + 5.0 {
            x = x.wrapping_mul(6_364_136_223_846_793_005);
        }
        assert_ne!(x, 0);
    }
}
