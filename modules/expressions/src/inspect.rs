//! Goes through an expression as Envoy's compiler would.

use cel::common::ast::operators::INDEX;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::parser::{ParseErrors, Parser};

use crate::fields;
use crate::vocabulary::{arguments_of, names, MACROS};

/// How deep an expression may nest: cel-cpp's limit.
const MAX_DEPTH: u16 = 32;

/// What was met in an expression.
#[derive(Debug, Default)]
pub(crate) struct Inspection<'a> {
    source: &'a str,
    info: cel::common::ast::SourceInfo,
    pub(crate) refused: Option<String>,
    /// Those that Envoy does not have, fields with their attribute.
    pub(crate) names: Vec<String>,
    /// Where each name stands, in bytes.
    pub(crate) places: Vec<(String, usize)>,
    /// Whether any function is called or any message made.
    pub(crate) calls: bool,
    /// How deep macros that go through lists are in one another, and are around.
    pub(crate) loops: u16,
    around: u16,
    /// Variables of the macros around.
    variables: Vec<String>,
}

/// Parses an expression and goes through it.
///
/// # Errors
/// It is no expression.
pub(crate) fn inspect(text: &str) -> Result<(Inspection<'_>, IdedExpr), String> {
    let parser = Parser::new().max_recursion_depth(MAX_DEPTH);
    let (tree, info) = parser.parse_with_source_info(text).map_err(|errors| first(&errors))?;
    let mut inspection = Inspection { source: text, info, ..Inspection::default() };
    inspection.expression(&tree, 1);
    Ok((inspection, tree))
}

/// The first of a parser's errors, in few words.
fn first(errors: &ParseErrors) -> String {
    let Some(error) = errors.errors.iter().min_by_key(|error| error.pos) else {
        return "syntax error".to_owned();
    };
    if errors.errors.iter().any(|error| error.msg.contains("ecursion limit")) {
        return too_deep();
    }
    let message = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    let message = message.split(" expecting ").next().unwrap_or(message);
    let (line, column) = error.pos;
    let place = if line > 1 { format!("line {line}, column {column}") } else { format!("column {column}") };
    format!("syntax error at {place}: {}", message.replace("'<EOF>'", "its end"))
}

pub(crate) fn too_deep() -> String {
    format!("nests deeper than {MAX_DEPTH}, with what the plugin puts around it")
}

// === impl Inspection ===

