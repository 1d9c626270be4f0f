//! What is on the screen, and what keys make of it.

use std::time::Duration;

use ratatui::crossterm::event::KeyCode;
use ratatui::widgets::TableState;

use super::choice::{By, Whose};
use super::history::History;
use super::order::Order;
use super::rows::{rows, Row, Unit};
use super::sources::Sources;

/// Rows that a page key goes on.
const PAGE: u16 = 10;

/// All that is drawn.
pub(crate) struct View {
    pub(crate) by: By,
    pub(crate) whose: Whose,
    pub(crate) order: Order,
    pub(crate) interval: Duration,
    pub(crate) sources: Sources,
    pub(crate) history: History,
    pub(crate) unit: Unit,
    pub(crate) rows: Vec<Row>,
    /// Which row is chosen, and the first that is shown.
    pub(crate) table: TableState,
    /// Whether the chosen row's details are shown.
    pub(crate) details: bool,
}

// === impl View ===

impl View {
    pub(crate) fn new(sources: Sources, by: By, whose: Whose, interval: Duration) -> Self {
        let table = TableState::new().with_selected(0);
        let history = History::default();
        let (order, unit) = (Order::Requests, Unit::Total);
        Self { by, whose, order, interval, sources, history, unit, rows: Vec::new(), table, details: false }
    }

    pub(crate) fn selected(&self) -> Option<&Row> {
        self.rows.get(self.table.selected()?)
    }

    /// Shows a new reading.
    pub(crate) fn read(&mut self, sources: Sources) {
        self.sources = sources;
        self.unit = self.sources.unit();
        if self.unit == Unit::PerSecond {
            let flows = self.sources.flows();
            // Of every level, so that a key to another finds it.
            let all: Vec<_> =
                By::ALL.into_iter().flat_map(|by| rows(&flows, by, self.whose, self.unit)).collect();
            self.history.note(&all);
        }
        self.refresh();
    }

    pub(crate) fn press(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('b') => self.by = self.by.next(),
            KeyCode::Char('r') => {
                self.whose = self.whose.next();
                // Other reports are another history.
                self.history = History::default();
            }
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Enter => self.details = !self.details,
            KeyCode::Esc => self.details = false,
            key => return self.choose(key),
        }
        self.refresh();
    }

    fn choose(&mut self, key: KeyCode) {
        match key {
            KeyCode::Down | KeyCode::Char('j') => self.table.scroll_down_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.table.scroll_up_by(1),
            KeyCode::PageDown => self.table.scroll_down_by(PAGE),
            KeyCode::PageUp => self.table.scroll_up_by(PAGE),
            KeyCode::Home => self.table.select_first(),
            KeyCode::End => self.table.select_last(),
            _ => {}
        }
    }

    /// The chosen row stays chosen, wherever it goes.
    fn refresh(&mut self) {
        let chosen = self.selected().map(|row| row.labels.clone());
        let mut rows = rows(&self.sources.flows(), self.by, self.whose, self.unit);
        self.history.keep_durations(&mut rows);
        self.order.sort(&mut rows);
        let place = chosen.and_then(|labels| rows.iter().position(|row| row.labels == labels));
        self.table.select(Some(place.unwrap_or_default()));
        self.rows = rows;
    }
}
