//! What an expression may take at most, said before it is evaluated: macros in one another multiply, and
//! texts that are put together grow. Reads are as long as they may be, both branches are taken, nothing is
//! short-cut.

use cel::common::ast::operators::{ADD, CONDITIONAL, INDEX};
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use crate::attributes::{number_of, Attribute};

/// Longest text that is read of a stream. What is longer counts as absent.
pub(crate) const MAX_TEXT_BYTES: usize = 4096;

/// What may be spent on one evaluation, in bytes that are moved: about a millisecond.
const MAX_COST: u64 = 4 << 20;
/// Evaluating a part of an expression takes as long as moving so many bytes.
const PART: u64 = 1024;
/// Bytes of a number, a truth or a time.
const SCALAR: u64 = 32;
/// Bytes of a list's element, beside what it holds.
const ELEMENT: u64 = 16;

/// Says that an expression takes too much, if it does.
pub(crate) fn too_much(tree: &IdedExpr, attributes: &[Attribute]) -> bool {
    let mut estimate = Estimate { attributes, variables: Vec::new(), cost: 0 };
    estimate.part(tree);
    estimate.cost > MAX_COST
}

struct Estimate<'a> {
    attributes: &'a [Attribute],
    /// Those of the macros around, and how large each is at most.
    variables: Vec<(&'a str, Size)>,
    cost: u64,
}

/// How large a value is at most.
#[derive(Clone, Copy, Default)]
struct Size {
    bytes: u64,
    /// How many elements a macro goes through.
    length: u64,
}

// === impl Size ===

impl Size {
    const SCALAR: Self = Self { bytes: SCALAR, length: 0 };

    fn plus(self, other: Self) -> Self {
        let Self { bytes, length } = other;
        Self { bytes: self.bytes.saturating_add(bytes), length: self.length.saturating_add(length) }
    }

    fn times(self, times: u64) -> Self {
        Self { bytes: self.bytes.saturating_mul(times), length: self.length.saturating_mul(times) }
    }

    fn max(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), length: self.length.max(other.length) }
    }

    /// Something in it, whatever that is.
    fn part(self) -> Self {
        Self { bytes: self.bytes, length: self.bytes.checked_div(ELEMENT).unwrap_or_default() }
    }
}

// === impl Estimate ===

impl<'a> Estimate<'a> {
    fn spend(&mut self, bytes: u64) {
        self.cost = self.cost.saturating_add(bytes);
    }

    /// The bytes of all these.
    fn all(&mut self, trees: impl IntoIterator<Item = &'a IdedExpr>) -> u64 {
        trees.into_iter().fold(0, |sum, tree| self.part(tree).bytes.saturating_add(sum))
    }

    fn part(&mut self, tree: &'a IdedExpr) -> Size {
        let held = |bytes: u64| Size { bytes, length: 0 };
        let size = match &tree.expr {
            Expr::Literal(LiteralValue::String(text)) => held(number(text.inner().len())),
            Expr::Literal(LiteralValue::Bytes(bytes)) => held(number(bytes.inner().len())),
            Expr::Literal(_) | Expr::Unspecified => Size::SCALAR,
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.part(&select.operand).part(),
            Expr::List(list) => {
                let length = number(list.elements.len());
                let bytes = self.all(&list.elements);
                Size { bytes: ELEMENT.saturating_mul(length).saturating_add(bytes), length }
            }
            Expr::Map(map) => {
                let length = number(map.entries.len());
                let bytes = self.all(map.entries.iter().flat_map(|entry| parts_of(&entry.expr)));
                Size { bytes: ELEMENT.saturating_mul(2).saturating_mul(length).saturating_add(bytes), length }
            }
            Expr::Struct(message) => {
                held(self.all(message.entries.iter().flat_map(|entry| parts_of(&entry.expr))))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(of) => self.comprehension(of),
        };
        self.spend(size.bytes.saturating_add(PART));
        size
    }

    fn variable(&self, name: &str) -> Size {
        if let Some(attribute) = number_of(name).and_then(|number| self.attributes.get(number)) {
            let is_long = attribute.kind.has_length() && !attribute.is_test;
            let bytes = if is_long { number(MAX_TEXT_BYTES) } else { SCALAR };
            return Size { bytes, length: 0 };
        }
        let known = self.variables.iter().rev().find(|(known, _)| *known == name);
        known.map_or(Size::SCALAR, |(_, size)| *size)
    }

    fn call(&mut self, call: &'a CallExpr) -> Size {
        match (call.func_name.as_str(), &call.args[..]) {
            (ADD, [left, right]) => self.part(left).plus(self.part(right)),
            (CONDITIONAL, [condition, yes, no]) => {
                self.part(condition);
                self.part(yes).max(self.part(no))
            }
            (INDEX, [of, index]) => {
                self.part(index);
                self.part(of).part()
            }
            (name, arguments) => {
                let held = self.all(call.target.as_deref().into_iter().chain(arguments));
                // What it looks through; some print what they are given.
                self.spend(held);
                let prints = matches!(name, "string" | "bytes" | "dyn");
                if prints {
                    Size::SCALAR.max(Size { bytes: held, length: 0 }.part())
                } else {
                    Size::SCALAR
                }
            }
        }
    }

    /// A macro that goes through a list or map. What it gathers grows by one step each time.
    fn comprehension(&mut self, of: &'a ComprehensionExpr) -> Size {
        let range = self.part(&of.iter_range);
        let first = self.part(&of.accu_init);
        let before = core::mem::take(&mut self.cost);
        let around = self.variables.len();
        let second = of.iter_var2.as_deref();
        let variables = [&*of.iter_var].into_iter().chain(second);
        self.variables.extend(variables.map(|name| (name, range.part())));
        self.variables.push((&of.accu_var, Size::default()));
        self.part(&of.loop_cond);
        let step = self.part(&of.loop_step);
        let once = core::mem::replace(&mut self.cost, before);
        self.spend(once.saturating_mul(range.length));
        self.variables.truncate(around);
        self.variables.push((&of.accu_var, step.times(range.length).plus(first)));
        let result = self.part(&of.result);
        self.variables.truncate(around);
        result
    }
}

fn parts_of(entry: &EntryExpr) -> impl Iterator<Item = &IdedExpr> {
    let (first, second) = match entry {
        EntryExpr::StructField(field) => (&field.value, None),
        EntryExpr::MapEntry(entry) => (&entry.key, Some(&entry.value)),
    };
    core::iter::once(first).chain(second)
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
