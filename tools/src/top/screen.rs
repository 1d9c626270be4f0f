//! The view on a terminal.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Row as Cells, Sparkline, Table};
use ratatui::Frame;

use super::history::Past;
use super::rows::{Row, Unit};
use super::show::{columns, rate, Column};
use super::view::View;
use crate::output::visible;

/// Readings beside a row; its details have as many as there is room for.
const TREND: usize = 12;
/// Rows of the screen that details take: borders, and labels below each other.
const DETAILS: u16 = 10;
/// Between columns.
const SPACING: u16 = 2;
/// A name is not cut to less.
const LEAST_NAME: usize = 8;
/// None is full, so that rows do not grow together.
const LEVELS: [&str; 8] = [
    " ",
    bar::ONE_EIGHTH,
    bar::ONE_QUARTER,
    bar::THREE_EIGHTHS,
    bar::HALF,
    bar::FIVE_EIGHTHS,
    bar::THREE_QUARTERS,
    bar::SEVEN_EIGHTHS,
];

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let head = head(view);
    let lines = u16::try_from(head.len()).unwrap_or(u16::MAX);
    let details = if view.details { DETAILS } else { 0 };
    let parts = [Constraint::Length(lines), Constraint::Fill(1), Constraint::Length(details)];
    let [above, table, below] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(ratatui::text::Text::from(head), above);
    if view.rows.is_empty() {
        return;
    }
    frame.render_stateful_widget(self::table(view, usize::from(table.width)), table, &mut view.table);
    if let Some(row) = view.selected().filter(|_| view.details) {
        draw_details(frame, below, row, view);
    }
}

/// What is shown, what can be done, what went wrong.
fn head(view: &View) -> Vec<Line<'static>> {
    let what = match view.unit {
        Unit::Total => "totals since start",
        Unit::PerSecond => "per second",
    };
    let title = format!(
        "istio-stats top: {what}, every {} s; by {:?}, reporter {:?}, order {:?}",
        view.interval.as_secs_f64(),
        view.by,
        view.whose,
        view.order
    );
    let keys = "q quits, b by cluster, service, workload, r reporter, s order, arrows choose, Enter details";
    let title = Line::styled(title.to_lowercase(), Style::new().bold());
    let mut lines = vec![title, Line::from(keys)];
    let errors = view.sources.errors().into_iter().map(|line| Line::styled(visible(&line), Color::Red));
    lines.extend(errors);
    lines.extend(view.sources.notes(view.rows.is_empty()).iter().map(|line| Line::from(visible(line))));
    lines.push(Line::default());
    lines
}

fn table(view: &View, room: usize) -> Table<'static> {
    let mut columns = columns(&view.rows, view.by, view.unit);
    if view.unit == Unit::PerSecond {
        columns.push(trend(view, "rate", |past| past.rates.iter()));
        columns.push(trend(view, "p99", |past| past.p99_ms.iter()));
    }
    let widths = fit(&mut columns, room);
    let aligned = |column: &Column, text: &str| {
        let line = Line::from(text.to_owned());
        Cell::from(if column.is_number { line.right_aligned() } else { line })
    };
    let head = Cells::new(columns.iter().map(|column| aligned(column, &column.title)));
    let cells = |(index, row): (usize, &Row)| {
        let cell = |column: &Column| {
            let cell = aligned(column, column.cells.get(index).map_or("", String::as_str));
            match column.title.as_str() {
                "success" => cell.style(success(row)),
                title if is_trend(title) => cell.style(Color::Cyan),
                _ => cell,
            }
        };
        Cells::new(columns.iter().map(cell).collect::<Vec<_>>())
    };
    Table::new(view.rows.iter().enumerate().map(cells), widths)
        .header(head.style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)))
        .column_spacing(SPACING)
        .row_highlight_style(Style::new().fg(Color::White).bg(Color::DarkGray))
}

