//! The progress bar: the figures of the log, drawn on the terminal.

use std::io::{self, IsTerminal};

use barman_recover::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Logging;

/// Whether someone watches: somebody who asked for progress, or who sees a bar.
pub fn is_watched(logging: &Logging) -> bool {
    logging.progress.unwrap_or_else(|| can_draw(logging))
}

/// Whether standard error is a terminal, and no bar would come between the lines of a JSON log.
fn can_draw(logging: &Logging) -> bool {
    let is_json = logging.json && (logging.stderr || logging.file.is_none());
    !is_json && io::stderr().is_terminal()
}

/// A bar on standard error, if that is a terminal.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    pub fn new(logging: &Logging) -> Bar {
        let is_wanted = logging.progress != Some(false) && can_draw(logging);
        let bar = || ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        Bar(is_wanted.then(|| bar().with_style(style("{msg}"))))
    }

    /// Returns whether there is one.
    pub fn show(&self, progress: &Progress) -> bool {
        let Some(bar) = &self.0 else { return false };
        // A bar needs a total; without one, show only the figures.
        let share = progress.percent();
        bar.set_style(style(if share.is_some() { "{bar:30.cyan/blue} {msg}" } else { "{msg}" }));
        bar.set_position(share.unwrap_or_default());
        bar.set_message(progress.to_string());
        bar.tick();
        true
    }

    /// Writes something else to the terminal, above the bar.
    pub fn above(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Removes the bar, because the last lines follow.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()).progress_chars("=> ")
}
