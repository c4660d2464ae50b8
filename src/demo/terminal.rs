//! The terminal: how large it is, keys without Enter, and a frame that is drawn over the one before.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::frame::Line;

/// Standard output, as one that can be drawn on.
pub(super) struct Terminal {
    /// How its input was set, where we changed that.
    before: Option<Termios>,
    /// How many lines the last frame has.
    drawn: usize,
    colours: bool,
}

/// Columns and rows.
pub(super) type Size = (usize, usize);

impl Terminal {
    /// Takes the terminal, if output is one that understands cursor movements.
    pub(super) fn take() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        if is_dumb || !io::stdout().is_terminal() {
            return None;
        }
        // NO_COLOR: https://no-color.org
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Some(Self { before: key_by_key(), drawn: 0, colours })
    }

    /// Keys as they are pressed, where the input is a terminal too.
    pub(super) fn keys(&self) -> Option<mpsc::Receiver<u8>> {
        self.before.as_ref()?;
        let (pressed, keys) = mpsc::channel(16);
        // It ends with the process: a read from a terminal cannot be called off.
        std::thread::spawn(move || {
            for key in io::stdin().lock().bytes().map_while(Result::ok) {
                if pressed.blocking_send(key).is_err() {
                    return;
                }
            }
        });
        Some(keys)
    }

    /// How large it is; as large as they usually are, where it does not say.
    pub(super) fn size() -> Size {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    /// Draws a frame over the one before.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn draw(&mut self, lines: &[Line], width: usize) -> io::Result<()> {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        text.push('\r');
        for line in lines {
            text.push_str(&line.show(width, self.colours));
            // What the line before left to the right.
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // If that fails, the terminal is gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Hands over keys at once and does not echo them; ^C and ^Z keep their meaning. Returns how it was.
fn key_by_key() -> Option<Termios> {
    let input = io::stdin();
    if !input.is_terminal() {
        return None;
    }
    let before = tcgetattr(&input).ok()?;
    let mut after = before.clone();
    after.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    tcsetattr(&input, OptionalActions::Drain, &after).ok()?;
    Some(before)
}
