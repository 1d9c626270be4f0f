//! An expression that is evaluated here: what it reads of a stream is asked of whoever can tell.

use core::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};

use cel::common::ast::{Expr, IdedExpr};
use cel::common::types::{CelBool, CelBytes, CelInt, CelString, CelUInt, Kind as TypeKind};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, Value};
use istio_stats::config::bounds::MAX_EXPRESSION_BYTES;
use istio_stats::rules::expression::{printed, whole};

use crate::attributes::{number_of, Attribute, Replacing};
use crate::cost::{too_much, MAX_TEXT_BYTES};
use crate::inspect::inspect;
use crate::judge::{with_room, Purpose};
use crate::outcome::bytes_of;
use crate::patterns;
use crate::readable::Kind;

/// An expression, ready to be evaluated on any thread.
pub struct Expression {
    tree: IdedExpr,
    attributes: Vec<Attribute>,
    context: Context<'static, 'static>,
}

/// Why an expression is not evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Envoy would not understand it either.
    NoCel(String),
    /// It is more than this form can do.
    Beyond(String),
}

/// The evaluator failed within itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// What is known of a stream, by the numbers of the attributes.
struct Known<'a>(Vec<Option<Found<'a>>>);

enum Found<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Int(i64),
    Uint(u64),
    Flag(bool),
}

/// Takes off what the plugin puts around an expression, for what it is given to Envoy.
pub fn unwrapped(text: &str) -> (Purpose, &str) {
    for (purpose, form, times) in
        [(Purpose::Label, printed as fn(&str) -> String, 3_usize), (Purpose::Value, whole, 1)]
    {
        let around = form("");
        let before = around.find('\n').unwrap_or_default();
        let length = text.len().saturating_sub(around.len()).checked_div(times).unwrap_or_default();
        let own = text.get(before..before.saturating_add(length));
        if let Some(own) = own.filter(|own| form(own) == text) {
            return (purpose, own);
        }
    }
    (Purpose::Condition, text)
}

// === impl Expression ===

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It is none, or asks for what there is not.
    pub fn compile(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_EXPRESSION_BYTES.saturating_mul(2) {
            return Err(Refusal::NoCel("too long".to_owned()));
        }
        with_room(|| Self::compile_here(text))
            .unwrap_or_else(|| Err(Refusal::NoCel("cannot be compiled".to_owned())))
    }

    fn compile_here(text: &str) -> Result<Self, Refusal> {
        let (inspection, mut tree) = inspect(text).map_err(Refusal::NoCel)?;
        if let Some(why) = inspection.refused {
            return Err(Refusal::NoCel(why));
        }
        let beyond = |name: String| Refusal::Beyond(format!("the native form cannot read {name}"));
        let mut replacing = Replacing::new(&inspection.names);
        replacing.replace(&mut tree).map_err(beyond)?;
        let mut found = Vec::new();
        patterns::take(&mut tree, &mut found).map_err(Refusal::Beyond)?;
        if too_much(&tree, &replacing.attributes) {
            return Err(Refusal::Beyond("it may take longer than a millisecond".to_owned()));
        }
        let mut context = Context::with_env(environment());
        patterns::declare(found, &mut context);
        Ok(Self { tree, attributes: replacing.attributes, context })
    }

    /// What it comes to, of a stream whose attributes `read` tells; `None` if it cannot be evaluated.
    ///
    /// # Errors
    /// The evaluator panicked.
    pub fn evaluate(
        &self,
        purpose: Purpose,
        read: impl FnMut(&[String]) -> Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, Panicked> {
        let mut read = read;
        let bytes: Vec<_> = self.attributes.iter().map(|attribute| read(&attribute.path)).collect();
        if purpose == Purpose::Label && self.is_text() {
            // Of any length, and whatever it holds.
            return Ok(bytes.into_iter().next().flatten());
        }
        catch_unwind(AssertUnwindSafe(|| self.evaluate_here(purpose, &bytes))).map_err(|payload| {
            // Dropping it might panic, too.
            core::mem::forget(payload);
            Panicked
        })
    }

    /// Whether it is a text or bytes of the stream, as they are.
    fn is_text(&self) -> bool {
        let Expr::Ident(name) = &self.tree.expr else { return false };
        let attribute = number_of(name).and_then(|number| self.attributes.get(number));
        attribute.is_some_and(|of| !of.is_test && of.kind.has_length())
    }

    fn evaluate_here(&self, purpose: Purpose, bytes: &[Option<Vec<u8>>]) -> Option<Vec<u8>> {
        let bytes = bytes.iter().map(Option::as_deref);
        let known = Known(self.attributes.iter().zip(bytes).map(|(of, bytes)| found(of, bytes)).collect());
        let context: &Context<'_, '_> = &self.context;
        let mut context = context.new_inner_scope();
        context.set_variable_resolver(&known);
        let value = Value::resolve_val(&self.tree, &context).ok()?;
        // A type has a name, but is no text.
        let value = Some(value).filter(|value| value.get_type().kind() != TypeKind::Type)?;
        bytes_of(Value::try_from(value.as_ref()).ok()?, purpose)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("attributes", &self.attributes).finish_non_exhaustive()
    }
}

/// The standard functions, which all expressions share.
fn environment() -> Arc<Env> {
    static STANDARD: OnceLock<Arc<Env>> = OnceLock::new();
    STANDARD.get_or_init(|| Arc::new(Env::stdlib())).clone()
}

fn found<'a>(attribute: &Attribute, bytes: Option<&'a [u8]>) -> Option<Found<'a>> {
    if attribute.is_test {
        return Some(Found::Flag(bytes.is_some()));
    }
    let bytes = bytes?;
    match attribute.kind {
        kind if kind.has_length() && bytes.len() > MAX_TEXT_BYTES => None,
        Kind::Text | Kind::MaybeEmpty => core::str::from_utf8(bytes).ok().map(Found::Text),
        Kind::Bytes => Some(Found::Bytes(bytes)),
        Kind::Int => bytes.try_into().ok().map(i64::from_le_bytes).map(Found::Int),
        Kind::Uint => bytes.try_into().ok().map(u64::from_le_bytes).map(Found::Uint),
        Kind::Duration => None,
        Kind::Flag => Some(Found::Flag(bytes == [1])),
    }
}

// === impl Known ===

impl VariableResolver for Known<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let found = self.0.get(number_of(variable)?)?.as_ref()?;
        Some(match *found {
            Found::Text(text) => CowVal::owned(CelString::from(text)),
            Found::Bytes(bytes) => CowVal::owned(CelBytes::from(bytes)),
            Found::Int(number) => CowVal::owned(CelInt::from(number)),
            Found::Uint(number) => CowVal::owned(CelUInt::from(number)),
            Found::Flag(flag) => CowVal::owned(CelBool::from(flag)),
        })
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
