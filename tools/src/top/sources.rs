//! Reads all endpoints at once and keeps what was read before.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::measure::{flows, Counts, Flow, Measure, Reading};
use super::rows::Unit;
use crate::endpoint::Endpoint;
use crate::exposition::Page;
use crate::names;

/// All that are read together.
#[derive(Clone, Debug)]
pub(crate) struct Sources(Vec<Source>);

/// An endpoint and its last pages.
#[derive(Clone, Debug)]
struct Source {
    endpoint: Endpoint,
    /// Begins the metrics' names.
    prefix: String,
    /// Over which time rates are taken, as far as it has been read so long.
    span: Duration,
    /// What was counted before, the oldest first: with that rates are compared.
    before: VecDeque<Counts>,
    now: Option<Reading>,
    /// Why there is no newer page.
    error: Option<String>,
    /// What to do about a page without these metrics, if that is known.
    advice: Option<String>,
}

/// Instead of a table without rows.
const NO_ROWS: &str = "no Istio metrics yet; if there should be some: istio-stats doctor URL";

// === impl Sources ===

impl Sources {
    /// Endpoints whose metrics' names begin with this prefix. Rates are those between
    /// the last two readings.
    pub(crate) fn new(endpoints: impl IntoIterator<Item = Endpoint>, prefix: &str) -> Self {
        Self(endpoints.into_iter().map(|endpoint| Source::new(endpoint, prefix)).collect())
    }

    /// Rates are those over this time instead, as soon as that has passed.
    pub(crate) fn over(mut self, span: Duration) -> Self {
        for source in &mut self.0 {
            source.span = span;
        }
        self
    }

    /// Reads every endpoint, all at the same time.
    pub(crate) fn read(&mut self) {
        thread::scope(|scope| {
            for source in &mut self.0 {
                scope.spawn(|| source.read());
            }
        });
    }

    /// What all series did.
    pub(crate) fn flows(&self) -> Vec<Flow<'_>> {
        self.0.iter().flat_map(Source::flows).collect()
    }

    /// The same of each endpoint by itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, Vec<Flow<'_>>)> {
        self.0.iter().map(|source| (source.endpoint.url(), source.flows()))
    }

    /// Over which time rates are taken now; `None` until there are two readings.
    pub(crate) fn measured(&self) -> Option<Duration> {
        let of = |source: &Source| {
            Some(source.now.as_ref()?.at.saturating_duration_since(source.before.front()?.at))
        };
        self.0.iter().filter_map(of).max()
    }

    /// Totals until there is something to compare.
    pub(crate) fn unit(&self) -> Unit {
        if self.0.iter().any(|source| !source.before.is_empty()) {
            Unit::PerSecond
        } else {
            Unit::Total
        }
    }

    /// Who did not answer, and why.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.0.iter().filter_map(|source| source.error.clone()).collect()
    }

    /// What to know beside errors: why there is nothing, or not everything, to show.
    pub(crate) fn notes(&self, is_empty: bool) -> Vec<String> {
        let mut notes: Vec<_> = self.0.iter().filter_map(|source| source.advice.clone()).collect();
        if is_empty && notes.is_empty() && self.errors().is_empty() {
            notes.push(NO_ROWS.to_owned());
        }
        notes
    }
}

// === impl Source ===

impl Source {
    fn new(endpoint: Endpoint, prefix: &str) -> Self {
        Self {
            endpoint,
            prefix: prefix.to_owned(),
            span: Duration::ZERO,
            before: VecDeque::new(),
            now: None,
            error: None,
            advice: None,
        }
    }

    /// What its series did between the last two pages; nothing if it does not answer.
    fn flows(&self) -> Vec<Flow<'_>> {
        let answers = self.now.as_ref().filter(|_| self.error.is_none());
        answers.map(|now| flows(self.before.front(), now)).unwrap_or_default()
    }

    fn keep(&mut self, now: Reading) {
        self.before.extend(self.now.as_ref().map(Reading::counts));
        let spans = |counts: &Counts| now.at.saturating_duration_since(counts.at) >= self.span;
        // The second is old enough, too: the first is no longer needed.
        while self.before.get(1).is_some_and(spans) {
            self.before.pop_front();
        }
        self.now = Some(now);
    }

    fn read(&mut self) {
        match self.page().and_then(|page| Ok((self.advice_on(&page)?, page))) {
            Ok((advice, page)) => {
                self.keep(Reading { at: Instant::now(), page });
                self.error = None;
                self.advice = advice;
            }
            Err(error) => self.error = Some(format!("{error:#}")),
        }
    }

    /// What is shown of the page, without the prefix.
    fn page(&self) -> Result<Page> {
        let shown = |name: &str| name.strip_prefix(&self.prefix).and_then(Measure::of).is_some();
        let mut page = self.filtered(&self.prefix, shown)?;
        for sample in &mut page.samples {
            sample.name.drain(..self.prefix.len());
        }
        Ok(page)
    }

    /// A page with nothing to show may have the same under other names.
    fn advice_on(&self, page: &Page) -> Result<Option<String>> {
        if page.unusable > 0 {
            let why = "left out: below zero, endless or no number";
            return Ok(Some(format!("{}: {} samples {why}", self.endpoint.url(), page.unusable)));
        }
        if !page.samples.is_empty() {
            return Ok(None);
        }
        let others = self.filtered(&names::any_prefix(), names::is_telling)?;
        let advice = names::advice(&self.prefix, &others);
        Ok(advice.map(|advice| format!("{}: {advice}", self.endpoint.url())))
    }

    /// An Envoy has thousands of other stats: it is asked only for those whose name
    /// matches the filter.
    fn filtered(&self, filter: &str, wanted: impl Fn(&str) -> bool) -> Result<Page> {
        let text = self.endpoint.page(Some(filter))?;
        Page::parse(&text, wanted).with_context(|| format!("{} has no metrics", self.endpoint.url()))
    }
}
