//! What there is: one table each of labels and metrics, and the forms of their
//! values and names.

pub mod dimension;
pub mod label_value;
pub mod metric;
pub mod own_metric;
pub mod reporter;
pub mod response_flags;
pub mod stat_name;
