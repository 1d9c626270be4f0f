//! Puts attributes in place of their names: what an expression reads is listed, and in it stand variables.

use cel::common::ast::operators::{IN, INDEX};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

use crate::readable::{self, Kind};
use crate::vocabulary::{is_attribute, is_of_type};

/// An attribute that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) path: Vec<String>,
    pub(crate) kind: Kind,
    /// Whether it only asks if it is there.
    pub(crate) is_test: bool,
}

/// The attributes of an expression, and the variables of the macros around.
#[derive(Debug)]
pub(crate) struct Replacing<'a> {
    pub(crate) attributes: Vec<Attribute>,
    variables: Vec<String>,
    /// Names that Envoy does not have.
    unknown: &'a [String],
}

/// Begins the name of a variable that stands for an attribute. Nobody can write such a name.
pub(crate) const MARK: char = '@';

/// The number of the attribute that a variable stands for.
pub(crate) fn number_of(variable: &str) -> Option<usize> {
    variable.strip_prefix(MARK)?.parse().ok()
}

// === impl Replacing ===

impl<'a> Replacing<'a> {
    /// None yet. What is `unknown` to Envoy has no value, as with Envoy.
    pub(crate) fn new(unknown: &'a [String]) -> Self {
        Self { attributes: Vec::new(), variables: Vec::new(), unknown }
    }

    /// Replaces all that an expression reads.
    ///
    /// # Errors
    /// The name of what cannot be read.
    pub(crate) fn replace(&mut self, tree: &mut IdedExpr) -> Result<(), String> {
        if let Some((path, is_test)) = self.read(tree)? {
            tree.expr = Expr::Ident(self.variable(path, is_test)?);
            return Ok(());
        }
        match &mut tree.expr {
            Expr::Call(call) => {
                let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
                parts.into_iter().try_for_each(|part| self.replace(part))
            }
            Expr::Comprehension(of) => {
                self.replace(&mut of.iter_range)?;
                self.replace(&mut of.accu_init)?;
                let around = self.variables.len();
                self.variables.extend([of.iter_var.clone(), of.accu_var.clone()]);
                self.variables.extend(of.iter_var2.clone());
                let parts = [&mut of.loop_cond, &mut of.loop_step, &mut of.result];
                let replaced = parts.into_iter().try_for_each(|part| self.replace(part));
                self.variables.truncate(around);
                replaced
            }
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.replace(element)),
            Expr::Map(map) => {
                map.entries.iter_mut().try_for_each(|entry| self.replace_entry(&mut entry.expr))
            }
            Expr::Select(select) => self.replace(&mut select.operand),
            Expr::Struct(message) => Err(format!("the message {}", message.type_name)),
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
        }
    }

    /// The variable that stands for an attribute.
    fn variable(&mut self, path: Vec<String>, is_test: bool) -> Result<String, String> {
        let names: Vec<_> = path.iter().map(String::as_str).collect();
        let is_unknown = || {
            let begins = |name: &String| {
                (0..=names.len()).any(|end| names.get(..end).is_some_and(|first| first.join(".") == *name))
            };
            self.unknown.iter().any(begins)
        };
        // A field that Envoy's attribute does not have is not there; of what is none nothing is known.
        let is_false = || is_test && names.first().is_some_and(|first| is_attribute(first)) && is_unknown();
        let kind = readable::kind(&names).or_else(|| is_false().then_some(Kind::Text));
        let Some(kind) = kind else {
            return if is_unknown() { Ok(format!("{MARK}absent")) } else { Err(names.join(".")) };
        };
        let attribute = Attribute { path, kind, is_test };
        let known = self.attributes.iter().position(|known| *known == attribute);
        let number = known.unwrap_or(self.attributes.len());
        if known.is_none() {
            self.attributes.push(attribute);
        }
        Ok(format!("{MARK}{number}"))
    }

    fn replace_entry(&mut self, entry: &mut EntryExpr) -> Result<(), String> {
        match entry {
            EntryExpr::StructField(field) => self.replace(&mut field.value),
            EntryExpr::MapEntry(entry) => {
                self.replace(&mut entry.key)?;
                self.replace(&mut entry.value)
            }
        }
    }

    /// The path of the attribute that an expression reads, or whose presence it tests.
    ///
    /// # Errors
    /// It reads one by a name that is only known then.
    fn read(&self, tree: &IdedExpr) -> Result<Option<(Vec<String>, bool)>, String> {
        match &tree.expr {
            Expr::Select(select) if select.test => {
                let Some(mut path) = self.path(&select.operand)? else { return Ok(None) };
                path.push(select.field.clone());
                Ok(Some((path, true)))
            }
            Expr::Call(call) if call.func_name == IN => {
                let [key, of] = &call.args[..] else { return Ok(None) };
                let Some(mut path) = self.path(of)? else { return Ok(None) };
                let Some(key) = text_of(key) else { return Err(path.join(".")) };
                path.push(key);
                Ok(Some((path, true)))
            }
            _ => Ok(self.path(tree)?.map(|path| (path, false))),
        }
    }

    fn path(&self, tree: &IdedExpr) -> Result<Option<Vec<String>>, String> {
        let (operand, field) = match &tree.expr {
            Expr::Ident(name) => return Ok(self.first(name)),
            Expr::Select(select) if !select.test => (&*select.operand, Some(select.field.clone())),
            Expr::Call(call) if call.func_name == INDEX => match &call.args[..] {
                [operand, index] => (operand, text_of(index)),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(mut path) = self.path(operand)? else { return Ok(None) };
        // `request.headers[request.path]`
        let Some(field) = field else { return Err(path.join(".")) };
        path.push(field);
        Ok(Some(path))
    }

    /// The path that begins with this name, if it is one of Envoy's and none of a macro around.
    fn first(&self, name: &str) -> Option<Vec<String>> {
        let is_variable = self.variables.iter().any(|variable| variable == name);
        let bare = name.strip_prefix('.').unwrap_or(name);
        (!is_variable && !is_of_type(bare) && !bare.starts_with(MARK)).then(|| vec![bare.to_owned()])
    }
}

fn text_of(tree: &IdedExpr) -> Option<String> {
    match &tree.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        Expr::Literal(LiteralValue::Int(number)) => Some(number.inner().to_string()),
        _ => None,
    }
}
