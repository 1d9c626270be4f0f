//! Small containers with a bound or a fixed form, for whatever is in them.

pub mod generations;
pub mod index;
pub mod recent;
pub mod set;
