//! Points, boxes and curves of the picture, in its units.

pub(crate) type Point = (f64, f64);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rectangle {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Begin, two that pull, end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Curve(pub(crate) [Point; 4]);

// === impl Rectangle ===

impl Rectangle {
    pub(crate) fn middle(self) -> f64 {
        self.y + self.height / 2.0
    }

    pub(crate) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(self) -> f64 {
        self.y + self.height
    }

    /// Around a point.
    pub(crate) fn around((x, y): Point, (width, height): Point) -> Self {
        Self { x: x - width / 2.0, y: y - height / 2.0, width, height }
    }

    /// The area of what both cover.
    pub(crate) fn shared(self, other: Self) -> f64 {
        let width = self.right().min(other.right()) - self.x.max(other.x);
        let height = self.bottom().min(other.bottom()) - self.y.max(other.y);
        width.max(0.0) * height.max(0.0)
    }
}

// === impl Curve ===

impl Curve {
    /// From one level to another, most of it where it turns, at `turn`.
    pub(crate) fn turning(begin: Point, turn: f64, end: Point) -> Self {
        Self([begin, (turn, begin.1), (turn, end.1), end])
    }

    /// Where it is after a part of the way.
    pub(crate) fn point(self, t: f64) -> Point {
        let u = 1.0 - t;
        let Self([a, b, c, d]) = self;
        let mix = |a: f64, b: f64, c: f64, d: f64| {
            u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
        };
        (mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1))
    }
}
