//! Reads all endpoints at once and keeps what was read before.

use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::measure::{flows, Flow, Measure, Reading};
use crate::endpoint::Endpoint;
use crate::exposition::Page;
use crate::names;

/// An endpoint and its last two pages.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    endpoint: Endpoint,
    /// Begins the metrics' names.
    prefix: String,
    before: Option<Reading>,
    now: Option<Reading>,
    /// Why there is no newer page.
    pub(crate) error: Option<String>,
    /// What to do about a page without these metrics, if that is known.
    pub(crate) advice: Option<String>,
}

// === impl Source ===

impl Source {
    pub(crate) fn new(endpoint: Endpoint, prefix: &str) -> Self {
        Self { endpoint, prefix: prefix.to_owned(), before: None, now: None, error: None, advice: None }
    }

    /// What its series did between the last two pages; nothing if it does not answer.
    pub(crate) fn flows(&self) -> Vec<Flow<'_>> {
        let answers = self.now.as_ref().filter(|_| self.error.is_none());
        answers.map(|now| flows(self.before.as_ref(), now)).unwrap_or_default()
    }

    /// Whether there are two pages to compare.
    pub(crate) fn has_rates(&self) -> bool {
        self.before.is_some()
    }

    fn read(&mut self) {
        match self.page().and_then(|page| Ok((self.advice_on(&page)?, page))) {
            Ok((advice, page)) => {
                self.before = self.now.replace(Reading { at: Instant::now(), page });
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

/// Reads every endpoint, all at the same time.
pub(crate) fn read_all(sources: &mut [Source]) {
    thread::scope(|scope| {
        for source in sources {
            scope.spawn(|| source.read());
        }
    });
}