/// Where there is too little room trends go first, then names are cut, numbers never.
fn fit(columns: &mut Vec<Column>, room: usize) -> Vec<Constraint> {
    let spacing = usize::from(SPACING);
    let taken = |widths: &[usize]| widths.iter().map(|width| width.saturating_add(spacing)).sum::<usize>();
    let mut widths: Vec<_> = columns.iter().map(Column::width).collect();
    let room = room.saturating_add(spacing);
    while taken(&widths) > room && columns.pop_if(|column| is_trend(&column.title)).is_some() {
        widths.pop();
    }
    while taken(&widths) > room {
        let names = widths.iter_mut().zip(&*columns).filter(|(_, column)| !column.is_number);
        match names.map(|(width, _)| width).max() {
            Some(width) if *width > LEAST_NAME => *width = width.saturating_sub(1),
            _ => break,
        }
    }
    widths.into_iter().map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))).collect()
}

/// By its title, which is as wide as its bars.
fn is_trend(title: &str) -> bool {
    title.len() == TREND && title.ends_with(' ')
}

/// A column of the last readings.
fn trend<'a, I>(view: &'a View, title: &str, values: impl Fn(&'a Past) -> I) -> Column
where
    I: DoubleEndedIterator<Item = &'a f64> + ExactSizeIterator + Clone,
{
    let cell = |row: &Row| view.history.of(row).map(|past| bars(values(past))).unwrap_or_default();
    let cells = view.rows.iter().map(cell).collect();
    Column { title: format!("{title:<TREND$}"), is_number: false, cells }
}

/// A bar for each value, the highest of which is the longest there is.
fn bars<'a>(values: impl DoubleEndedIterator<Item = &'a f64> + ExactSizeIterator + Clone) -> String {
    let values = values.clone().skip(values.len().saturating_sub(TREND));
    let most = values.clone().copied().fold(0.0, f64::max);
    // The level above, so that little is more than nothing.
    let level = |value: &f64| (0u8..).zip(LEVELS).find(|(level, _)| f64::from(*level) * most >= value * 7.0);
    values.filter_map(|value| level(value).map(|(_, bar)| bar)).collect()
}

/// As the page of `istio-stats ui` colours errors.
fn success(row: &Row) -> Style {
    match row.success_ratio() {
        Some(ratio) if ratio < 0.95 => Style::new().fg(Color::Red).bold(),
        Some(ratio) if ratio < 1.0 => Style::new().fg(Color::Yellow),
        _ => Style::new().fg(Color::Green),
    }
}

/// Labels of the row on the left, how it went on the right.
fn draw_details(frame: &mut Frame<'_>, area: Rect, row: &Row, view: &View) {
    let [left, right] = Layout::horizontal([Constraint::Percentage(40), Constraint::Fill(1)]).areas(area);
    let label = |(name, value): &(&'static str, String)| {
        let name = Span::styled(format!("{name} "), Color::Cyan);
        Line::from(vec![name, Span::from(visible(value))])
    };
    let labels: Vec<_> = row.labels.iter().map(label).collect();
    let block = Block::new().borders(Borders::TOP).title(" labels ");
    frame.render_widget(ratatui::widgets::Paragraph::new(labels).block(block), left);

    let Some(past) = view.history.of(row) else { return };
    let [upper, lower] = Layout::vertical([Constraint::Fill(1); 2]).areas(right);
    let pace = if row.http.is_some() { "requests per second" } else { "bytes per second" };
    draw_past(frame, upper, pace, past.rates.iter(), Color::Green);
    draw_past(frame, lower, "p99 in milliseconds", past.p99_ms.iter(), Color::Yellow);
}

fn draw_past<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    what: &str,
    values: impl DoubleEndedIterator<Item = &'a f64> + ExactSizeIterator + Clone,
    colour: Color,
) {
    let room = usize::from(area.width);
    let shown = values.clone().skip(values.len().saturating_sub(room));
    let most = shown.clone().copied().fold(0.0, f64::max);
    let now = values.clone().next_back().copied().unwrap_or_default();
    let title = format!(" {what}: {}, at most {} ", rate(now), rate(most));
    // Whole numbers are drawn: thousandths of the highest. (A cast of no number is 0.)
    let data = shown.map(|value| if most > 0.0 { (value / most * 1000.0) as u64 } else { 0 });
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Sparkline::default().block(block).data(data).style(colour), area);
}

#[cfg(test)]
mod tests;
