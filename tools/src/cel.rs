//! Says of an expression whether Envoy will understand it.
//!
//! Envoy compiles expressions with cel-cpp: the standard functions and macros,
//! none of the extensions, and nothing that nests deeper than 32. All that is
//! said here is tried in real Envoys (tests/e2e/test_check.py).

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr};
use cel::parser::{ParseErrors, Parser};
use istio_stats::rules::expression;
use istio_stats::rules::rewrite::rewrite;

/// What an expression is for: that decides what the host is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The value of a label.
    Label,
    /// The value of a metric.
    Value,
    /// A condition.
    Condition,
}

/// What can be said of an expression.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Opinion {
    /// Why Envoy will refuse it.
    pub(crate) refused: Option<String>,
    /// Names that Envoy does not have.
    pub(crate) unknown_names: Vec<String>,
    /// What the plugin replaces in it, by what.
    pub(crate) changes: Vec<(String, String)>,
    /// It calls no function and makes no message: no Envoy can miss any.
    pub(crate) is_plain: bool,
}

/// Longest expression that is judged, in bytes.
const MAX_BYTES: usize = 4096;

/// How deep an expression may nest: cel-cpp's limit.
const MAX_DEPTH: u16 = 32;

/// The functions: how many arguments each takes as a method of its first one,
/// and how many as a function.
const FUNCTIONS: [(&str, &[usize], &[usize]); 25] = [
    ("bool", &[], &[1]),
    ("bytes", &[], &[1]),
    ("contains", &[1], &[2]),
    ("double", &[], &[1]),
    ("duration", &[], &[1]),
    ("dyn", &[], &[1]),
    ("endsWith", &[1], &[2]),
    ("getDate", &[0, 1], &[]),
    ("getDayOfMonth", &[0, 1], &[]),
    ("getDayOfWeek", &[0, 1], &[]),
    ("getDayOfYear", &[0, 1], &[]),
    ("getFullYear", &[0, 1], &[]),
    ("getHours", &[0, 1], &[]),
    ("getMilliseconds", &[0, 1], &[]),
    ("getMinutes", &[0, 1], &[]),
    ("getMonth", &[0, 1], &[]),
    ("getSeconds", &[0, 1], &[]),
    ("int", &[], &[1]),
    ("matches", &[1], &[2]),
    ("size", &[0], &[1]),
    ("startsWith", &[1], &[2]),
    ("string", &[], &[1]),
    ("timestamp", &[], &[1]),
    ("type", &[], &[1]),
    ("uint", &[], &[1]),
];

/// The macros: the parser replaces them, so one that is left was written wrongly.
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "has", "map"];

/// What an expression can begin with: Envoy's attributes, and names of types.
const NAMES: [&str; 24] = [
    "bool",
    "bytes",
    "connection",
    "destination",
    "double",
    "filter_state",
    "google",
    "int",
    "list",
    "map",
    "metadata",
    "null_type",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "request",
    "response",
    "source",
    "string",
    "type",
    "uint",
    "upstream",
    "upstream_filter_state",
    "xds",
];

/// Judges an expression of a configuration.
pub(crate) fn judge(text: &str, purpose: Purpose) -> Opinion {
    // The parser recurses before it counts: `a.b.b.b…`.
    const STACK_BYTES: usize = 64 << 20;
    std::thread::scope(|scope| {
        let judge = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || judge_here(text, purpose));
        let opinion = judge.ok().and_then(|judge| judge.join().ok());
        opinion.unwrap_or_else(|| Opinion::refused("cannot be judged".to_owned(), Vec::new()))
    })
}

fn judge_here(text: &str, purpose: Purpose) -> Opinion {
    let rewritten = rewrite(text);
    let changes = rewritten.changes;
    // Known to the plugin, so no host is asked.
    let is_peer_fact = match rewritten.peer_facts[..] {
        [fact] => purpose == Purpose::Label && rewritten.text.trim() == fact.expression(),
        _ => false,
    };
    if is_peer_fact {
        return Opinion { changes, is_plain: true, ..Opinion::default() };
    }
    let given = match purpose {
        Purpose::Label => expression::printed(&rewritten.text),
        Purpose::Value => expression::whole(&rewritten.text),
        Purpose::Condition => rewritten.text.clone(),
    };
    let own = match inspect(&rewritten.text) {
        Ok(inspection) => inspection,
        Err(refused) => return Opinion::refused(refused, changes),
    };
    let refused = own.refused.or_else(|| match inspect(&given) {
        Ok(inspection) => inspection.refused,
        Err(refused) => Some(refused),
    });
    let shown: Vec<_> = rewritten.peer_facts.iter().map(|fact| fact.property()).collect();
    let unknown_names = own.names.into_iter().filter(|name| !shown.contains(name)).collect();
    Opinion { is_plain: refused.is_none() && !own.calls, refused, unknown_names, changes }
}

/// What an expression can begin with.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}

// === impl Opinion ===

impl Opinion {
    fn refused(why: String, changes: Vec<(String, String)>) -> Self {
        Self { refused: Some(why), changes, ..Self::default() }
    }
}

/// What was met in an expression.
#[derive(Debug, Default)]
struct Inspection<'a> {
    source: &'a str,
    info: cel::common::ast::SourceInfo,
    refused: Option<String>,
    /// Unknown ones.
    names: Vec<String>,
    /// Whether any function is called or any message made.
    calls: bool,
    /// Variables of the macros around.
    variables: Vec<String>,
}

