//! From label values to the metric ids of the host: known ones are looked up, new
//! ones defined, mostly elsewhere and later.

pub mod background;
pub mod registry;
pub mod upgrade;
