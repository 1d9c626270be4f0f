//! Expressions of the configuration. Envoy has no CEL for modules, so they are evaluated here; they are
//! compiled while Envoy configures, once for all threads.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use expressions::expression::{unwrapped, Expression};
use expressions::Purpose;
use hashbrown::HashMap;
use istio_stats::host::{ExpressionToken, HostError};
use istio_stats::rules::expression::TOLD;

/// Those of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    /// By their texts; `None` cannot be followed.
    known: Mutex<HashMap<Box<str>, Option<Arc<Expression>>>>,
    are_all: AtomicBool,
}

/// Those that one thread has asked for, by their tokens.
#[derive(Debug, Default)]
pub(crate) struct Known(RefCell<Vec<(Purpose, Arc<Expression>)>>);

const CREATE: HostError = HostError { call: "create_expression", status: HostError::BAD_ARGUMENT };
const EVALUATE: HostError = HostError { call: "evaluate_expression", status: HostError::NOT_FOUND };

// === impl Compiled ===

impl Compiled {
    /// From here on none is compiled any more.
    pub(crate) fn are_all(&self) {
        self.are_all.store(true, Ordering::Relaxed);
    }

    fn get(&self, text: &str) -> Option<Arc<Expression>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = known.get(text) {
            return compiled.clone();
        }
        if self.are_all.load(Ordering::Relaxed) {
            return None;
        }
        let compiled = Expression::compile(text).ok().map(Arc::new);
        known.insert(text.into(), compiled.clone());
        compiled
    }
}

// === impl Known ===

impl Known {
    /// An expression, as the core writes it for a host.
    ///
    /// # Errors
    /// It cannot be followed, or is none of the configuration's.
    pub(crate) fn create(&self, of: &Compiled, text: &str) -> Result<ExpressionToken, HostError> {
        let (purpose, own) = unwrapped(text);
        let expression = of.get(own).ok_or(CREATE)?;
        let mut known = self.0.borrow_mut();
        let number = u32::try_from(known.len()).map_err(|_| CREATE)?;
        known.push((purpose, expression));
        Ok(ExpressionToken(number))
    }

    /// What one comes to, of a stream whose attributes `read` tells, with these texts for what is told.
    ///
    /// # Errors
    /// It cannot be evaluated.
    pub(crate) fn evaluate(
        &self,
        ExpressionToken(number): ExpressionToken,
        told: &[Option<&str>],
        read: impl Fn(&[&str]) -> Option<Vec<u8>>,
        panicked: impl FnOnce(),
    ) -> Result<Vec<u8>, HostError> {
        let place = usize::try_from(number).map_err(|_| EVALUATE)?;
        let (purpose, expression) = self.0.borrow().get(place).cloned().ok_or(EVALUATE)?;
        let value = expression.evaluate(purpose, |path| {
            let names: Vec<_> = path.iter().map(String::as_str).collect();
            match *names {
                [TOLD, name] => {
                    let number: usize = name.strip_prefix('v')?.parse().ok()?;
                    Some((*told.get(number)?)?.as_bytes().to_vec())
                }
                ref names => read(names),
            }
        });
        let value = value.unwrap_or_else(|_| {
            panicked();
            None
        });
        value.ok_or(EVALUATE)
    }
}