fn inspect(text: &str) -> Result<Inspection<'_>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes: too long to be judged"));
    }
    let parser = Parser::new().max_recursion_depth(MAX_DEPTH);
    let (tree, info) = parser.parse_with_source_info(text).map_err(|errors| first(&errors))?;
    let mut inspection = Inspection { source: text, info, ..Inspection::default() };
    inspection.expression(&tree, 1);
    Ok(inspection)
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

fn too_deep() -> String {
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
            Expr::Ident(name) => self.name(name),
            Expr::List(list) => list.elements.iter().for_each(|element| self.expression(element, below)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Struct(message) => {
                self.calls = true;
                message.entries.iter().for_each(|entry| self.entry(&entry.expr, below));
            }
            Expr::Select(select) => self.expression(&select.operand, below),
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
        match call.target.as_deref() {
            // `math.greatest`: no value, the first part of a function's name.
            Some(IdedExpr { expr: Expr::Ident(_), .. }) if !is_function(name) => {}
            Some(target) => self.expression(target, depth),
            None => {}
        }
        call.args.iter().for_each(|argument| self.expression(argument, depth));
    }

    fn function(&mut self, name: &str, is_method: bool, arguments: usize) {
        if MACROS.contains(&name) {
            return self.refuse(|| format!("Envoy's macro {name} does not take {arguments} arguments"));
        }
        let Some((_, method, function)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
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
        let variables = self.variables.len();
        self.variables.extend([of.iter_var.clone(), of.accu_var.clone()]);
        for part in [&of.loop_cond, &of.loop_step, &of.result] {
            self.expression(part, depth);
        }
        self.variables.truncate(variables);
    }

    fn name(&mut self, name: &str) {
        let bare = name.strip_prefix('.').unwrap_or(name);
        let is_known = NAMES.contains(&bare) || self.variables.iter().any(|variable| variable == name);
        if !is_known && !bare.starts_with('@') && !self.names.iter().any(|known| known == bare) {
            self.names.push(bare.to_owned());
        }
    }
}

fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        judge(text, Purpose::Label).refused
    }

    #[test]
    fn what_envoy_understands_is_fine() {
        for text in [
            "request.method",
            "has(request.headers.x) ? request.headers['x'] : 'none'",
            "request.headers.exists(k, k.startsWith('x-'))",
            "size(request.method) + request.path.size()",
            "node.metadata['CLUSTER_ID'] + string(response.code)",
            "upstream_peer.cluster_id",
            "type(1) == int",
        ] {
            let opinion = judge(text, Purpose::Label);
            assert_eq!((opinion.refused, opinion.unknown_names), (None, vec![]), "{text}");
        }
    }

    #[test]
    fn what_envoy_refuses_is_named() {
        for (text, why) in [
            ("request.method.lowerAscii()", "Envoy has no function lowerAscii"),
            ("math.greatest(1, 2)", "Envoy has no function greatest"),
            ("[1].existsOne(x, x > 0)", "Envoy has no function existsOne"),
            ("{'a': 1}.all(k, v, v > 0)", "Envoy's macro all does not take 3 arguments"),
            ("size(request.method, 1)", "Envoy's size does not take 2 arguments as a function"),
            ("request.path.int()", "Envoy's int does not take 0 arguments as a method"),
            ("request.method +", "syntax error at column 17: mismatched input its end"),
            ("a b", "syntax error at column 3: extraneous input 'b'"),
            ("a.?b", "syntax error at column 2: unsupported syntax '.?'"),
        ] {
            assert_eq!(refused(text).as_deref(), Some(why), "{text}");
        }
    }

    #[test]
    fn depth_counts_with_what_the_plugin_puts_around() {
        let sum = |terms: usize| vec!["request.size"; terms].join(" + ");
        assert_eq!(refused(&sum(28)), None);
        assert_eq!(refused(&sum(29)), Some(too_deep()));
        assert_eq!(judge(&sum(29), Purpose::Condition).refused, None);
        let brackets = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
        assert_eq!(refused(&brackets(30)), None);
        assert_eq!(refused(&brackets(31)), Some(too_deep()));
        assert!(refused(&"(".repeat(MAX_BYTES)).is_some());
        assert!(refused(&"a".repeat(MAX_BYTES + 1)).unwrap().contains("too long"));
        assert!(refused(&("a".to_owned() + &".b".repeat(MAX_BYTES / 2 - 1))).is_some());
    }

    #[test]
    fn names_that_envoy_does_not_have_are_unknown() {
        let unknown = |text| judge(text, Purpose::Label).unknown_names;
        assert_eq!(unknown("reqest.method + mine + reqest.path"), ["reqest", "mine"]);
        assert_eq!(unknown("[1].map(x, x + y)"), ["y"]);
        assert_eq!(unknown("upstream_peer.app + upstream_peer.labels['role']"), ["upstream_peer"]);
    }

    #[test]
    fn only_what_calls_nothing_is_plain() {
        for text in
            ["request.method", "'a' + request.path", "has(request.id) ? 'a' : 'b'", "upstream_peer.app"]
        {
            assert!(judge(text, Purpose::Label).is_plain, "{text}");
        }
        for text in ["size(request.method)", "google.protobuf.Struct{}", "request.method.lowerAscii()", "a b"]
        {
            assert!(!judge(text, Purpose::Label).is_plain, "{text}");
        }
    }

    #[test]
    fn functions_are_in_order() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
