//! A spinner on stderr while something takes long, and the clocks.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Ticks per second in `/proc/self/stat`.
const TICKS: f64 = 100.0;

/// Shows `message` until the guard is dropped. Silent when stderr is no terminal.
#[must_use = "the spinner stops when this is dropped"]
pub struct Progress(ProgressBar);

impl Progress {
    pub fn start(message: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Processor milliseconds that this process has used, where the system says so.
pub fn cpu_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) * 1e3 / TICKS)
}
