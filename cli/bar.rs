//! The progress bar: the figures of the log, drawn where a person looks. On a terminal only; elsewhere, if
//! asked for, a plain line each time.

use std::io::{self, IsTerminal, Write};

use barman_recover::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Show;

/// Where figures go beside the log.
pub enum Bar {
    Nowhere,
    Lines,
    Terminal(ProgressBar),
}

impl Bar {
    pub fn new(show: Show) -> Bar {
        match (show, io::stderr().is_terminal()) {
            (Show::Never, _) | (Show::Auto, false) => Bar::Nowhere,
            (Show::Always, false) => Bar::Lines,
            (_, true) => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or(ProgressStyle::default_bar()));
                Bar::Terminal(bar)
            }
        }
    }

    pub fn show(&self, progress: &Progress) {
        match self {
            Bar::Nowhere => {}
            Bar::Lines => {
                let _ = writeln!(io::stderr(), "{progress}"); // a closed pipe must not end a restore
            }
            Bar::Terminal(bar) => {
                // A bar needs an end; without one the figures alone.
                if let Some(total) = progress.total.filter(|total| *total > 0) {
                    bar.set_length(total);
                    if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/blue} {msg}") {
                        bar.set_style(style.progress_chars("=> "));
                    }
                }
                bar.set_position(progress.total.map_or(progress.bytes, |total| progress.bytes.min(total)));
                bar.set_message(progress.to_string());
                bar.tick();
            }
        }
    }

    /// Writes something else to the terminal, above the bar.
    pub fn above(&self, write: impl FnOnce()) {
        match self {
            Bar::Terminal(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    /// Takes the bar away: what follows is the end.
    pub fn clear(&self) {
        if let Bar::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}
