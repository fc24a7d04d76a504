//! The two floating-point types that samples are computed in.

use std::ops::{Add, AddAssign, Mul, Sub};

/// `f32` for serving and training, `f64` for proofs.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + AddAssign
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Rounds to this type; coefficients are computed in f64 and rounded once.
    fn from_f64(value: f64) -> Self;
    /// Widens exactly.
    fn to_f64(self) -> f64;
    /// Computes e to the power of self.
    fn exp(self) -> Self;
    /// Returns the nearer bound if self lies outside the two. A NaN bound does nothing:
    /// overflow is not worth a panic.
    fn clamp(self, low: Self, high: Self) -> Self;
    /// Returns whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

macro_rules! real {
    ($float:ident) => {
        impl Real for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            fn from_f64(value: f64) -> Self {
                value as $float
            }

            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn exp(self) -> Self {
                $float::exp(self)
            }

            fn clamp(self, low: Self, high: Self) -> Self {
                if self < low {
                    low
                } else if self > high {
                    high
                } else {
                    self
                }
            }

            fn is_finite(self) -> bool {
                $float::is_finite(self)
            }
        }
    };
}

real!(f32);
real!(f64);
