//! CEL expressions of configurations.
//!
//! * `judge` says whether Envoy will understand one: `inspect` goes through it, with the words of
//!   `vocabulary` and the attributes of `fields`.
//! * `expression` is one that the native module evaluates by itself, since Envoy's interface for modules
//!   has no CEL. `readable` is the table of the attributes that there are for it, `attributes` puts them in
//!   place of their names, `cost` bounds what it may take, `patterns` are its regular expressions and
//!   `outcome` is what it comes to.

mod attributes;
mod cost;
pub mod expression;
mod fields;
mod inspect;
mod judge;
mod outcome;
mod patterns;
pub mod readable;
mod vocabulary;

pub use judge::{instead_of, judge, with_name_replaced, Opinion, Purpose};
