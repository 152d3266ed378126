//! Sums of doubles in about 106 bits: an unevaluated pair of doubles (Knuth's two-sum;
//! Dekker 1971, "A floating-point technique for extending the available precision").

/// A sum as `high + low`, where `low` is at most half a unit in the last place of `high`.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct DoubleDouble {
    pub(super) high: f64,
    pub(super) low: f64,
}

/// The rounded sum and what rounding lost, exactly.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_rounded = sum - a;
    (sum, (a - (sum - b_rounded)) + (b - b_rounded))
}

impl DoubleDouble {
    fn normalised(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self { high: sum, low: low - (sum - high) }
    }

    /// Adds a finite value. Where the sum leaves the range of doubles it becomes infinite
    /// and stays so.
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        let (sum, lost) = two_sum(self.high, value);
        if sum.is_finite() {
            *self = Self::normalised(sum, self.low + lost);
        } else {
            *self = Self { high: sum, low: 0.0 };
        }
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: Self) {
        self.add(other.high);
        self.add(other.low);
    }

    /// The exact product of two doubles.
    pub(super) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        if !high.is_finite() {
            return Self { high, low: 0.0 };
        }
        Self { high, low: a.mul_add(b, -high) }
    }

    /// The negated value.
    pub(super) fn negated(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }

    /// The square, to about 100 bits.
    pub(super) fn squared(self) -> Self {
        let product = Self::product(self.high, self.high);
        Self::normalised(product.high, product.low + 2.0 * self.high * self.low)
    }

    /// Divided by a double, to about 100 bits.
    pub(super) fn divided_by(self, divisor: f64) -> Self {
        let quotient = self.high / divisor;
        if !quotient.is_finite() {
            return Self { high: quotient, low: 0.0 };
        }
        let mut remainder = self;
        remainder.merge(Self::product(quotient, divisor).negated());
        Self::normalised(quotient, (remainder.high + remainder.low) / divisor)
    }

    /// Rounded to a double.
    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_to_large_neighbours() {
        let mut sum = DoubleDouble::default();
        for value in [1e16, 1.0, -1e16, 1e-3, 1e16, -1e16] {
            sum.add(value);
        }
        assert_eq!(sum.value(), 1.001);
    }

    #[test]
    fn products_and_quotients_are_close_to_exact() {
        let third = DoubleDouble { high: 1.0, low: 0.0 }.divided_by(3.0);
        let mut back = DoubleDouble::product(third.high, 3.0);
        back.merge(DoubleDouble::product(third.low, 3.0));
        back.add(-1.0);
        assert!(back.value().abs() < 1e-30, "{back:?}");
        let x = 1.0 + f64::EPSILON;
        let square = DoubleDouble { high: x, low: 0.0 }.squared();
        assert_eq!((square.high, square.low), (1.0 + 2.0 * f64::EPSILON, f64::EPSILON.powi(2)));
    }

    #[test]
    fn overflow_is_infinity() {
        let mut sum = DoubleDouble::default();
        sum.add(f64::MAX);
        sum.add(f64::MAX);
        assert_eq!(sum.value(), f64::INFINITY);
    }
}
