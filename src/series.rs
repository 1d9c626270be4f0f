//! From label values to the metric ids of the host: known ones are looked up, new
//! ones defined, mostly elsewhere and later.
//!
//! ```text
//! registry ─┬─ store ───── key, metric_state    label sets that were met
//!           └─ waiting ─── background ─┬─ request    samples whose metrics are defined elsewhere
//!                                      ├─ names      which metrics may be asked for
//!                                      └─ upgrade    what later builds are to define
//! ```

pub mod background;
pub mod host_metric;
pub mod key;
pub mod metric_state;
pub mod names;
pub mod registry;
pub mod request;
pub mod shared;
pub mod store;
pub mod upgrade;
pub mod waiting;
