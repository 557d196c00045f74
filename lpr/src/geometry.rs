//! Points, quadrilaterals and rectangles in a picture.
//!
//! Coordinates are continuous pixels: pixel `i` covers `[i, i + 1)`, its centre is at `i + 0.5`.

/// A point, x to the right and y down, in pixels.
pub type Point = [f64; 2];

/// Plates that overlap more than this are one.
const SAME_IOU: f64 = 0.35;
/// A smaller plate that lies within a larger by this share of its area is the same.
const SAME_INSIDE: f64 = 0.7;

/// Four corners in a plate's reading order: top left, top right, bottom right, bottom left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quad(pub [Point; 4]);

/// An upright rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Left edge.
    pub x0: f64,
    /// Upper edge.
    pub y0: f64,
    /// Right edge.
    pub x1: f64,
    /// Lower edge.
    pub y1: f64,
}

impl Quad {
    /// The corners of an upright rectangle.
    #[must_use]
    pub fn upright(x0: f64, y0: f64, x1: f64, y1: f64) -> Self {
        Self([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    }

    /// The smallest upright rectangle around it.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let mut b = Bounds { x0: f64::INFINITY, y0: f64::INFINITY, x1: f64::NEG_INFINITY, y1: f64::NEG_INFINITY };
        for [x, y] in self.0 {
            b = Bounds { x0: b.x0.min(x), y0: b.y0.min(y), x1: b.x1.max(x), y1: b.y1.max(y) };
        }
        b
    }

    /// The mean of the corners.
    #[must_use]
    pub fn centre(&self) -> Point {
        let [x, y] = self.0.iter().fold([0.0, 0.0], |s, p| [s[0] + p[0], s[1] + p[1]]);
        [x / 4.0, y / 4.0]
    }

    /// Mean length of the upper and lower side.
    #[must_use]
    pub fn width(&self) -> f64 {
        let [tl, tr, br, bl] = self.0;
        (distance(tl, tr) + distance(bl, br)) / 2.0
    }

    /// Mean length of the left and right side.
    #[must_use]
    pub fn height(&self) -> f64 {
        let [tl, tr, br, bl] = self.0;
        (distance(tl, bl) + distance(tr, br)) / 2.0
    }

    /// Whether the corners are finite and go round clockwise on the screen without crossing.
    #[must_use]
    pub fn is_convex(&self) -> bool {
        let q = &self.0;
        q.iter().flatten().all(|v| v.is_finite())
            && (0..4).all(|i| {
                let (a, b, c) = (q[i], q[(i + 1) % 4], q[(i + 2) % 4]);
                (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]) > 0.0
            })
    }

    /// Every corner moved by `f`.
    #[must_use]
    pub fn map(&self, f: impl Fn(Point) -> Point) -> Self {
        Self(self.0.map(f))
    }
}

impl Bounds {
    /// Area; 0 where the edges are crossed.
    #[must_use]
    pub fn area(&self) -> f64 {
        (self.x1 - self.x0).max(0.0) * (self.y1 - self.y0).max(0.0)
    }

    /// Overlap of two rectangles, as a fraction of what they cover together.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f64 {
        let both = self.overlap(other);
        let all = self.area() + other.area() - both;
        if all > 0.0 {
            both / all
        } else {
            0.0
        }
    }

    /// Area of the overlap.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> f64 {
        Self { x0: self.x0.max(other.x0), y0: self.y0.max(other.y0), x1: self.x1.min(other.x1), y1: self.y1.min(other.y1) }.area()
    }

    /// Whether the two are places of one plate: they overlap well, or one lies within the other.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let inside = self.overlap(other) / self.area().min(other.area()).max(1e-9);
        self.iou(other) > SAME_IOU || inside > SAME_INSIDE
    }

    /// Whether the point lies inside.
    #[must_use]
    pub fn contains(&self, [x, y]: Point) -> bool {
        x >= self.x0 && x < self.x1 && y >= self.y0 && y < self.y1
    }
}

/// Distance of two points.
#[must_use]
pub fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// A 3 x 3 projective map, row by row.
pub type Homography = [[f64; 3]; 3];

/// The projective map that takes the unit square (corners in reading order) onto `quad`.
///
/// `None` where the corners do not span an area.
#[must_use]
pub fn unit_to_quad(quad: &Quad) -> Option<Homography> {
    let [p0, p1, p2, p3] = quad.0;
    let (dx1, dy1) = (p1[0] - p2[0], p1[1] - p2[1]);
    let (dx2, dy2) = (p3[0] - p2[0], p3[1] - p2[1]);
    let (sx, sy) = (p0[0] - p1[0] + p2[0] - p3[0], p0[1] - p1[1] + p2[1] - p3[1]);
    let det = dx1 * dy2 - dx2 * dy1;
    if !det.is_finite() || det.abs() < 1e-9 {
        return None;
    }
    let g = (sx * dy2 - dx2 * sy) / det;
    let h = (dx1 * sy - sx * dy1) / det;
    Some([
        [p1[0] - p0[0] + g * p1[0], p3[0] - p0[0] + h * p3[0], p0[0]],
        [p1[1] - p0[1] + g * p1[1], p3[1] - p0[1] + h * p3[1], p0[1]],
        [g, h, 1.0],
    ])
}

/// Where a projective map takes a point.
#[must_use]
pub fn project(m: &Homography, [x, y]: Point) -> Point {
    let w = m[2][0] * x + m[2][1] * y + m[2][2];
    [(m[0][0] * x + m[0][1] * y + m[0][2]) / w, (m[1][0] * x + m[1][1] * y + m[1][2]) / w]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_the_unit_square_onto_the_corners() {
        let quad = Quad([[10.0, 12.0], [110.0, 2.0], [120.0, 40.0], [8.0, 45.0]]);
        let m = unit_to_quad(&quad).unwrap();
        for (from, to) in [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]].iter().zip(quad.0) {
            assert!(distance(project(&m, *from), to) < 1e-9);
        }
        assert!(unit_to_quad(&Quad::upright(1.0, 1.0, 1.0, 9.0)).is_none());
    }

    #[test]
    fn knows_a_crossed_quadrilateral() {
        assert!(Quad::upright(0.0, 0.0, 4.0, 2.0).is_convex());
        assert!(!Quad([[0.0, 0.0], [4.0, 2.0], [4.0, 0.0], [0.0, 2.0]]).is_convex());
        assert!(!Quad::upright(0.0, 0.0, f64::NAN, 2.0).is_convex());
    }

    #[test]
    fn overlap_is_a_fraction_of_both() {
        let a = Quad::upright(0.0, 0.0, 2.0, 1.0).bounds();
        let b = Quad::upright(1.0, 0.0, 3.0, 1.0).bounds();
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(a.iou(&Quad::upright(5.0, 5.0, 6.0, 6.0).bounds()), 0.0);
    }
}