impl Inspection<'_> {
    fn refuse(&mut self, why: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(why);
    }

    fn expression(&mut self, tree: &IdedExpr, depth: u16) {
        if depth > MAX_DEPTH {
            return self.refuse(too_deep);
        }
        let below = depth.saturating_add(1);
        match &tree.expr {
            Expr::Call(call) => self.call(call, below),
            Expr::Comprehension(of) => self.comprehension(tree.id, of, below),
            Expr::Ident(name) => self.name(tree.id, name),
            Expr::List(list) => list.elements.iter().for_each(|element| self.expression(element, below)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Struct(message) => {
                self.calls = true;
                message.entries.iter().for_each(|entry| self.entry(&entry.expr, below));
            }
            Expr::Select(select) => {
                if !self.told_of_peer(&select.operand, &select.field) {
                    self.field(&select.operand, &select.field);
                    self.expression(&select.operand, below);
                }
            }
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &EntryExpr, depth: u16) {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value, depth),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key, depth);
                self.expression(&entry.value, depth);
            }
        }
    }

    fn call(&mut self, call: &CallExpr, depth: u16) {
        let name = call.func_name.as_str();
        // Operators are called `_+_`, `!_`, `@in`.
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.calls = true;
            self.function(name, call.target.is_some(), call.args.len());
        }
        if let Some((operand, field)) = indexed(call) {
            if self.told_of_peer(operand, field) {
                return;
            }
            self.field(operand, field);
        }
        match call.target.as_deref() {
            // `math.greatest`: no value, the first part of a function's name.
            Some(IdedExpr { expr: Expr::Ident(_), .. }) if arguments_of(name).is_none() => {}
            Some(target) => self.expression(target, depth),
            None => {}
        }
        call.args.iter().for_each(|argument| self.expression(argument, depth));
    }

    fn function(&mut self, name: &str, is_method: bool, arguments: usize) {
        if MACROS.contains(&name) {
            return self.refuse(|| format!("Envoy's macro {name} does not take {arguments} arguments"));
        }
        let Some((method, function)) = arguments_of(name) else {
            return self.refuse(|| format!("Envoy has no function {name}"));
        };
        let counts = if is_method { method } else { function };
        if !counts.contains(&arguments) {
            let form = if is_method { "as a method" } else { "as a function" };
            self.refuse(|| format!("Envoy's {name} does not take {arguments} arguments {form}"));
        }
    }

    fn comprehension(&mut self, id: u64, of: &ComprehensionExpr, depth: u16) {
        // A second name for `exists_one`, which cel-cpp does not have.
        let before = self.info.offset_for(id).and_then(|(start, _)| {
            let start = usize::try_from(start).ok()?;
            self.source.get(..start)
        });
        if before.is_some_and(|before| before.trim_end().ends_with("existsOne")) {
            self.refuse(|| "Envoy has no function existsOne".to_owned());
        }
        self.expression(&of.iter_range, depth);
        self.expression(&of.accu_init, depth);
        self.around = self.around.saturating_add(1);
        self.loops = self.loops.max(self.around);
        let variables = self.variables.len();
        self.variables.extend([of.iter_var.clone(), of.accu_var.clone()]);
        for part in [&of.loop_cond, &of.loop_step, &of.result] {
            self.expression(part, depth);
        }
        self.variables.truncate(variables);
        self.around = self.around.saturating_sub(1);
    }

    fn name(&mut self, id: u64, name: &str) {
        let start = self.info.offset_for(id).and_then(|(start, _)| usize::try_from(start).ok());
        self.places.extend(start.map(|start| (name.to_owned(), start)));
        let bare = name.strip_prefix('.').unwrap_or(name);
        let is_known =
            names().any(|known| known == bare) || self.variables.iter().any(|variable| variable == name);
        if !is_known && !bare.starts_with('@') {
            self.unknown(bare);
        }
    }

    fn field(&mut self, operand: &IdedExpr, field: &str) {
        let Expr::Ident(name) = &operand.expr else {
            return;
        };
        let bare = name.strip_prefix('.').unwrap_or(name);
        let is_variable = self.variables.iter().any(|variable| variable == name);
        if fields::of(bare).is_some_and(|mut known| !is_variable && known.all(|known| known != field)) {
            self.unknown(&format!("{bare}.{field}"));
        }
    }

    /// Whether it is something of a peer that there is not. What there is has been replaced
    /// before, but for what only the host knows, where Istio's filters left the peer.
    fn told_of_peer(&mut self, operand: &IdedExpr, field: &str) -> bool {
        let Some(peer) = peer(operand).filter(|_| !["labels", "type"].contains(&field)) else {
            return false;
        };
        self.unknown(&format!("{peer}.{field}"));
        true
    }

    fn unknown(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }
}

/// What `x['field']` reads, and the field.
fn indexed(call: &CallExpr) -> Option<(&IdedExpr, &str)> {
    match (call.func_name.as_str(), &call.args[..]) {
        (INDEX, [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }]) => {
            Some((operand, field.inner()))
        }
        _ => None,
    }
}

/// The name of a peer, if it is one: bare, or in the filter state.
fn peer(tree: &IdedExpr) -> Option<String> {
    let (above, name) = match &tree.expr {
        Expr::Ident(name) => (None, name.as_str()),
        Expr::Select(select) => (Some(&*select.operand), select.field.as_str()),
        Expr::Call(call) => indexed(call).map(|(operand, field)| (Some(operand), field))?,
        _ => return None,
    };
    let bare = name.strip_prefix("wasm.").unwrap_or(name);
    let is_peer = matches!(bare.strip_suffix("_obj").unwrap_or(bare), "upstream_peer" | "downstream_peer");
    match above.map(|above| &above.expr) {
        _ if !is_peer => None,
        None => Some(name.to_owned()),
        Some(Expr::Ident(state)) if state.ends_with("filter_state") => Some(format!("{state}.{bare}")),
        Some(_) => None,
    }
}
