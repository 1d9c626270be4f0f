//! The table on a terminal, until a key ends it.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;

use super::choice::{By, Whose};
use super::screen::draw;
use super::sources::Sources;
use super::view::View;

/// How soon a key or a new page shows.
const FRAME: Duration = Duration::from_millis(100);

/// A terminal that is afterwards as it was before, whatever ends the program.
struct Screen(DefaultTerminal);

/// Shows the table until `q` or Ctrl-C.
///
/// # Errors
/// The terminal cannot be read or written.
pub(crate) fn run(sources: Sources, by: By, whose: Whose, interval: Duration) -> Result<()> {
    let pages = poll(sources.clone(), interval);
    let mut view = View::new(sources, by, whose, interval);
    let mut screen = Screen(ratatui::try_init().context("cannot use the terminal")?);
    let mut is_drawn = false;
    loop {
        if let Some(sources) = pages.try_iter().last() {
            view.read(sources);
            is_drawn = false;
        }
        if !is_drawn {
            screen.0.draw(|frame| draw(frame, &mut view))?;
            is_drawn = true;
        }
        if event::poll(FRAME)? {
            is_drawn = false;
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Release => {}
                Event::Key(key) if is_end(&key) => return Ok(()),
                Event::Key(key) => view.press(key.code),
                _ => {}
            }
        }
    }
}

/// Reads in a thread of its own, so that keys count while an endpoint is slow.
fn poll(mut sources: Sources, interval: Duration) -> Receiver<Sources> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || loop {
        let next = Instant::now().checked_add(interval);
        sources.read();
        if sender.send(sources.clone()).is_err() {
            return;
        }
        thread::sleep(next.map(|next| next.saturating_duration_since(Instant::now())).unwrap_or(interval));
    });
    receiver
}

/// Raw mode hands Ctrl-C over as a key.
fn is_end(key: &KeyEvent) -> bool {
    let interrupts = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    interrupts || key.code == KeyCode::Char('q')
}

// === impl Screen ===

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
