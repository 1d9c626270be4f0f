//! What else a worker does between two requests of a proxy with little traffic, as far as
//! caches notice: it runs other code, over other data.

use std::hint::black_box;

/// Bytes of a cache line.
const LINE: usize = 64;
/// More than the last cache that is simulated.
const BYTES: usize = 4 << 20;

/// Data that is nobody's.
pub struct Elsewhere(Vec<u8>);

// === impl Elsewhere ===

impl Elsewhere {
    pub fn new() -> Self {
        Self(vec![1; BYTES])
    }

    /// Leaves nothing in the caches of what was there.
    pub fn go(&self) {
        for line in self.0.chunks(LINE) {
            black_box(line.first().copied());
        }
        eight_each();
    }
}

/// Some hundred bytes of code that no other call has.
#[inline(never)]
fn stretch<const A: u64, const B: u64, const C: u64>() {
    let mut number = black_box(A << 6 | B << 3 | C);
    for shift in [7, 11, 13, 17, 19, 23, 29, 31] {
        number = black_box(number.rotate_left(shift) ^ (A << 40 | B << 20 | C));
    }
}

/// Calls with each of eight numbers.
macro_rules! eight {
    ($name:ident $(, $known:ident)*) => {
        $name::<$($known,)* 0>(); $name::<$($known,)* 1>(); $name::<$($known,)* 2>(); $name::<$($known,)* 3>();
        $name::<$($known,)* 4>(); $name::<$($known,)* 5>(); $name::<$($known,)* 6>(); $name::<$($known,)* 7>();
    };
}

fn eight_each() {
    eight!(eight_of_one);
}

fn eight_of_one<const A: u64>() {
    eight!(eight_of_two, A);
}

fn eight_of_two<const A: u64, const B: u64>() {
    eight!(stretch, A, B);
}
