//! The table on a terminal, until a key ends it.

use std::collections::{HashMap, HashSet};
use std::io::{self, Stdout, Write as _};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{self, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, queue};

use super::choice::{By, Whose};
use super::rows::{rows, Row, Unit};
use super::show::table;
use super::sources::Sources;
use crate::output::visible;

/// How soon a key or a new page shows.
const FRAME: Duration = Duration::from_millis(100);

/// What is on the screen.
struct View {
    by: By,
    whose: Whose,
    sources: Sources,
    /// The last durations of each row: Envoy publishes histograms only at a flush, so
    /// that an interval may pass without any.
    durations: HashMap<Vec<(&'static str, String)>, Row>,
    /// First row shown.
    scroll: usize,
}

/// A terminal as it was before, whatever ends the program.
struct Screen {
    out: Stdout,
}

/// Shows the table until `q` or Ctrl-C.
///
/// # Errors
/// The terminal cannot be read or written.
pub(crate) fn run(sources: Sources, by: By, whose: Whose, interval: Duration) -> Result<()> {
    let pages = poll(sources.clone(), interval);
    let mut view = View { by, whose, sources, durations: HashMap::new(), scroll: 0 };
    let mut screen = Screen::enter().context("cannot use the terminal")?;
    let mut drawn = None;
    loop {
        let news = pages.try_iter().last();
        let is_new = news.is_some();
        if let Some(sources) = news {
            view.sources = sources;
        }
        let size = terminal::size()?;
        if is_new || drawn != Some(size) {
            screen.draw(&view.lines(interval, size), size)?;
            drawn = Some(size);
        }
        if event::poll(FRAME)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Release => {}
                Event::Key(key) if is_end(&key) => return Ok(()),
                Event::Key(key) => {
                    view.press(key.code);
                    drawn = None;
                }
                _ => drawn = None,
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

// === impl View ===

impl View {
    fn press(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('b') => self.by = self.by.next(),
            KeyCode::Char('r') => self.whose = self.whose.next(),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            _ => {}
        }
    }

    /// The screen's lines, and which of them is the table's head.
    fn lines(&mut self, interval: Duration, (_, height): (u16, u16)) -> Vec<String> {
        let unit = self.sources.unit();
        let mut rows = rows(&self.sources.flows(), self.by, self.whose, unit);
        self.keep_durations(&mut rows);
        let what = match unit {
            Unit::Total => "totals since start",
            Unit::PerSecond => "per second",
        };
        let mut lines = vec![
            format!(
                "istio-stats top: {what}, every {} s; by {:?}, reporter {:?}",
                interval.as_secs_f64(),
                self.by,
                self.whose
            )
            .to_lowercase(),
            "q quits, b by cluster, service, workload, r reporter, arrows scroll".to_owned(),
        ];
        lines.extend(self.sources.errors());
        lines.extend(self.sources.notes(rows.is_empty()));
        if rows.is_empty() {
            return lines;
        }
        lines.push(String::new());
        let table = table(&rows, self.by, unit);
        let (head, body) = table.split_at_checked(2).unwrap_or((&table, &[]));
        lines.extend_from_slice(head);
        let room = usize::from(height).saturating_sub(lines.len()).saturating_sub(1).max(1);
        self.scroll = self.scroll.min(body.len().saturating_sub(room));
        lines.extend(body.iter().skip(self.scroll).take(room).cloned());
        let below = body.len().saturating_sub(self.scroll).saturating_sub(room);
        if below > 0 {
            lines.push(format!("… {below} more"));
        }
        lines
    }

    /// Rows whose requests went on, but whose histogram was not published since, keep
    /// their durations.
    fn keep_durations(&mut self, rows: &mut [Row]) {
        // Rows that are gone would pile up.
        let shown: HashSet<_> = rows.iter().map(|row| &row.labels).collect();
        self.durations.retain(|labels, _| shown.contains(labels));
        for row in rows {
            let Some(http) = &mut row.http else {
                continue;
            };
            if http.duration_ms.quantile(0.5).is_some() {
                self.durations.insert(row.labels.clone(), row.clone());
            } else if http.requests > 0.0 {
                if let Some(known) = self.durations.get(&row.labels).and_then(|row| row.http.as_ref()) {
                    http.duration_ms = known.duration_ms.clone();
                }
            }
        }
    }
}

// === impl Screen ===

impl Screen {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut screen = Self { out: io::stdout() };
        queue!(screen.out, EnterAlternateScreen, cursor::Hide)?;
        screen.out.flush()?;
        Ok(screen)
    }

    /// Every line cut to the width.
    fn draw(&mut self, lines: &[String], (width, height): (u16, u16)) -> io::Result<()> {
        for (number, line) in (0..height).zip(lines) {
            let text: String = visible(line).chars().take(usize::from(width)).collect();
            queue!(self.out, cursor::MoveTo(0, number), terminal::Clear(ClearType::CurrentLine))?;
            if number == 0 {
                queue!(self.out, SetAttribute(Attribute::Bold))?;
            }
            self.out.write_all(text.as_bytes())?;
            queue!(self.out, SetAttribute(Attribute::Reset))?;
        }
        let end = u16::try_from(lines.len()).unwrap_or(height);
        if end < height {
            queue!(self.out, cursor::MoveTo(0, end), terminal::Clear(ClearType::FromCursorDown))?;
        }
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = queue!(self.out, LeaveAlternateScreen, cursor::Show);
        let _ = self.out.flush();
        let _ = terminal::disable_raw_mode();
    }
}
