//! A spinner on stderr while something takes long.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

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
