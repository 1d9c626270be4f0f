//! The native module, whole, with its feature `panics`. A crate of its own: nothing else is ever built with that.

use istio_stats_native as _;
